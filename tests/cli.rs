//! The command line as people and scripts see it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use pcap_file::pcap::{PcapHeader, PcapPacket, PcapReader, PcapWriter};
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::DataLink;
use serde_json::Value;
use std::time::Duration;
use tempfile::TempDir;

fn nitor(folder: &TempDir, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nitor"));
    command.args(args).current_dir(folder).output().unwrap()
}

fn succeeds(folder: &TempDir, args: &[&str]) -> Value {
    let output = nitor(folder, args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The exit code and the one line that says what is wrong.
fn fails(folder: &TempDir, args: &[&str]) -> (i32, String) {
    let output = nitor(folder, args);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn write_pcap(path: &Path, frames: &[Vec<u8>], link: DataLink) {
    let header = PcapHeader { datalink: link, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(fs::File::create(path).unwrap(), header).unwrap();
    for frame in frames {
        let packet = PcapPacket::new(Duration::ZERO, frame.len() as u32, frame);
        writer.write_packet(&packet).unwrap();
    }
}

fn frames_of_pcapng(path: &Path) -> Vec<Vec<u8>> {
    let mut reader = PcapNgReader::new(fs::File::open(path).unwrap()).unwrap();
    let mut frames = vec![];
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block.unwrap() {
            frames.push(packet.data.to_vec());
        }
    }
    frames
}

#[test]
fn demo_carries_the_recorded_capture() {
    let recorded = include_bytes!("captures/mixed.pcap");
    let mut reader = PcapReader::new(&recorded[..]).unwrap();
    let mut recorded = vec![];
    while let Some(packet) = reader.next_packet() {
        let mut frame = packet.unwrap().data.to_vec();
        frame.resize(frame.len().max(60), 0);
        recorded.push(frame);
    }
    for card in ["card-128", "card-512"] {
        let folder = folder();
        let args = ["demo", "--card", card, "--file", "20000", "--wire", "w.pcapng", "--json"];
        let report = succeeds(&folder, &args);
        let crossing = &report["crossing"];
        assert_eq!(crossing["frames"], recorded.len());
        assert_eq!(crossing["losses"], 0);
        assert!(crossing["interrupts"].as_u64() > Some(0));
        assert_eq!(report["tcp"]["bytes"], 20000);
        let wire = frames_of_pcapng(&folder.path().join("w.pcapng"));
        let differs = wire.iter().zip(&recorded).position(|(a, b)| a != b);
        assert_eq!(differs.map(|i| (i, &wire[i], &recorded[i])), None);
        assert!(wire.len() > recorded.len() + 4, "TCP is on the wire, too");

        assert_eq!(succeeds(&folder, &args)["crossing"], *crossing);
    }
}

#[test]
fn demo_takes_captures_of_both_kinds_and_writes_waves() {
    let folder = folder();
    let frames: Vec<Vec<u8>> =
        [14, 59, 60, 61, 1514, 9234].iter().map(|&len| vec![len as u8; len]).collect();
    write_pcap(&folder.path().join("some.pcap"), &frames, DataLink::ETHERNET);
    let args = ["demo", "--file", "1000", "--json", "--waves", "a.fst", "--waves-cycles", "500"];
    let report = succeeds(&folder, &[&args[..], &["--pcap", "some.pcap"]].concat());
    assert_eq!(report["crossing"]["frames"], frames.len());
    assert!(fs::metadata(folder.path().join("a.fst")).unwrap().len() > 10_000);

    // A clock gone wild and a snap length that isn't kept take nothing from the frames.
    let path = folder.path().join("some.pcap");
    let mut file = fs::read(&path).unwrap();
    let little = file[0] != 0xa1;
    file[16..20].copy_from_slice(&if little { 20u32.to_le_bytes() } else { 20u32.to_be_bytes() });
    file[28..32].fill(0xff);
    fs::write(folder.path().join("wild.pcap"), file).unwrap();
    let report = succeeds(&folder, &[&args[..4], &["--pcap", "wild.pcap"]].concat());
    assert_eq!(report["crossing"]["frames"], frames.len());

    // What one run saw on the wire is input of another.
    let again = ["--pcap", "nitor-demo.pcapng", "--wire", "again.pcapng", "--card", "card-512"];
    let report = succeeds(&folder, &[&args[..4], &again[..]].concat());
    assert!(report["crossing"]["frames"].as_u64() > Some(frames.len() as u64));
}

#[test]
fn broken_captures_get_a_clear_answer() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("empty.pcap"), []).unwrap();
    fs::write(path("text.pcap"), "this is no capture").unwrap();
    write_pcap(&path("none.pcap"), &[], DataLink::ETHERNET);
    write_pcap(&path("long.pcap"), &[vec![0; 60], vec![0; 9235]], DataLink::ETHERNET);
    write_pcap(&path("short.pcap"), &[vec![0; 13]], DataLink::ETHERNET);
    write_pcap(&path("radio.pcap"), &[vec![0; 60]], DataLink::IEEE802_11);
    write_pcap(&path("cut.pcap"), &[vec![0; 60], vec![0; 60]], DataLink::ETHERNET);
    let whole = fs::read(path("cut.pcap")).unwrap();
    fs::write(path("cut.pcap"), &whole[..whole.len() - 10]).unwrap();
    fs::write(path("x.pcap.zst"), b"\x28\xb5\x2f\xfd....").unwrap();
    fs::write(path("x.snoop"), b"snoop\0\0\0\0\0\0\x02").unwrap();
    fs::write(path("old.pcap"), b"\xa1\xb2\xcd\x34\0\x02\0\x04").unwrap();
    let cases = [
        ("x.pcap.zst", "packed by zstd"),
        ("x.snoop", "a snoop capture"),
        ("old.pcap", "Kuznetzov"),
        ("missing.pcap", "cannot read missing.pcap"),
        ("empty.pcap", "too short"),
        ("text.pcap", "neither pcap nor pcapng"),
        ("none.pcap", "no frame"),
        ("long.pcap", "frame 2 has 9235 bytes, the card carries at most 9234"),
        ("short.pcap", "frame 1 has 13 bytes"),
        ("radio.pcap", "not Ethernet"),
        ("cut.pcap", "frame 2 is broken"),
        (".", "is a directory"),
    ];
    for (name, words) in cases {
        let (code, message) = fails(&folder, &["demo", "--pcap", name]);
        assert_eq!(code, 2, "{name}: {message}");
        assert!(message.contains(words), "{name}: {message}");
    }
    let (code, message) = fails(&folder, &["demo", "--wire", "no/such/folder/w.pcapng"]);
    assert_eq!(code, 3, "{message}");
}

/// Packet blocks of the first draft, options that are none of ours, an FCS at the frames' ends, gzip and standard input.
#[test]
fn demo_takes_what_others_write() {
    use flate2::{write::GzEncoder, Compression};
    let folder = folder();
    let block = |kind: u32, body: &[u8]| {
        let len = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &len, body, &len].concat()
    };
    let comment = b"\x01\0\x04\0\xff\xfe\xfd\xfc";
    let section = [&b"\x4d\x3c\x2b\x1a\x01\0\0\0"[..], &[0xff; 8], comment].concat();
    // if_tzone, if_fcslen; and no end of options.
    let options = b"\x0a\0\x04\0\0\0\0\0\x0d\0\x01\0\x04\0\0\0";
    let interface = [&b"\x01\0\0\0\0\0\0\0"[..], options].concat();
    let mut file = [block(0x0a0d_0d0a, &section), block(1, &interface)].concat();
    let frames: Vec<Vec<u8>> = (1..=5).map(|n| vec![n; 64]).collect();
    for frame in &frames {
        let head = [&[0; 12][..], &64u32.to_le_bytes(), &64u32.to_le_bytes()].concat();
        file.extend(block(2, &[&head[..], frame, comment].concat()));
    }
    let mut packed = GzEncoder::new(vec![], Compression::default());
    packed.write_all(&file).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_nitor"));
    command.args(["demo", "--file", "1", "--pcap", "-", "--json"]).current_dir(&folder);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&packed.finish().unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["crossing"]["frames"], frames.len(), "{report}");
    let wire = frames_of_pcapng(&folder.path().join("nitor-demo.pcapng"));
    assert!(wire.iter().zip(&frames).all(|(wire, frame)| wire[..] == frame[..60]));
}

/// What is printed at the end does the same once more, whatever the names are.
#[test]
fn again_is_the_same_command() {
    let folder = folder();
    let capture = "it's my \"capture\" & $HOME.pcap";
    write_pcap(&folder.path().join(capture), &vec![vec![7; 300]; 9], DataLink::ETHERNET);
    let args =
        ["demo", "--pcap", capture, "--file=777", "--wire", "the wire", "--card", "card-512"];
    let first = nitor(&folder, &[&args[..], &["--waves", "-w", "--waves-cycles", "50"]].concat());
    // A name that begins with a dash needs the other form.
    assert_eq!(first.status.code(), Some(2));
    let first = nitor(&folder, &[&args[..], &["--waves=-w", "--waves-cycles", "50"]].concat());
    let first = String::from_utf8(first.stdout).unwrap();
    let again = first.lines().last().and_then(|line| line.strip_prefix("Again: ")).unwrap();
    assert!(again.ends_with(" --seed 1"), "{again}");
    let bin = Path::new(env!("CARGO_BIN_EXE_nitor")).parent().unwrap();
    fs::remove_file(folder.path().join("-w")).unwrap();
    let mut shell = Command::new("/bin/sh");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    shell.args(["-c", again]).current_dir(&folder).env("PATH", path);
    let second = shell.output().unwrap();
    let second = String::from_utf8(second.stdout).unwrap();
    let same = |text: &str| {
        let lines = text.lines().filter(|line| !line.contains("cycles a second"));
        lines.map(str::to_string).collect::<Vec<_>>()
    };
    assert_eq!(same(&first), same(&second));
    assert!(first.contains("777") && folder.path().join("-w").is_file());
}

#[test]
fn bench_loop_measures() {
    let folder = folder();
    for (card, queues) in
        [("card-128", "1"), ("card-128", "4"), ("card-512", "1"), ("card-512", "16")]
    {
        let args = ["bench", "loop", "--frame", "60", "--count", "1024", "--json"];
        let figures =
            succeeds(&folder, &[&args[..], &["--card", card, "--queues", queues]].concat());
        let figure = |key: &str| {
            figures[key].as_f64().unwrap_or_else(|| panic!("{key} is no number in {figures}"))
        };
        assert_eq!((figure("frames"), figure("lost")), (1024.0, 0.0));
        let most = if card == "card-128" { 8.0 } else { 4.0 };
        assert!(figure("cycles_per_frame") <= most, "{figures}");
        assert!(figure("tlps_per_frame") <= 4.0, "{figures}");
        assert!(figure("latency_cycles_p50") <= figure("latency_cycles_p99"));
        assert!(figure("bytes_per_cycle") > 5.0 && figure("link_bytes_per_frame") > 120.0);
        assert!(figure("sim_cycles_per_second") > 0.0);
    }
    for wrong in [["--frame", "59"], ["--frame", "9217"], ["--queues", "17"], ["--card", "card-64"]]
    {
        let (code, message) = fails(&folder, &[&["bench", "loop"], &wrong[..]].concat());
        assert_eq!(code, 2);
        assert!(message.contains(wrong[0]), "{message}");
    }
}

/// Long and short frames at random: what comes while a long one is written out waits.
#[test]
fn bench_loop_of_any_mix_loses_nothing() {
    let folder = folder();
    for card in ["card-128", "card-512"] {
        let args = ["bench", "loop", "--frame", "mixed", "--count", "1024", "--json"];
        let figures = succeeds(&folder, &[&args[..], &["--card", card]].concat());
        assert_eq!(figures["frame"], "mixed");
        assert_eq!(figures["frames"], 1024, "{figures}");
        assert_eq!(figures["lost"], 0, "{figures}");
    }
}

/// What low-latency queues are for: an order of magnitude, and no read. And pushing frames loses none.
#[test]
fn bench_latency_compares() {
    let folder = folder();
    for card in ["card-128", "card-512"] {
        let args = ["bench", "latency", "--count", "50", "--json", "--card", card];
        let figures = succeeds(&folder, &args);
        let figure = |kind: &str, key: &str| figures[kind][key].as_f64().unwrap();
        assert!(figure("llq", "cycles_max") <= 60.0, "{figures}");
        assert!(figure("llq", "cycles_p50") * 9.0 < figure("host", "cycles_p50"), "{figures}");
        // The completion alone, against two reads besides.
        assert_eq!(figure("llq", "tlps_from_card"), 1.0, "{figures}");
        assert_eq!(figure("host", "tlps_from_card"), 3.0, "{figures}");
        let args = ["bench", "loop", "--llq", "--count", "1024", "--json", "--card", card];
        let figures = succeeds(&folder, &args);
        let most = if card == "card-128" { 10.0 } else { 3.5 };
        assert!(figures["cycles_per_frame"].as_f64().unwrap() <= most, "{figures}");
        assert_eq!(figures["lost"], 0);
    }
}

/// One queue keeps up nearly as well as four: its descriptors are there in time.
#[test]
fn one_queue_is_not_starved() {
    let folder = folder();
    for queues in ["1", "4"] {
        let args = ["bench", "loop", "--card", "card-512", "--queues", queues, "--json"];
        let figures = succeeds(&folder, &args);
        assert!(figures["cycles_per_frame"].as_f64().unwrap() <= 2.75, "{figures}");
        assert_eq!(figures["lost"], 0);
    }
}

/// A file a module, and nothing that the tools object to.
#[test]
fn emit_writes_clean_verilog() {
    for card in ["card-128", "card-512"] {
        let folder = folder();
        let report = succeeds(&folder, &["emit", "--card", card, "--out", "v", "--json"]);
        let list = fs::read_to_string(folder.path().join("v/files.f")).unwrap();
        assert_eq!(report["modules"], list.lines().count());
        let mut all = String::new();
        for file in list.lines() {
            let text = fs::read_to_string(folder.path().join("v").join(file)).unwrap();
            let name = Path::new(file).file_stem().unwrap().to_str().unwrap();
            assert!(text.starts_with("//"), "{file} has no header");
            assert_eq!(text.matches("\nendmodule").count(), 1, "{file}");
            assert!(text.contains(&format!("module {name}")), "{file}");
            assert!(!text.contains("lint_off"), "{file} has a waiver");
            all += &text;
        }
        nitor_block::lint(all, report["top"].as_str().unwrap()).unwrap();
    }
}

/// The list and the command that is printed work whatever the folder is called.
#[test]
fn emit_writes_where_it_is_told() {
    let root = nitor_block::verilator_root().unwrap();
    let path = [root.join("bin").display().to_string(), std::env::var("PATH").unwrap()].join(":");
    for name in ["a b/v", "-it's $HOME \"here\"; & #\t`x`"] {
        let folder = folder();
        let output = nitor(&folder, &["emit", &format!("--out={name}")]);
        let said = String::from_utf8(output.stdout).unwrap();
        let hint = said.lines().find_map(|line| line.strip_prefix("Try: ")).unwrap();
        // A tab is spelt out as only a newer shell's words can be.
        let mut shell = Command::new("/bin/bash");
        shell.args(["-c", hint]).current_dir(&folder);
        let tried = shell.env("PATH", &path).env("VERILATOR_ROOT", &root).output().unwrap();
        assert!(tried.status.success(), "{hint}: {}", String::from_utf8_lossy(&tried.stderr));
        if name == "a b/v" {
            // From elsewhere, by Verilator's own way of naming a list's folder.
            let mut verilator = Command::new(root.join("bin/verilator"));
            verilator.args(["--lint-only", "-F", "a b/v/files.f", "--top-module", "nitor_128"]);
            let tried =
                verilator.current_dir(&folder).env("VERILATOR_ROOT", &root).output().unwrap();
            assert!(tried.status.success(), "{}", String::from_utf8_lossy(&tried.stderr));
        }
    }
}
