//! Whether the user wants us to end: what takes long asks.

use crate::Error;
use std::sync::OnceLock;

static ASKED: OnceLock<fn() -> bool> = OnceLock::new();

/// From now on, while a model is made, `stopped` is asked whether that is to end; it then fails
/// with [`Error::Stopped`].
pub fn stop_when(stopped: fn() -> bool) {
    let _ = ASKED.set(stopped);
}

/// Whether anybody will tell us. Who has no such handler is ended by a terminal together with all
/// that we run.
pub(crate) fn watched() -> bool {
    ASKED.get().is_some()
}

pub(crate) fn check() -> Result<(), Error> {
    match ASKED.get() {
        Some(stopped) if stopped() => Err(Error::Stopped),
        _ => Ok(()),
    }
}
