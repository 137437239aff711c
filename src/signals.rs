//! Ends a run in order at Ctrl-C, TERM or HUP. Loops call [check] and return its error; destructors
//! then close every output, end every child process and remove every folder. A process that does
//! not call [check] within [GRACE], or that gets a second signal, is ended at once.

use crate::report::Failure;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;
use std::fmt::{self, Display};
use std::fs;
use std::io::{stderr, Write};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// One of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(i32);

impl Signal {
    /// What a process that it ends leaves as its exit code, by custom.
    pub fn code(self) -> u8 {
        128 + self.0 as u8
    }
}

impl Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(low_level::signal_name(self.0).unwrap_or("a signal"))
    }
}

/// The first that came; 0 is none.
static CAUGHT: AtomicI32 = AtomicI32::new(0);
/// Somebody has asked since.
static SEEN: AtomicBool = AtomicBool::new(false);

/// How long a run may take to notice; what it does then takes as long as it takes.
const GRACE: Duration = Duration::from_secs(10);
/// One event may send several, such as a terminal that is closed: what comes so soon is no second wish.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Catches the signals from now on; for commands whose loops ask. One that is ignored, as nohup does, stays so.
pub fn watch() -> Result<(), Failure> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| !ignored(&status, signal));
    let cannot = |e: std::io::Error| Failure::Environment(format!("cannot catch signals: {e}"));
    let mut signals = Signals::new(wanted).map_err(cannot)?;
    let wait = move || {
        let Some(first) = signals.forever().next() else { return };
        CAUGHT.store(first, Ordering::Relaxed);
        let begin = Instant::now();
        thread::spawn(move || {
            thread::sleep(GRACE);
            if !SEEN.load(Ordering::Relaxed) {
                end(first);
            }
        });
        for second in signals.forever() {
            if begin.elapsed() > AT_ONCE {
                end(second);
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(wait).map_err(cannot)?;
    nitor_sim::model::stop_when(|| caught().is_some());
    Ok(())
}

/// Whether /proc/self/status says that the signal is ignored.
fn ignored(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or(0) >> (signal - 1) & 1 != 0
}

fn end(signal: i32) -> ! {
    let signal = Signal(signal);
    let _ = writeln!(stderr(), "nitor: ended at once by {signal}; its outputs may be cut off");
    low_level::exit(signal.code().into())
}

/// The signal that wants the run to end; who asks must see to that.
pub fn caught() -> Option<Signal> {
    match CAUGHT.load(Ordering::Relaxed) {
        0 => None,
        signal => {
            SEEN.store(true, Ordering::Relaxed);
            Some(Signal(signal))
        }
    }
}

/// From here on the run closes its outputs and ends by itself, signal or not.
pub fn closing() {
    SEEN.store(true, Ordering::Relaxed);
}

/// Fails if a signal has come. `how_far` says what is done until now, and where it is.
pub fn check(how_far: impl FnOnce() -> String) -> Result<(), Failure> {
    match caught() {
        None => Ok(()),
        Some(signal) => Err(Failure::Stopped(signal, how_far())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_read() {
        let status = "Name:\tnitor\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert!(ignored(status, SIGHUP));
        assert!(!ignored(status, SIGINT) && !ignored(status, SIGTERM));
        assert!(!ignored("", SIGHUP) && !ignored("SigIgn:\tnone\n", SIGHUP));
    }

    #[test]
    fn codes_are_the_customary_ones() {
        let codes = [SIGHUP, SIGINT, SIGTERM].map(|signal| Signal(signal).code());
        assert_eq!(codes, [129, 130, 143]);
        assert_eq!(Signal(SIGTERM).to_string(), "SIGTERM");
    }
}
