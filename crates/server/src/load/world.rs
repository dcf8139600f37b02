//! The world that the files' own tests run in.
