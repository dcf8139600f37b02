//! The files' own tests as a gate.
