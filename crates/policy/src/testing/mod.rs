//! The files' own tests: `[[test]]`.
