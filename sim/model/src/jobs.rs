//! Runs external tools: one, or many in parallel.

use crate::{stop, Error};
use nix::sys::signal::{killpg, Signal};
use nix::unistd::Pid;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{channel, RecvTimeoutError};
use std::sync::Mutex;
use std::thread::{self, available_parallelism};
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(20);

/// Runs a tool to its end and returns its output. If the tool fails, the error has the whole
/// output.
pub fn run(command: &mut Command) -> Result<String, Error> {
    run_unless(command, || false)
}

/// Runs all commands, as many at once as there are processors. The first failure ends the others.
/// `done` is called with how many have ended.
pub(crate) fn run_all(commands: Vec<Command>, done: impl Fn(usize) + Sync) -> Result<(), Error> {
    let workers = available_parallelism().map_or(1, usize::from).min(commands.len());
    let (ended, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (queue, failure) = (Mutex::new(commands.into_iter()), Mutex::new(None));
    let next = || queue.lock().ok()?.next();
    let work = || {
        while let Some(mut command) = next().filter(|_| !failed.load(Ordering::Relaxed)) {
            match run_unless(&mut command, || failed.load(Ordering::Relaxed)) {
                Ok(_) => done(ended.fetch_add(1, Ordering::Relaxed) + 1),
                Err(error) => {
                    failed.store(true, Ordering::Relaxed);
                    let mut failure = failure.lock().unwrap_or_else(|broken| broken.into_inner());
                    failure.get_or_insert(error);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    failure.into_inner().unwrap_or_else(|broken| broken.into_inner()).map_or(Ok(()), Err)
}

fn run_unless(command: &mut Command, ended: impl Fn() -> bool) -> Result<String, Error> {
    let tool = Path::new(command.get_program()).file_name().unwrap_or_default();
    let tool = tool.to_string_lossy().into_owned();
    let name = command.get_program().to_string_lossy().into_owned();
    let cannot = |error: io::Error| Error::NoTool(name.clone(), error);
    let (mut read, write) = io::pipe().map_err(cannot)?;
    command.stdin(Stdio::null()).stdout(write.try_clone().map_err(cannot)?).stderr(write);
    if stop::watched() {
        // The tool gets a process group of its own, so that only we end it, and with all its
        // children.
        command.process_group(0);
    }
    let mut child = command.spawn().map_err(cannot)?;
    // `command` keeps the write end of the pipe open until it is given other outputs.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (to, from) = channel();
    thread::spawn(move || {
        let mut said = Vec::new();
        let _ = read.read_to_end(&mut said);
        let _ = to.send(said);
    });
    let said = loop {
        match from.recv_timeout(PAUSE) {
            Ok(said) => break said,
            Err(RecvTimeoutError::Disconnected) => break Vec::new(),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if stop::check().is_err() || ended() {
            end(&mut child);
        }
    };
    let status = child.wait().map_err(cannot)?;
    stop::check()?;
    let output = String::from_utf8_lossy(&said).into_owned();
    match status.success() {
        true => Ok(output),
        false => Err(Error::Tool { tool, status, output, log: None }),
    }
}

fn end(child: &mut Child) {
    if stop::watched() {
        let _ = killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
    }
    let _ = child.kill();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn all_are_run_and_counted() {
        let seen = Mutex::new(Vec::new());
        run_all((0..9).map(|_| shell("true")).collect(), |n| seen.lock().unwrap().push(n)).unwrap();
        let mut seen = seen.into_inner().unwrap();
        seen.sort_unstable();
        assert_eq!(seen, (1..=9).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_failure_ends_the_rest_and_is_told() {
        let begin = Instant::now();
        let mut commands = vec![shell("echo out; echo wrong >&2; exit 7")];
        commands.extend((0..40).map(|_| shell("exec sleep 5")));
        match run_all(commands, |_| ()) {
            Err(Error::Tool { tool, status, output, .. }) => {
                assert_eq!((tool.as_str(), status.code()), ("sh", Some(7)));
                assert!(output.contains("out") && output.contains("wrong"), "{output}");
            }
            other => panic!("{other:?}"),
        }
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    }
}
