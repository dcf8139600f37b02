//! Routes: which policy serves a request.
