//! Sessions of the stock Linux driver with the card: recorded ones replayed, and real ones in a
//! virtual machine.

#[path = "support/signals.rs"]
mod signals;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use nitor_sim::CardSpec;
use nitor_vfio::replay::{replay, Variation};
use nitor_vfio::trace::{Cause, Reader, Step, Writer};

fn traces() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut traces: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|end| end == "trace")).collect();
    traces.sort();
    assert!(!traces.is_empty());
    traces
}

/// The same frames and completions, to the cycle in each run.
#[test]
fn the_card_does_what_it_did_when_stock_drivers_were_recorded() {
    for path in traces() {
        let first = replay(&path, &Variation::default()).unwrap();
        assert_eq!(first.differences, [""; 0], "{}", path.display());
        assert_eq!(first.violations, [""; 0], "{}", path.display());
        assert!(first.frames_in > 20 && first.frames_out > 20 && first.completions > 40);
        assert!(first.interrupts > 20 && first.register_writes > 100);
        let again = replay(&path, &Variation::default()).unwrap();
        assert_eq!(first, again, "{}: not to the cycle", path.display());
    }
}

/// Timing is no part of a trace: other latencies, other stalls and a wider card change nothing but the cycles.
#[test]
fn a_card_with_other_timing_does_the_same() {
    let wider = Variation { card: CardSpec::find("card-512"), ..Variation::default() };
    let slower = Variation { latency: 700, seed: Some(77), ..Variation::default() };
    for (path, variation) in traces().iter().zip([wider, slower].iter().cycle()) {
        let usual = replay(path, &Variation::default()).unwrap();
        let other = replay(path, variation).unwrap();
        assert_eq!(other.differences, [""; 0], "{}: {variation:?}", path.display());
        assert_eq!(other.violations, [""; 0], "{}: {variation:?}", path.display());
        assert_ne!(usual.digest, other.digest);
        assert_eq!(usual.completions, other.completions);
    }
}

/// The differences of the first trace once each step is altered by `alter`, which is told its number.
fn altered(mut alter: impl FnMut(&mut Step) -> bool) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("altered.trace");
    let mut reader = Reader::open(&traces()[0]).unwrap();
    let mut writer = Writer::create(&path, &reader.head).unwrap();
    let mut done = false;
    while let Some(mut step) = reader.step().unwrap() {
        done = done || alter(&mut step);
        writer.step(&step).unwrap();
    }
    writer.finish().unwrap();
    assert!(done, "nothing to alter");
    replay(&path, &Variation::default()).unwrap().differences
}

#[test]
fn what_differs_is_found() {
    let frame = altered(|step| {
        let Some(frame) = step.frames.first_mut() else { return false };
        frame[20] ^= 1;
        true
    });
    assert!(frame[0].contains("not at byte") || frame[0].contains("at byte 20"), "{frame:?}");
    let missing = altered(|step| step.frames.pop().is_some());
    assert!(missing[0].contains("1 frames sent, not 0"), "{missing:?}");
    let memory = altered(|step| {
        let buffer = step.writes.iter_mut().find(|(_, bytes)| bytes.len() > 64);
        let Some((_, bytes)) = buffer else { return false };
        bytes[50] ^= 0x80;
        true
    });
    assert!(memory[0].contains("memory at"), "{memory:?}");
    let unwritten = altered(|step| {
        let len = step.writes.len();
        step.writes.retain(|(_, bytes)| bytes.len() < 64);
        step.writes.len() < len
    });
    assert!(unwritten[0].contains("which were not"), "{unwritten:?}");
    let interrupt = altered(|step| {
        let frame = matches!(step.cause, Cause::Frame(_));
        step.interrupts.extend(frame.then_some(1));
        frame
    });
    assert!(interrupt[0].contains("has not interrupted"), "{interrupt:?}");
    // The frame that a descriptor's memory holds.
    let payload = altered(|step| {
        if step.frames.is_empty() {
            return false;
        }
        let Some((_, bytes)) = step.memory.iter_mut().find(|(_, bytes)| bytes.len() > 32) else {
            return false;
        };
        bytes[30] ^= 1;
        true
    });
    assert!(!payload.is_empty());
}

#[test]
fn what_is_no_trace_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let nitor = |arg: &Path| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_nitor")).arg("replay").arg(arg).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let path = folder.path().join("none");
    assert_eq!(nitor(&path).0, Some(2));
    std::fs::write(&path, "GET / HTTP/1.1").unwrap();
    let (code, error) = nitor(&path);
    assert!(code == Some(2) && error.contains("it is no trace"), "{error}");
    let whole = std::fs::read(&traces()[0]).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let (code, error) = nitor(&path);
    assert!(code == Some(2) && error.contains("cut off"), "{error}");
    // A bit that has changed is the file's fault, never the card's.
    for n in 0..12 {
        let mut flipped = whole.clone();
        let at = n * (whole.len() - 1) / 11;
        flipped[at] ^= 1 << (n % 8);
        std::fs::write(&path, flipped).unwrap();
        let (code, error) = nitor(&path);
        let told =
            error.contains("damaged") || error.contains("version") || error.contains("cut off");
        assert!(code == Some(2) && told, "byte {at}: {error}");
        let name = path.display().to_string();
        assert!(error.contains(&name) && error.contains("--record"), "byte {at}: {error}");
    }
    // As they were before they had check values.
    std::fs::write(&path, [&whole[..7], &[1], &whole[8..]].concat()).unwrap();
    let (code, error) = nitor(&path);
    assert!(code == Some(2) && error.contains("version 1, not 3"), "{error}");
}

/// A guest boots, its driver finds the card, pings a host and sends it a file by TCP and gets it back. Needs packages that
/// are fetched: `cargo test --test stock_driver -- --ignored`.
#[test]
#[ignore = "boots a virtual machine, and fetches it"]
fn a_stock_kernel_pings_and_talks_tcp_through_the_rtl() {
    let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/setup-vm");
    if !Command::new("bash").arg(setup).status().unwrap().success() {
        println!("SKIPPED: the packages of a virtual machine cannot be had here");
        return;
    }
    let begin = Instant::now();
    let session = "ping -c 3 -i 0.2 10.77.0.1 && head -c 200000 /dev/urandom >/tmp/a && nc -w 30 10.77.0.1 7 </tmp/a >/tmp/b && \
                   cmp /tmp/a /tmp/b && dmesg | grep ' ena ' && echo all is well; exit $?";
    let output =
        Command::new(env!("CARGO_BIN_EXE_nitor")).args(["vm", "--", session]).output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{out}{err}");
    assert!(output.status.success(), "{err}");
    assert!(out.contains("3 packets transmitted, 3 packets received"));
    assert!(out.contains("Elastic Network Adapter (ENA) found") && out.contains("all is well"));
    println!("{:.0} s", begin.elapsed().as_secs_f64());
    // A command's own failure is a failure.
    let output =
        Command::new(env!("CARGO_BIN_EXE_nitor")).args(["vm", "--", "exit 7"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

/// What a guest does that nobody expects is told, without what its console does to terminals. As above.
#[test]
#[ignore = "boots virtual machines, and fetches them"]
fn a_guest_that_reboots_and_a_run_that_is_ended_leave_nothing_behind() {
    let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/setup-vm");
    if !Command::new("bash").arg(setup).status().unwrap().success() {
        println!("SKIPPED: the packages of a virtual machine cannot be had here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let nitor = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nitor"));
        // Its own files go there, too.
        command.args(args).current_dir(&folder).env("TMPDIR", folder.path());
        command
    };
    let left = || {
        let entries = std::fs::read_dir(&folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("nitor-vm")).count()
    };
    for (command, words) in [
        (
            "printf '\\033[2J\\033]0;mine\\007an own line\\n' >/dev/ttyS0; reboot -f",
            "it has rebooted",
        ),
        ("poweroff -f", "it has powered off"),
        (
            "echo c >/proc/sysrq-trigger",
            "its kernel has panicked, which ends the machine: Kernel panic",
        ),
    ] {
        let output = nitor(&["vm", "--", command]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        println!("{said}");
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with("nitor: guest 0: ") && said.contains(words), "{said}");
        assert!(said.chars().all(|c| !c.is_control() || c == '\n'), "{said:?}");
        assert_eq!((said.lines().count(), left()), (1, 0), "{said}");
    }
    let files = [
        "--pcap",
        "wire.pcapng",
        "--waves",
        "card.fst",
        "--waves-cycles",
        "3000",
        "--record",
        "session.trace",
    ];
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let command = "ping -c 2 -i 0.2 10.77.0.1 && echo ready; sleep 1000";
        let mut child = nitor(&[&["vm"], &files[..], &["--", command]].concat());
        let child = signals::heeding(&mut child).stdout(Stdio::piped());
        let mut child = child.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line == "ready"));
        let qemu = children(child.id());
        assert_eq!((qemu.len(), left()), (1, 1));
        let kill = format!("kill -{signal} {}", child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        println!("{said}");
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains("was at its command") && said.contains("frames"), "{said}");
        assert!(!Path::new(&format!("/proc/{}", qemu[0])).exists() && left() == 0);
        assert!(std::fs::metadata(folder.path().join("card.fst")).unwrap().len() > 1000);
        let capture = std::fs::File::open(folder.path().join("wire.pcapng")).unwrap();
        let mut capture = pcap_file::pcapng::PcapNgReader::new(capture).unwrap();
        let mut blocks = 0;
        while let Some(block) = capture.next_block() {
            blocks += u32::from(block.is_ok());
            block.unwrap();
        }
        assert!(blocks > 6, "{blocks}");
        let replayed = replay(&folder.path().join("session.trace"), &Variation::default()).unwrap();
        assert!(replayed.frames_out > 3 && replayed.differences.is_empty(), "{replayed:?}");
    }
}

/// Processes that a process has started.
fn children(parent: u32) -> Vec<u32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let list = std::fs::read_to_string(path).unwrap();
    list.split_whitespace().map(|id| id.parse().unwrap()).collect()
}

/// Guests that do nothing, each with a card, on a machine that has other work: their drivers' watchdogs, of 6 s, stay quiet. As above.
#[test]
#[ignore = "boots virtual machines, and fetches them"]
fn idle_guests_on_a_busy_host_keep_their_cards() {
    let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/setup-vm");
    if !Command::new("bash").arg(setup).status().unwrap().success() {
        println!("SKIPPED: the packages of a virtual machine cannot be had here");
        return;
    }
    let busy = AtomicBool::new(true);
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..6 * cores {
            scope.spawn(|| {
                while busy.load(Ordering::Relaxed) {
                    std::hint::spin_loop()
                }
            });
        }
        let command = "sleep 30; ! dmesg | grep 'Keep alive watchdog'";
        let mut nitor = Command::new(env!("CARGO_BIN_EXE_nitor"));
        let output = nitor.args(["vm", "--guests", "2", "--", command]).output().unwrap();
        busy.store(false, Ordering::Relaxed);
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{out}{err}");
    });
}

/// DPDK's testpmd in one guest, a stock kernel in another; then one of two guests lies to its card. As above.
#[test]
#[ignore = "boots virtual machines, and fetches them"]
fn dpdk_sends_and_receives_through_the_rtl_and_a_lying_guest_harms_nobody_else() {
    let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/setup-vm");
    if !Command::new("bash").arg(setup).arg("--dpdk").status().unwrap().success() {
        println!("SKIPPED: the packages of a virtual machine cannot be had here");
        return;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_nitor")).args(["vm", "--dpdk"]).output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{out}{err}");
    assert!(output.status.success(), "{err}");
    assert!(out.contains("Probe PCI driver: net_ena") && out.contains("ok     cpl_ur_ca: 4 more"));
}
