//! Takes a table apart by hand, key by key; what is left over is unknown.
