//! Arguments that make no sense, and full disks: each gives one clear line, and exit code 2 or 3.

#[path = "support/models.rs"]
mod models;

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
        (&["bench", "loop"], "--card"),
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

/// A file that is read and written, or written twice, by whatever names: nothing is touched.
#[cfg(unix)]
#[test]
fn files_that_are_two() {
    use std::os::unix::fs::symlink;
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let capture = include_bytes!("captures/mixed.pcap");
    for name in ["x", "nitor-demo.pcapng"] {
        fs::write(at(name), capture).unwrap();
    }
    symlink("x", at("soft")).unwrap();
    symlink("new", at("dangling")).unwrap();
    fs::hard_link(at("x"), at("hard")).unwrap();
    let absolute = at("x").display().to_string();
    let before = fs::read_dir(&folder).unwrap().count();
    for args in [
        &["demo", "--pcap", "x", "--wire", "x"][..],
        &["demo", "--pcap", "x", "--wire", "soft"],
        &["demo", "--pcap", "soft", "--wire", "hard"],
        &["demo", "--pcap", "x", "--wire", &absolute],
        &["demo", "--pcap", "x", "--wire", "folder/../x"],
        &["demo", "--pcap", "x", "--waves", "hard"],
        &["demo", "--pcap", "nitor-demo.pcapng"],
        &["demo", "--wire", "o", "--waves", "o"],
        &["demo", "--wire", "new", "--waves", "dangling"],
        &["demo", "--waves", "nitor-demo.pcapng"],
        &["demo", "--wire", "-"],
        &["replay", "x", "--waves", "soft"],
    ] {
        refused(&folder, args, 2, args.last().unwrap());
        for name in ["x", "nitor-demo.pcapng"] {
            assert!(fs::read(at(name)).unwrap() == capture, "{args:?}");
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), before, "{args:?}");
    }
    // Standard output is a file, too, and the report goes there.
    for (args, out) in [
        (&["demo", "--json", "--wire", "/dev/stdout"][..], "o"),
        (&["demo", "--wire", "o"], "o"),
        (&["demo", "--pcap", "x"], "x"),
        (&["board", "--link", "sim:none", "demo", "--pcap", "x"], "x"),
        (&["emit", "--out", "."], "files.f"),
        (&["replay", "x"], "x"),
    ] {
        let stdout = File::options().append(true).create(true).open(at(out)).unwrap();
        let before = fs::read(at(out)).unwrap();
        let output = nitor(&folder, args, stdout.into());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains("standard output goes to"), "{args:?}: {said}");
        // With --json an error is an object there.
        assert!(fs::read(at(out)).unwrap().starts_with(&before), "{args:?}");
        assert_eq!(
            fs::metadata(at(out)).unwrap().len() > before.len() as u64,
            args.contains(&"--json")
        );
    }
}

/// With --json there is one object, whatever is wrong.
#[test]
fn errors_are_objects() {
    let folder = folder();
    for (args, kind) in [
        (&["demo", "--json", "--card", "card-64"][..], "input"),
        (&["demo", "--json", "--dance"], "input"),
        (&["--json", "dance"], "input"),
        (&["bench", "loop", "--count", "many", "--json"], "input"),
        (&["board", "demo", "--json"], "input"),
        (&["demo", "--json", "--pcap", "missing"], "input"),
        (&["demo", "--json", "--file", "1", "--wire", "missing/file"], "environment"),
        (&["emit", "--json", "--out", "file"], "environment"),
        (&["synth", "--json", "--board", "none"], "input"),
        (&["replay", "--json", "missing"], "input"),
    ] {
        let output = nitor(&folder, args, Stdio::piped());
        let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(object["error"]["kind"], kind, "{args:?}: {object}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, format!("nitor: {}\n", object["error"]["message"].as_str().unwrap()));
    }
    // After `--` it is a guest's.
    let output = nitor(&folder, &["vm", "--guests", "7", "--", "--json"], Stdio::piped());
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
}

/// A name in an error does not speak to the terminal.
#[test]
fn names_are_spelt_out() {
    let folder = folder();
    refused(&folder, &["demo", "--pcap", "\x1b[2J\nx"], 2, "cannot read \\u{1b}[2J\\nx");
}

#[cfg(target_os = "linux")]
#[test]
fn full_disks() {
    models::ready();
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

/// Without tools there is no model of a card: what is missing is said, and what to do.
#[test]
fn tools_that_are_missing() {
    let folder = folder();
    for (variable, value, words) in [
        ("CXX", "/no/such/c++ -x", &["C++ compiler /no/such/c++", "tools/setup", "CXX"][..]),
        ("CXX", "false", &["C++ compiler false", "tools/setup"]),
        (
            "NITOR_VERILATOR_ROOT",
            "/nowhere",
            &["NITOR_VERILATOR_ROOT is /nowhere", "verilator_bin"],
        ),
        ("NITOR_CACHE", "file", &["file/models"]),
        ("NITOR_CACHE_MIB", "much", &["NITOR_CACHE_MIB", "\"much\"", "MiB"]),
        ("NITOR_SIM_VERILOG_DIR", "/nowhere", &["NITOR_SIM_VERILOG_DIR", "nitor_128.v"]),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nitor"));
        command.args(["demo", "--file", "1"]).current_dir(&folder);
        let output = command.env(variable, value).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{variable}={value}: {said}");
        assert_eq!(said.lines().count(), 1, "{variable}={value}: {said}");
        assert!(words.iter().all(|word| said.contains(word)), "{variable}={value}: {said}");
    }
}
