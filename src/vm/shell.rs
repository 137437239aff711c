//! An interactive shell in a guest, on our terminal.

use crate::report::{self, Failure};
use crate::vm::guest::Guest;
use crate::vm::PATIENCE;
use nix::sys::termios::{cfmakeraw, tcgetattr, tcsetattr, SetArg, Termios};
use std::io::{stdin, Read, Stdin, Write};
use std::thread;

/// The terminal as it was, restored when dropped.
struct Raw {
    stdin: Stdin,
    before: Termios,
}

impl Raw {
    /// None if standard input is no terminal.
    fn new() -> Option<Self> {
        let stdin = stdin();
        let before = tcgetattr(&stdin).ok()?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(&stdin, SetArg::TCSANOW, &raw).ok()?;
        Some(Raw { stdin, before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.stdin, SetArg::TCSANOW, &self.before);
    }
}

/// The port becomes the shell's terminal.
const SHELL: &str =
    "stty -F /dev/ttyS1 sane; setsid sh -c 'exec sh -i </dev/ttyS1 >/dev/ttyS1 2>&1'";

/// Lets a person work in the guest until the shell ends.
pub fn relay(guest: &mut Guest) -> Result<(), Failure> {
    report::complain(format_args!(
        "the interface is eth0, the host on the wire is 10.77.0.1; \"exit\" ends the machine"
    ));
    guest.start(SHELL)?;
    let raw = Raw::new();
    let mut to = guest.agent().try_clone().map_err(|e| Failure::Environment(e.to_string()))?;
    // The thread stays in its read when the shell ends, and ends with the process.
    thread::spawn(move || {
        let mut buffer = [0; 256];
        while let Ok(len @ 1..) = stdin().lock().read(&mut buffer) {
            if to.write_all(&buffer[..len]).is_err() {
                return;
            }
        }
        // End of input ends the shell.
        let _ = to.write_all(&[4]);
    });
    // The end of the shell hangs its terminal up, which also ends the guest.
    let ended = guest.wait(PATIENCE, report::write);
    drop(raw);
    match ended {
        Err(failure) if !guest.has_powered_off() => Err(failure),
        _ => Ok(()),
    }
}
