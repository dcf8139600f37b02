//! Types for settings: what stands in a file, checked and with its place.
//!
//! They are meant for the reader of this crate ([`crate::reader::deserialize`]), which keeps the places; under another
//! deserializer they work too, without places.

mod amount;
mod http_words;
mod network;
mod outside;
mod spanned;

pub use amount::{ByteSize, Duration, Rate};
pub use http_words::{HeaderName, Method, StatusCode};
pub use network::Network;
pub use outside::FromOutside;
pub use spanned::{Literal, Spanned};

pub(crate) use outside::FROM_OUTSIDE;
pub(crate) use spanned::SPANNED;
