//! The node's clock and randomness: the only place that reads the machine's.
