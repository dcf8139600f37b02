//! Bodies: nothing, bytes in memory, or a stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;

/// Any error of a streaming body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request's or a response's body.
#[derive(Default)]
pub enum Body {
    /// No body.
    #[default]
    Empty,
    /// The whole body, in memory.
    Full(Bytes),
    /// Frames as they come.
    Stream(BoxBody<Bytes, BoxError>),
}

/// Why a body could not be read into memory.
#[derive(Debug)]
pub enum BodyError {
    /// Larger than the limit.
    TooLarge,
    /// It broke off or was malformed.
    Broken(String),
}

impl Body {
    /// A body that streams.
    pub fn stream<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<BoxError>,
    {
        Body::Stream(BoxBody::new(body.map_err(Into::into)))
    }

    /// Reads it to its end, at most `limit` bytes.
    pub async fn collect(self, limit: usize) -> Result<Bytes, BodyError> {
        let mut stream = match self {
            Body::Empty => return Ok(Bytes::new()),
            Body::Full(bytes) if bytes.len() > limit => return Err(BodyError::TooLarge),
            Body::Full(bytes) => return Ok(bytes),
            Body::Stream(stream) => stream,
        };
        if stream.size_hint().lower() > limit as u64 {
            return Err(BodyError::TooLarge);
        }
        let mut first: Option<Bytes> = None;
        let mut rest: Vec<u8> = Vec::new();
        while let Some(frame) = stream.frame().await {
            let frame = frame.map_err(|e| BodyError::Broken(e.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            if data.is_empty() {
                continue;
            }
            let so_far = first.as_ref().map_or(0, Bytes::len).max(rest.len());
            if so_far + data.len() > limit {
                return Err(BodyError::TooLarge);
            }
            // Most bodies come in one frame: that one is kept without a copy.
            match (&first, rest.is_empty()) {
                (None, true) => first = Some(data),
                (Some(kept), true) => {
                    rest.extend_from_slice(kept);
                    rest.extend_from_slice(&data);
                }
                _ => rest.extend_from_slice(&data),
            }
        }
        Ok(if rest.is_empty() { first.unwrap_or_default() } else { rest.into() })
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Body::Empty } else { Body::Full(bytes) }
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Body::Empty => Poll::Ready(None),
            Body::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Body::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Body::Stream(stream) => Pin::new(stream).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Empty => true,
            Body::Full(bytes) => bytes.is_empty(),
            Body::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Empty => SizeHint::with_exact(0),
            Body::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Stream(stream) => stream.size_hint(),
        }
    }
}
