//! What Yosys made of the small board, instead of the RTL, between the same pins: the driver comes up and a frame crosses.

mod support;

use std::path::Path;
use std::process::Command;

use nitor_block::{Model, Port};
use nitor_board::{Fate, Simulated, Wire, BLOCK_RAM, CELLS};

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
        "read_verilog board.v; synth_ecp5 -nowidelut -noabc9 -top {}; opt_clean -purge; write_verilog -noattr netlist.v",
        design.top()
    );
    let yosys =
        Command::new(tools.join("bin/yosys")).current_dir(&folder).args(["-p", &script]).output();
    let yosys = yosys.expect("Yosys: run tools/setup --prove");
    assert!(yosys.status.success(), "{}", String::from_utf8_lossy(&yosys.stderr));

    let share = tools.join("pyosys/share/lattice");
    let read = |path: &Path| {
        std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    let netlist = read(&folder.join("netlist.v"));
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
