//! Proves or refutes the properties of a block with outputs `given` and `ok`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use nitor_rtl::prelude::Block;
use nitor_rtl::{emit, with_stack, Design, Direction};

/// How a property is proved.
#[derive(Clone, Copy, Debug)]
pub enum Method {
    /// For all time: z3, from the reset and by induction over so many steps.
    Induction { depth: usize },
    /// For all time: ABC finds the invariant. So many steps must be possible.
    Reachability { depth: usize },
    /// So many steps from the reset: ABC.
    Bounded { depth: usize },
}

impl Method {
    fn depth(self) -> usize {
        match self {
            Method::Induction { depth }
            | Method::Reachability { depth }
            | Method::Bounded { depth } => depth,
        }
    }
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = here.ancestors().find(|folder| folder.join(".tools/synth/bin/yosys").is_file());
    found.expect("no Yosys: run tools/setup --prove").to_path_buf()
}

fn run(command: &mut Command) -> String {
    let output =
        command.output().unwrap_or_else(|e| panic!("{command:?}: {e}; run tools/setup --prove"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let end: Vec<&str> = text.lines().rev().take(10).collect();
    assert!(
        output.status.success(),
        "{command:?}\n{end:#?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// The block as Verilog; panics if an input of what is in it is not driven.
pub fn emitted<T: Block + 'static>(
    name: &'static str,
    make: impl FnOnce() -> T + Send + 'static,
) -> Design {
    with_stack(move || {
        let mut block = make();
        block.connect_all();
        emit(&block, name).unwrap_or_else(|error| panic!("{error}"))
    })
}

/// Proves that `ok` of the block is always high, given that `given` was; panics if it is not so.
pub fn prove<T: Block + 'static>(
    name: &'static str,
    make: impl FnOnce() -> T + Send + 'static,
    method: Method,
) {
    let begin = Instant::now();
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("proofs").join(name);
    fs::create_dir_all(&folder).unwrap();
    let design = emitted(name, make);
    // Inputs are free; those that begin with `any_` are free but constant. The first cycle is one of reset.
    let mut wrapper = String::from("module proof(input clock, input reset");
    let mut body = String::new();
    for port in design.ports() {
        let (name, width) = (&port.name, port.width - 1);
        if name == "clock" || name == "reset" {
            continue;
        }
        match port.direction {
            Direction::In if name.starts_with("any_") => {
                writeln!(body, "(* anyconst *) wire [{width}:0] {name};").unwrap();
            }
            Direction::In => write!(wrapper, ", input [{width}:0] {name}").unwrap(),
            Direction::Out => writeln!(body, "wire [{width}:0] {name};").unwrap(),
        }
    }
    writeln!(wrapper, ");\n{body}{} dut (", design.top()).unwrap();
    let ports: Vec<String> =
        design.ports().iter().map(|p| format!("  .{0}({0})", p.name)).collect();
    // Without a clock the block has several, which come as they like, and the reset is behind it.
    let clocked = design.ports().iter().any(|port| port.name == "clock");
    let claim = match clocked {
        true => {
            "reg begun = 1'b0;\nalways @(posedge clock) begun <= 1'b1;\nalways @* begin\n  assume (begun || reset);\n  \
             if (begun) assume (given);\n  if (begun) assert (ok || reset);\nend"
        }
        false => "always @* assert (ok);",
    };
    writeln!(wrapper, "{}\n);\n{claim}\nendmodule", ports.join(",\n")).unwrap();
    fs::write(folder.join("proof.v"), format!("{design}\n{wrapper}")).unwrap();
    let depth = method.depth();
    let end = "\nendmodule";
    let stops = match clocked {
        true => format!("\nreg [7:0] age = 8'd0;\nalways @(posedge clock) age <= age + 8'd1;\nalways @* assert (age != 8'd{depth});{end}"),
        false => format!("\nreg [7:0] age = 8'd0;\nalways @(posedge in_clock) age <= age + 8'd1;\nalways @* assert (age != 8'd2);{end}"),
    };
    let possible = wrapper
        .replace("if (begun) assert (ok || reset);", "")
        .replace("always @* assert (ok);", "");
    let possible = possible
        .strip_suffix(&format!("{end}\n"))
        .or(possible.strip_suffix(end))
        .unwrap_or(&possible);
    fs::write(folder.join("possible.v"), format!("{design}\n{possible}{stops}")).unwrap();
    let tools = root().join(".tools/synth");
    let crossing = if clocked { "" } else { "; clk2fflogic; setundef -init -zero" };
    let read = format!(
        "read_verilog -formal proof.v; prep -flatten -top proof; memory_map; opt -full{crossing}"
    );
    let yosys = |script: String| {
        run(Command::new(tools.join("bin/yosys")).current_dir(&folder).args(["-p", &script]));
    };
    yosys(format!(
        "{read}; async2sync; setundef -anyseq -undriven; dffunmap; write_smt2 -stbv proof.smt2"
    ));
    let model = fs::read_to_string(folder.join("proof.smt2")).unwrap();
    // The same netlist for ABC, and one that claims that time stops: refuted unless the assumptions contradict each other.
    let aiger = |from: &str, to: &str| {
        let read = read.replace("proof.v", from);
        yosys(format!(
            "{read}; setundef -undriven -anyseq; async2sync; dffunmap; techmap; simplemap; \
             opt_clean; aigmap; write_aiger -zinit {to}"
        ));
    };
    let abc = |commands: &str| {
        run(Command::new(tools.join("pyosys/yosys-abc"))
            .current_dir(&folder)
            .args(["-c", commands]))
    };
    let possible = |depth: usize| {
        aiger("possible.v", "possible.aig");
        let said = abc(&format!("read_aiger possible.aig; fold; bmc3 -F {}", depth + 4));
        assert!(
            said.contains("was asserted"),
            "{name}: nothing can happen within {depth} steps\n{said}"
        );
    };
    let how = match method {
        Method::Induction { depth } => {
            bounded(&folder, &model, depth);
            induction(&folder, &model, depth);
            format!("unbounded, {depth}-induction by z3")
        }
        Method::Bounded { depth } => {
            possible(depth);
            aiger("proof.v", "proof.aig");
            let said = abc(&format!("read_aiger proof.aig; fold; bmc3 -F {} -T 900", depth + 1));
            // Of a resource limit ABC always speaks; where its time is over it says so, and tells the steps it came to.
            let all = format!("No output asserted in {} frames", depth + 1);
            let whole = said.contains(&all) && !said.contains("timeout");
            assert!(whole, "{name}: not proved\n{said}");
            format!("{depth} steps")
        }
        Method::Reachability { depth } => {
            possible(depth);
            aiger("proof.v", "proof.aig");
            let said = abc("read_aiger proof.aig; fold; scorr; pdr -T 300; print_status");
            assert!(said.contains("Property proved"), "{name}: not proved\n{said}");
            "unbounded, property-directed reachability".into()
        }
    };
    println!("{name}: {how}, {:.1} s", begin.elapsed().as_secs_f64());
}

/// The register that a line assigns, and what: it may be behind a condition or a label.
fn assigned(line: &str) -> Option<(&str, &str)> {
    let code = line.strip_suffix(';')?;
    code.match_indices(" <= ").find_map(|(at, _)| {
        let (before, register) = code[..at].rsplit_once(' ').unwrap_or(("", &code[..at]));
        let plain = register.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let begins = before.is_empty() || before.ends_with(')') || before.ends_with(':');
        (plain && begins).then(|| (register, &code[at + 4..]))
    })
}

/// The same text, beginning where a reset leaves it, and at zero what no reset sets.
fn from_reset(text: &str) -> String {
    let (mut out, mut begin) = (String::new(), BTreeMap::new());
    let (mut clocked, mut resets) = (false, false);
    for line in text.lines() {
        let code = line.trim();
        clocked = (clocked || code.starts_with("always @(posedge")) && line != "    end";
        resets = (resets || code == "if (reset) begin") && !code.starts_with("end");
        if let Some((register, value)) = assigned(code).filter(|_| clocked) {
            match resets {
                true => drop(begin.insert(register.to_string(), value.to_string())),
                false => drop(begin.entry(register.to_string()).or_insert("0".to_string())),
            }
        }
        if line == "endmodule" {
            out.push_str("initial begin\n");
            for (register, value) in std::mem::take(&mut begin) {
                writeln!(out, "    {register} = {value};").unwrap();
            }
            out.push_str("end\n");
        }
        writeln!(out, "{line}").unwrap();
    }
    out
}

/// The steps' states, their constraints and transitions.
fn steps(model: &str, count: usize, initial: bool) -> String {
    let mut text = format!("(set-logic QF_BV)\n{model}\n");
    for k in 0..count {
        writeln!(text, "(declare-fun s{k} () |proof_s|)").unwrap();
        writeln!(text, "(assert (|proof_h| s{k}))\n(assert (|proof_u| s{k}))").unwrap();
        let is = if initial && k == 0 {
            format!("(|proof_is| s{k})")
        } else {
            format!("(not (|proof_is| s{k}))")
        };
        writeln!(text, "(assert {is})").unwrap();
        if k > 0 {
            writeln!(text, "(assert (|proof_t| s{} s{k}))", k - 1).unwrap();
        }
        if initial && k == 0 {
            writeln!(text, "(assert (|proof_i| s0))").unwrap();
        }
    }
    text
}

fn z3(folder: &Path, file: &str, text: &str) -> String {
    fs::write(folder.join(file), text).unwrap();
    run(Command::new("z3").current_dir(folder).arg(file))
}

/// No step of the first `depth` breaks an assertion, and there are such steps.
fn bounded(folder: &Path, model: &str, depth: usize) {
    let mut text = steps(model, depth + 1, true);
    let broken: Vec<String> = (0..=depth).map(|k| format!("(not (|proof_a| s{k}))")).collect();
    writeln!(text, "(check-sat)\n(assert (or {}))\n(check-sat)", broken.join(" ")).unwrap();
    let said = z3(folder, "bounded.smt2", &text);
    let said: Vec<_> = said.split_whitespace().collect();
    assert_eq!(
        said,
        ["sat", "unsat"],
        "first must be possible, then broken impossible, within {depth} steps"
    );
}

fn induction(folder: &Path, model: &str, depth: usize) {
    let mut text = steps(model, depth + 1, false);
    for k in 0..depth {
        writeln!(text, "(assert (|proof_a| s{k}))").unwrap();
    }
    writeln!(text, "(assert (not (|proof_a| s{depth})))\n(check-sat)").unwrap();
    let said = z3(folder, "induction.smt2", &text);
    assert_eq!(said.trim(), "unsat", "no induction over {depth} steps");
}

/// Cells of each kind that `synth_ecp5` makes of a block, in a process of its own: a second synthesis
/// in the same one gives other counts.
pub fn cells<T: Block + 'static>(
    name: &'static str,
    make: impl FnOnce() -> T + Send + 'static,
) -> BTreeMap<String, usize> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cells").join(name);
    fs::create_dir_all(&folder).unwrap();
    let design = emitted(name, make);
    fs::write(folder.join("block.v"), design.to_string()).unwrap();
    let script = format!(
        "read_verilog block.v; synth_ecp5 -nowidelut -top {name}; write_verilog -noattr cells.v"
    );
    let tools = root().join(".tools/synth");
    run(Command::new(tools.join("bin/yosys")).current_dir(&folder).args(["-p", &script]));
    let mut cells = BTreeMap::new();
    for line in fs::read_to_string(folder.join("cells.v")).unwrap().lines() {
        let kind = line.trim().split(' ').next().unwrap_or_default();
        if ["LUT4", "CCU2C", "TRELLIS_FF", "TRELLIS_DPR16X4", "DP16KD"].contains(&kind) {
            *cells.entry(kind.to_string()).or_default() += 1;
        }
    }
    cells
}

/// Yosys proves that a block is the same before and after `synth_ecp5`; panics if it does not succeed.
pub fn equivalent<T: Block + 'static>(
    name: &'static str,
    make: impl FnOnce() -> T + Send + 'static,
) {
    let begin = Instant::now();
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("equivalent").join(name);
    fs::create_dir_all(&folder).unwrap();
    let design = emitted(name, make);
    fs::write(folder.join("block.v"), from_reset(&design.to_string())).unwrap();
    // The first cycle is one of reset; from then on no output may differ.
    let inputs: Vec<_> = design.ports().iter().filter(|p| p.direction == Direction::In).collect();
    let list = |each: &dyn Fn(&nitor_rtl::Port) -> String| {
        inputs.iter().map(|port| each(port)).collect::<Vec<_>>().join(", ")
    };
    let wrapper = format!(
        "module both({});\nwire differs;\nmiter pair ({}, .trigger(differs));\nreg begun = 1'b0;\n\
         always @(posedge clock) begun <= 1'b1;\n\
         always @* begin\n  assume (begun || reset);\n  if (begun) assert (!differs);\nend\nendmodule\n",
        list(&|port| format!("input [{}:0] {}", port.width - 1, port.name)),
        list(&|port| format!(".in_{0}({0})", port.name)),
    );
    fs::write(folder.join("both.v"), wrapper).unwrap();
    let script = format!(
        "read_verilog block.v; hierarchy -top {name}; proc; flatten; opt_clean; rename {name} gold; design -stash gold; \
         read_verilog block.v; synth_ecp5 -nowidelut -top {name}; techmap -wb -autoproc -map +/ecp5/cells_sim.v; \
         flatten; opt_clean; rename {name} gate; design -stash gate; \
         design -copy-from gold -as gold gold; design -copy-from gate -as gate gate; \
         miter -equiv -flatten gold gate miter; read_verilog -formal both.v; hierarchy -top both; proc; flatten; opt -full; \
         setundef -undriven -zero; async2sync; dffunmap; techmap; simplemap; opt_clean; aigmap; write_aiger -zinit miter.aig"
    );
    let tools = root().join(".tools/synth");
    let said =
        run(Command::new(tools.join("bin/yosys")).current_dir(&folder).args(["-p", &script]));
    // What `nitor synth` runs too: a flag that chooses another mapper is taken and ignored.
    assert!(said.contains("Executing ABC9 pass"), "{name}: not mapped by ABC9");
    let abc = |commands: &str| {
        Command::new(tools.join("pyosys/yosys-abc"))
            .current_dir(&folder)
            .args(["-c", &format!("read_aiger miter.aig; fold; scorr; {commands}")])
            .output()
            .map(|o| String::from_utf8_lossy(&o.stdout).into_owned())
            .unwrap()
    };
    // Where pairing registers leaves none there is nothing for reachability to do.
    let proved = abc("sat").contains("UNSATISFIABLE")
        || abc("pdr -T 100; print_status").contains("Property proved");
    assert!(proved, "{name}: not the same");
    println!("{name}: as before synthesis, {:.1} s", begin.elapsed().as_secs_f64());
}
