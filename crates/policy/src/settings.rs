//! Types for filters' settings: each keeps its place, parses strictly, and describes itself in the schema.
