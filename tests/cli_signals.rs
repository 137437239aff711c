//! Ctrl-C, TERM and HUP: a run ends soon, says how far it came, and what it has written is whole.

#[path = "support/models.rs"]
mod models;
#[path = "support/signals.rs"]
mod signals;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nitor_capture::Capture;
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

fn start(folder: &TempDir, args: &[&str]) -> Child {
    models::ready();
    let mut command = Command::new(env!("CARGO_BIN_EXE_nitor"));
    command.args(args).current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    signals::heeding(&mut command).spawn().unwrap()
}

/// Sends the signal; the exit code, and what came to standard output and standard error.
fn end(mut child: Child, sent: Signal) -> (Option<i32>, String, String) {
    kill(Pid::from_raw(child.id() as i32), sent).unwrap();
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("it does not end");
        }
        thread::sleep(Duration::from_millis(5));
    }
    let (mut out, mut said) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), out, said)
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(300), "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn len(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |data| data.len())
}

/// An FST file is a chain of blocks: a byte for the kind, and its length behind it. One that was not closed has a header
/// without an end time and no hierarchy.
fn is_whole(waves: &[u8]) -> bool {
    let (mut at, mut kinds) = (0, vec![]);
    while let Some(&kind) = waves.get(at) {
        let Some(length) = waves.get(at + 1..).and_then(|rest| rest.first_chunk()) else {
            return false;
        };
        kinds.push(kind);
        at += 1 + u64::from_be_bytes(*length) as usize;
    }
    let end_time = waves.get(17..25).is_some_and(|end| end.iter().any(|&byte| byte != 0));
    let hierarchy = kinds.iter().any(|kind| matches!(kind, 4 | 6 | 7));
    at == waves.len() && kinds.first() == Some(&0) && end_time && hierarchy
}

#[test]
fn a_demo_closes_its_files() {
    for (sent, code, name) in [
        (Signal::SIGINT, 130, "SIGINT"),
        (Signal::SIGTERM, 143, "SIGTERM"),
        (Signal::SIGHUP, 129, "SIGHUP"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut args = vec!["demo", "--file", "100000000", "--wire", "w.pcapng", "--json"];
        let waves = sent == Signal::SIGINT;
        if waves {
            args.extend(["--waves", "w.fst", "--waves-cycles", "1000000000"]);
        }
        let child = start(&folder, &args);
        // What is still to come would take an hour.
        until("frames on the wire", || len(&at("w.pcapng")) > 30_000);
        let (exit, out, said) = end(child, sent);
        assert_eq!(exit, Some(code), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        let files = if waves { "; w.pcapng and w.fst until then" } else { "; w.pcapng until then" };
        let far = format!("nitor: stopped by {name}: ");
        assert!(said.starts_with(&far) && said.contains(files), "{said}");
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(report["error"]["kind"], "stopped");
        let frames = Capture::read(&at("w.pcapng"), 9234).unwrap().frames;
        assert!(frames.len() > 30, "{}", frames.len());
        assert!(!waves || is_whole(&fs::read(at("w.fst")).unwrap()));
    }
}

#[test]
fn a_bench_says_how_far_it_came() {
    let folder = tempfile::tempdir().unwrap();
    let child = start(&folder, &["bench", "loop", "--count", "10000000", "--frame", "9000"]);
    thread::sleep(Duration::from_millis(1500));
    let (exit, out, said) = end(child, Signal::SIGINT);
    assert_eq!((exit, out.as_str()), (Some(130), ""), "{said}");
    assert!(said.contains("of 10000000 frames had come back"), "{said}");

    // A table shows the rows that it has.
    let child = start(&folder, &["bench", "table", "--card", "card-128", "--json"]);
    thread::sleep(Duration::from_millis(1500));
    let (exit, out, said) = end(child, Signal::SIGTERM);
    assert_eq!(exit, Some(143), "{said}");
    assert!(said.contains("of 14 rows were measured"), "{said}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert!(report["rows"].is_array() && report["error"]["kind"] == "stopped", "{out}");
}

/// Who is ignored when the run begins, as by nohup, is so to its end.
#[test]
fn what_nohup_ignores_is_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let nitor = env!("CARGO_BIN_EXE_nitor");
    let script = format!("trap '' HUP; exec {nitor} bench loop --count 200000 --frame 9000 --json");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(&folder);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    thread::sleep(Duration::from_millis(1500));
    kill(Pid::from_raw(child.id() as i32), Signal::SIGHUP).unwrap();
    thread::sleep(Duration::from_millis(200));
    let (exit, _, said) = end(child, Signal::SIGTERM);
    assert_eq!(exit, Some(143), "{said}");
}

/// What compiles a card's model takes long: it is ended, and leaves nothing.
#[test]
fn a_model_in_the_making_is_left() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_nitor"));
    command.args(["demo", "--json"]).current_dir(&folder).env("NITOR_CACHE", cache.path());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let models = cache.path().join("models");
    let listed = || {
        let names =
            fs::read_dir(&models).into_iter().flatten().map(|file| file.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with("card-")).count()
    };
    until("work on a model", || listed() == 2);
    let begin = Instant::now();
    let (exit, out, said) = end(child, Signal::SIGTERM);
    assert_eq!(exit, Some(143), "{said}");
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert!(said.ends_with("stopped by SIGTERM: the cards were being made\n"), "{said}");
    assert!(out.contains("\"stopped\""), "{out}");
    assert_eq!(listed(), 0, "{said}");
}
