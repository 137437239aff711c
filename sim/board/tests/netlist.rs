//! What Yosys made of the small board, instead of the RTL, between the same pins: the driver comes up and a frame crosses.

mod support;

use std::path::Path;
use std::process::Command;

use nitor_block::{Model, Port};
use nitor_board::{Fate, Simulated, Wire, BLOCK_RAM, CELLS};

/// Bits of all registers of a design: what is assigned at a clock's edge and is no memory.
fn register_bits(verilog: &str) -> usize {
    let mut bits = std::collections::BTreeMap::new();
    let mut modules = std::collections::BTreeMap::new();
    for module in verilog.split("endmodule") {
        let Some((_, rest)) = module.split_once("module ") else { continue };
        let name = rest.split_whitespace().next().unwrap_or_default();
        bits.clear();
        let (mut sum, mut seen) = (0, std::collections::BTreeSet::new());
        for line in rest.lines().map(str::trim) {
            let declared = line.trim_start_matches("output ").strip_prefix("reg ");
            if let Some(declared) = declared.map(|d| d.trim_end_matches([';', ','])) {
                let (width, name) =
                    match declared.strip_prefix('[').and_then(|d| d.split_once(":0] ")) {
                        Some((top, name)) => (top.parse::<usize>().unwrap_or(0) + 1, name),
                        None => (1, declared),
                    };
                bits.insert(name.trim().to_string(), width);
            } else if let Some((target, _)) = line.split_once(" <= ") {
                if seen.insert(target.to_string()) {
                    sum += bits.get(target).copied().unwrap_or(0);
                }
            }
        }
        // Children come before their parents.
        for line in rest.lines().map(str::trim) {
            let mut words = line.split_whitespace();
            if let (Some(child), Some(_), Some("(")) = (words.next(), words.next(), words.next()) {
                sum += modules.get(child).copied().unwrap_or(0);
            }
        }
        modules.insert(name.to_string(), sum);
    }
    // The top is the last.
    let top = verilog.rsplit("\nmodule ").next().and_then(|t| t.split_whitespace().next());
    top.and_then(|t| modules.get(t)).copied().unwrap_or(0)
}

#[test]
#[ignore = "run by make prove: synthesis and the netlist's model take some minutes"]
fn the_netlist_carries_frames() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let tools = root.join(".tools/synth");
    let board = "colorlight-5a-75b";
    let design = nitor_hdl::emit_board(board).unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("netlist");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("board.v"), design.to_string()).unwrap();
    let script = format!(
        "read_verilog board.v; synth_ecp5 -nowidelut -top {}; opt_clean -purge; write_verilog -noattr netlist.v",
        design.top()
    );
    let yosys =
        Command::new(tools.join("bin/yosys")).current_dir(&folder).args(["-p", &script]).output();
    let yosys = yosys.expect("Yosys: run tools/setup --prove");
    assert!(yosys.status.success(), "{}", String::from_utf8_lossy(&yosys.stderr));
    let said = String::from_utf8_lossy(&yosys.stdout);
    // Flags for another mapper are taken and ignored: this one is what `nitor synth` runs.
    assert!(said.contains("Executing ABC9 pass"), "not mapped by ABC9");

    let share = tools.join("pyosys/share/lattice");
    let read = |path: &Path| {
        std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    let netlist = read(&folder.join("netlist.v"));
    // Memories that Yosys cannot map become flip-flops without a word: all there are must be the RTL's.
    let cells = |kind: &str| {
        netlist.lines().filter(|l| l.trim_start().starts_with(&format!("{kind} "))).count()
    };
    let registers = register_bits(&design.to_string());
    assert_eq!(cells("DP16KD"), 56);
    assert!(cells("TRELLIS_FF") <= registers, "{} of {registers}", cells("TRELLIS_FF"));
    let models = read(&share.join("common_sim.vh")) + &read(&share.join("ccu2c_sim.vh"));
    let module = |name: &str| {
        let begin =
            models.find(&format!("module {name}(")).or(models.find(&format!("module {name} (")));
        let text = &models[begin.unwrap_or_else(|| panic!("Yosys has no model of {name}"))..];
        &text[..text.find("endmodule").expect("its end") + "endmodule".len()]
    };
    let verilog = [
        // Yosys' models are written for another simulator.
        "/* verilator lint_off SPECIFYIGN */ /* verilator lint_off INITIALDLY */",
        &netlist,
        module("LUT2"),
        module("LUT4"),
        module("CCU2C"),
        module("TRELLIS_FF"),
        module("TRELLIS_DPR16X4"),
        CELLS,
        BLOCK_RAM,
    ]
    .join("\n");
    let ports: Vec<Port> = design
        .ports()
        .iter()
        .map(|port| match port.direction {
            nitor_rtl::Direction::In => Port::input(&port.name, port.width),
            nitor_rtl::Direction::Out => Port::output(&port.name, port.width),
        })
        .collect();
    let model = Model::build(verilog, design.top(), &ports).unwrap_or_else(|e| panic!("{e}"));
    let simulated = Simulated::of(model, board, Wire::Echo, 5).unwrap();
    support::echo(&simulated, false, &[60, 61, 1514, 64, 300, 65, 128, 1000], Fate::default());
}
