//! Shows the progress of long work: on a terminal in a line that changes, else in a plain line now
//! and then.

use indicatif::{ProgressBar, ProgressStyle};
use nix::sys::signal::{killpg, Signal};
use nix::unistd::Pid;
use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{channel, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::report::{self, Failure};
use crate::signals;
use crate::text::plain;

/// How often a plain line is printed of the same thing.
const PACE: Duration = Duration::from_secs(15);

/// See the module. Everything goes to standard error.
pub struct Progress {
    bar: Option<ProgressBar>,
    /// What the last plain line was about, and when it was printed.
    told: Option<(String, Instant)>,
    begin: Instant,
}

impl Progress {
    pub fn new() -> Self {
        let bar = io::stderr().is_terminal().then(ProgressBar::new_spinner);
        if let Some(bar) = &bar {
            let style = ProgressStyle::with_template("  {spinner} {elapsed_precise} {wide_msg}");
            style.into_iter().for_each(|style| bar.set_style(style));
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Progress { bar, told: None, begin: Instant::now() }
    }

    /// Says that `what` is under way, and of it, what now.
    pub fn say(&mut self, what: &str, now: &str) {
        let (what, now) = (plain(what), plain(now));
        let text = if now.is_empty() { what.to_string() } else { format!("{what}: {now}") };
        if let Some(bar) = &self.bar {
            return bar.set_message(text);
        }
        let new = self.told.as_ref().is_none_or(|(told, at)| *told != what || at.elapsed() >= PACE);
        if new {
            report::complain(format_args!("{text} ({} s)", self.begin.elapsed().as_secs()));
            self.told = Some((what.into_owned(), Instant::now()));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Runs a tool to its end; `each` is told its lines as they come, and `waiting` every second without one. A signal that ends us ends the
/// tool and what it has started.
pub fn run(
    command: &mut Command,
    mut each: impl FnMut(&str) -> io::Result<()>,
    mut waiting: impl FnMut(),
) -> Result<ExitStatus, Failure> {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default();
    let name = name.to_string_lossy().into_owned();
    let cannot = |e: io::Error| Failure::Environment(format!("cannot run {name}: {e}"));
    let (read, write) = io::pipe().map_err(cannot)?;
    command.stdin(Stdio::null()).stdout(write.try_clone().map_err(cannot)?).stderr(write);
    // The tool gets a process group of its own, so that only we end it, and with all its children.
    let mut child = command.process_group(0).spawn().map_err(cannot)?;
    // The command keeps the write end of the pipe open until it is given other outputs.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (to, from) = channel();
    let reader = thread::spawn(move || {
        for line in BufReader::new(read).split(b'\n').map_while(Result::ok) {
            if to.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    let mut quiet = Instant::now();
    let ended = loop {
        if let Err(stopped) = signals::check(|| format!("{name} was ended")) {
            break Err(stopped);
        }
        match from.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => {
                quiet = Instant::now();
                if let Err(error) = each(&line) {
                    break Err(cannot(error));
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                if quiet.elapsed() >= Duration::from_secs(1) {
                    quiet = Instant::now();
                    waiting();
                }
            }
            Err(RecvTimeoutError::Disconnected) => break Ok(()),
        }
    };
    if ended.is_err() {
        end(&mut child);
    }
    let status = child.wait().map_err(cannot)?;
    drop(from);
    let _ = reader.join();
    ended.map(|()| status)
}

/// Lets a tool clean up, for a moment.
fn end(child: &mut Child) {
    let group = Pid::from_raw(child.id() as i32);
    let _ = killpg(group, Signal::SIGTERM);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) && matches!(child.try_wait(), Ok(None)) {
        thread::sleep(Duration::from_millis(20));
    }
    let _ = killpg(group, Signal::SIGKILL);
}

/// Runs one of `tools/`' scripts, which say what they do in lines that begin with `setup: `: those are shown. All lines it
/// printed, and how it ended.
pub fn script(command: &mut Command) -> Result<(Vec<String>, ExitStatus), Failure> {
    let mut lines = Vec::new();
    let doing = RefCell::new(String::new());
    let progress = RefCell::new(None);
    let show = || {
        let doing = doing.borrow();
        // The output of a script that finds everything there is not shown.
        if doing.starts_with("fetching") || doing.starts_with("installing") {
            progress.borrow_mut().get_or_insert_with(Progress::new).say(&doing, "");
        }
    };
    let each = |line: &str| {
        if let Some(said) = line.strip_prefix("setup: ").filter(|said| !said.is_empty()) {
            *doing.borrow_mut() = said.to_string();
            show();
        }
        lines.push(line.to_string());
        Ok(())
    };
    let status = run(command, each, show)?;
    Ok((lines, status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scripts_lines_are_collected_whichever_way_they_go() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo setup: one; echo two >&2; exit 3"]);
        let (mut lines, status) = script(&mut command).unwrap();
        lines.sort();
        assert_eq!(lines, ["setup: one", "two"]);
        assert_eq!(status.code(), Some(3));
        assert!(script(&mut Command::new("/no/such/tool")).is_err());
    }
}
