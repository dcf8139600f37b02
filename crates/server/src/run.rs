//! `portcullis run`: from start to drained.

use std::sync::Arc;

use crate::options::{Host, Options, StartError};

/// Loads the folder and serves until SIGTERM or SIGINT, then drains: `Ok` once the last request is answered.
///
/// Needs a tokio runtime with time and I/O enabled.
pub async fn run(options: Options, host: Arc<dyn Host>) -> Result<(), StartError> {
    let _ = (options, host);
    unimplemented!()
}
