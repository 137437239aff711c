//! Starts commands that react to signals, even if the shell that runs the tests ignores them.

use nix::sys::signal::{signal, SigHandler, Signal};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// A shell that runs the tests in the background has them ignore SIGINT.
pub fn heeding(command: &mut Command) -> &mut Command {
    let heed = || {
        for name in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            // SAFETY: no handler is installed, and `signal` may be called between fork and exec.
            unsafe { signal(name, SigHandler::SigDfl) }?;
        }
        Ok(())
    };
    // SAFETY: `heed` allocates nothing and takes no lock.
    unsafe { command.pre_exec(heed) }
}
