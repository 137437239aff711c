//! What is printed reaches its reader, or the exit code says that it did not.

use std::fs::File;
use std::process::{Command, Output, Stdio};

fn nitor(args: &[&str], out: Stdio) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nitor"));
    command.args(args).stdin(Stdio::null()).stdout(out).stderr(Stdio::piped());
    command.spawn().unwrap().wait_with_output().unwrap()
}

const PRINTED: [&[&str]; 8] = [
    &["--version"],
    &["--help"],
    &["-h"],
    &["vm", "--help"],
    &["help", "bench", "loop"],
    &["completions", "bash"],
    &["completions", "zsh"],
    &["completions", "fish"],
];

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_for_whatever_is_printed() {
    for args in PRINTED {
        let whole = nitor(args, Stdio::piped());
        assert!(whole.status.success() && !whole.stdout.is_empty(), "{args:?}");
        assert!(whole.stderr.is_empty(), "{args:?}");
        let output = nitor(args, File::create("/dev/full").unwrap().into());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{args:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
        assert!(said.contains("cannot write to standard output"), "{args:?}: {said}");
    }
}

#[test]
fn a_reader_that_goes_is_no_error_of_ours() {
    for args in PRINTED {
        let (read, write) = std::io::pipe().unwrap();
        drop(read);
        let output = nitor(args, write.into());
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{args:?}");
    }
}

/// The range that a number may have is in its help.
#[test]
fn the_help_tells_ranges() {
    for (args, option, range) in [
        (&["bench", "loop", "--help"][..], "--count", "[16 to 10,000,000]"),
        (&["bench", "loop", "--help"], "--latency", "[200 to 20,000]"),
        (&["bench", "latency", "--help"], "--count", " to "),
        (&["board", "--help"], "--patience", "[1 to 3,600]"),
        (&["vm", "--help"], "--queues", "[1 to 8]"),
        (&["replay", "--help"], "--latency", "[0 to 10,000]"),
        (&["demo", "--help"], "--waves-cycles", "[1 to 1,000,000,000]"),
    ] {
        let help = String::from_utf8(nitor(args, Stdio::piped()).stdout).unwrap();
        let entry = help.split("\n  ").find(|entry| entry.contains(option)).unwrap();
        assert!(entry.contains(range), "{args:?} {option}: {entry}");
    }
}
