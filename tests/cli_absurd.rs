//! Arguments that make no sense and disks that are full: one clear line, and exit code 2 or 3.

use std::fs::{self, File};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    fs::write(folder.path().join("file"), "no capture").unwrap();
    folder
}

fn nitor(folder: &TempDir, args: &[&str], out: Stdio) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nitor"));
    command.args(args).current_dir(folder).stdout(out).stderr(Stdio::piped());
    command.spawn().unwrap().wait_with_output().unwrap()
}

/// It fails with this code, and says so on one line with these words.
fn refused(folder: &TempDir, args: &[&str], code: i32, words: &str) {
    let output = nitor(folder, args, Stdio::null());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
    assert!(said.starts_with("nitor: ") && said.contains(words), "{args:?}: {said}");
}

#[test]
fn numbers_out_of_range() {
    let folder = folder();
    let absurd = ["0", "-1", "9223372036854775808", "18446744073709551616", "1e9", "many", "", " "];
    let options: [(&[&str], &str); 12] = [
        (&["bench", "loop"], "--frame"),
        (&["bench", "loop"], "--count"),
        (&["bench", "loop"], "--queues"),
        (&["bench", "loop"], "--latency"),
        (&["bench", "loop"], "--wire"),
        (&["bench", "loop"], "--max-read"),
        (&["bench", "loop"], "--width"),
        (&["bench", "latency"], "--frame"),
        (&["bench", "latency"], "--count"),
        (&["bench", "latency"], "--latency"),
        (&["demo"], "--file"),
        (&["demo"], "--waves-cycles"),
    ];
    for (command, option) in options {
        for value in absurd {
            refused(&folder, &[command, &[option, value]].concat(), 2, option);
        }
        refused(&folder, &[command, &[option]].concat(), 2, option);
    }
    for value in ["-1", "18446744073709551616", "x", ""] {
        refused(&folder, &["demo", "--seed", value], 2, "--seed");
        refused(&folder, &["bench", "table", "--seed", value], 2, "--seed");
    }
}

#[test]
fn words_that_are_none() {
    let folder = folder();
    for args in [&["dance"][..], &["bench", "dance"], &["demo", "--dance"], &["demo", "file"]] {
        refused(&folder, args, 2, args.last().unwrap());
    }
    refused(&folder, &["emit"], 2, "--out");
    refused(&folder, &["emit", "--out", ""], 2, "--out");
    // Nothing at all: help, and the exit code of wrong usage.
    let output = nitor(&folder, &[], Stdio::null());
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("Usage"));
}

#[test]
fn files_that_are_none() {
    let folder = folder();
    for (path, words) in [
        ("missing", "cannot read missing"),
        ("folder", "is a directory"),
        ("file", "neither pcap nor pcapng"),
        ("/dev/null", "too short"),
        ("file/within", "cannot read"),
    ] {
        refused(&folder, &["demo", "--pcap", path], 2, words);
    }
    for option in ["--wire", "--waves"] {
        for path in ["folder", "missing/file", "file/within"] {
            refused(&folder, &["demo", "--file", "1", option, path], 3, "cannot write");
        }
    }
    for path in ["file", "file/within", "/proc/none"] {
        refused(&folder, &["emit", "--out", path], 3, path);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn full_disks() {
    let folder = folder();
    for option in ["--wire", "--waves"] {
        refused(&folder, &["demo", "--file", "1", option, "/dev/full"], 3, "/dev/full");
    }
    for args in [
        &["demo", "--file", "1", "--json"][..],
        &["bench", "loop", "--count", "16"],
        &["bench", "loop", "--count", "16", "--json"],
        &["emit", "--out", "v"],
    ] {
        let output = nitor(&folder, args, File::create("/dev/full").unwrap().into());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{args:?}: {said}");
        assert!(said.contains("cannot write to standard output"), "{args:?}: {said}");
    }
}
