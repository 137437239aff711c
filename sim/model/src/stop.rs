//! Whether the user wants the program to end. Long work polls this.

use crate::Error;
use std::sync::OnceLock;

static ASKED: OnceLock<fn() -> bool> = OnceLock::new();

/// Registers `stopped`, which is polled while a model is made. If it returns true, the making fails
/// with [`Error::Stopped`].
pub fn stop_when(stopped: fn() -> bool) {
    let _ = ASKED.set(stopped);
}

/// Whether a handler is registered. Without one, an interrupt from the terminal ends this process
/// together with the tools that it runs.
pub(crate) fn watched() -> bool {
    ASKED.get().is_some()
}

pub(crate) fn check() -> Result<(), Error> {
    match ASKED.get() {
        Some(stopped) if stopped() => Err(Error::Stopped),
        _ => Ok(()),
    }
}
