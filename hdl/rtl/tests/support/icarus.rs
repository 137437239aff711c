//! Runs a design in Icarus Verilog, where that is installed.

use nitor_rtl::{Design, Direction};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What goes in, by port.
pub type Vector = Vec<(String, u128)>;
/// What comes out, by port.
pub type Outputs = BTreeMap<String, u128>;

/// The outputs for each vector.
pub fn settled(design: &Design, top: &str, vectors: &[Vector]) -> Option<Vec<Outputs>> {
    run(design, top, vectors, "")
}

/// The outputs in each cycle, before its edge of `clock`, after a reset.
pub fn clocked(design: &Design, top: &str, vectors: &[Vector]) -> Option<Vec<Outputs>> {
    run(design, top, vectors, "clock = 1; #1 clock = 0; #1;\n")
}

fn run(design: &Design, top: &str, vectors: &[Vector], step: &str) -> Option<Vec<Outputs>> {
    if Command::new("iverilog").arg("-V").output().is_err() {
        assert!(std::env::var_os("NITOR_REQUIRE_TOOLS").is_none(), "iverilog is not installed");
        eprintln!("SKIPPED: iverilog is not installed, only Verilator was asked");
        return None;
    }
    let mut bench = String::from("module bench;\n");
    let mut connections = vec![];
    for p in design.ports() {
        let kind = if p.direction == Direction::In { "reg" } else { "wire" };
        let _ = writeln!(bench, "{kind} [{}:0] {};", p.width - 1, p.name);
        connections.push(format!(".{0}({0})", p.name));
    }
    let _ = writeln!(bench, "{top} uut ({});\ninitial begin", connections.join(", "));
    if !step.is_empty() {
        let _ = writeln!(bench, "clock = 0; reset = 1; #1 {step} reset = 0;");
    }
    let widths: BTreeMap<_, _> = design.ports().iter().map(|p| (&p.name, p.width)).collect();
    for inputs in vectors {
        for (name, v) in inputs {
            let _ = writeln!(bench, "{name} = {}'h{v:x};", widths[name]);
        }
        bench.push_str("#1;\n");
        for p in design.ports().iter().filter(|p| p.direction == Direction::Out) {
            let _ = writeln!(bench, "$display(\"{0} %h\", {0});", p.name);
        }
        let _ = write!(bench, "$display(\".\");\n{step}");
    }
    bench.push_str("end\nendmodule\n");
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("nitor-icarus-{}-{run}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (source, binary) = (folder.join("bench.v"), folder.join("bench"));
    std::fs::write(&source, format!("{design}\n{bench}")).unwrap();
    let compile =
        Command::new("iverilog").args(["-g2005", "-o"]).args([&binary, &source]).output().unwrap();
    assert!(compile.status.success(), "{}", String::from_utf8_lossy(&compile.stderr));
    let run = Command::new(&binary).output().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let mut all = vec![BTreeMap::new()];
    for line in String::from_utf8(run.stdout).unwrap().lines() {
        match line.split_once(' ') {
            Some((name, hex)) => {
                let value = u128::from_str_radix(hex, 16)
                    .unwrap_or_else(|_| panic!("{name} is {hex} in Icarus\n{design}"));
                all.last_mut().unwrap().insert(name.to_string(), value);
            }
            None => all.push(BTreeMap::new()),
        }
    }
    Some(all)
}
