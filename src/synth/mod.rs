//! `nitor synth`: makes the bitstream of a board, with Yosys, nextpnr and ecppack.

mod boards;
pub mod figures;
mod tools;

use crate::files::Files;
use crate::progress::Progress;
use crate::report::{self, grouped, Failure};
use crate::{signals, Outcome};
use boards::Board;
use figures::{Area, Block, Clock, Figures, Used};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tools::Step;

#[derive(clap::Args)]
#[command(
    after_help = "Boards: colorlight-5a-75b, colorlight-i9, ecp5-evn, ulx3s-85f; their pins are in constraints/.\n\
    Example:\n  nitor synth --board colorlight-i9\n\
    Then, with openFPGALoader: openFPGALoader -b colorlight-i9 build/synth/colorlight-i9/board.bit"
)]
pub struct Args {
    /// The board
    #[arg(long)]
    board: String,
    /// For place and route; the same seed gives the same bitstream
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Folder for netlists, logs and the bitstream
    #[arg(long, default_value = "build/synth")]
    out: PathBuf,
    /// Stop before place and route: area alone
    #[arg(long)]
    area: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Synthesis {
    board: &'static str,
    part: &'static str,
    seed: u32,
    total: Area,
    blocks: Vec<Block>,
    /// What nextpnr counts; absent with --area.
    used: BTreeMap<String, Used>,
    clocks: Vec<Clock>,
    bitstream: Option<PathBuf>,
    seconds: BTreeMap<&'static str, f64>,
}

/// What is written, by us and by the tools.
const FILES: [&str; 13] = [
    "board.v",
    "board.lpf",
    "synth.ys",
    "yosys.log",
    "area.json",
    "netlist.json",
    "netlist.v",
    "nextpnr.log",
    "board.config",
    "timing.json",
    "ecppack.log",
    "board.bit",
    figures::KEPT,
];

/// What is part of a block, not one.
const PARTS: [&str; 18] = [
    "lut_ram",
    "block_ram",
    "byte_ram",
    "banked_ram",
    "row_pair_ram",
    "fifo",
    "async_fifo",
    "skid",
    "op_tracker",
    "level",
    "pulse",
    "reset_sync",
    "ddr_",
    "gmii_",
    "toeplitz",
    "counters",
    "read_",
    "credit",
];

pub fn run(args: &Args) -> Outcome {
    let board = boards::find(&args.board).ok_or_else(|| {
        let names: Vec<_> = boards::BOARDS.iter().map(|b| b.name).collect();
        Failure::Input(format!("no board `{}`; there are {}", args.board, names.join(", ")))
    })?;
    signals::watch()?;
    let out = args.out.join(board.name);
    let mut files = Files::default();
    for name in FILES {
        files.writes(format!("output {name}"), &out.join(name));
    }
    files.check()?;
    fs::create_dir_all(&out)
        .map_err(|e| Failure::Environment(format!("cannot make {}: {e}", out.display())))?;
    let absolute = |e: std::io::Error| Failure::Environment(format!("{}: {e}", out.display()));
    let out = out.canonicalize().map_err(absolute)?;
    let bin = tools::folder()?;
    let mut progress = (!args.json).then(Progress::new);
    let synthesis = synthesise(args, board, &bin, &out, &mut progress);
    drop(progress);
    let synthesis = synthesis?;
    let missed = synthesis.clocks.iter().find(|clock| !clock.met).map(|clock| {
        Failure::Check(format!(
            "{}: clock {} runs at {:.1} MHz, {:.1} are needed; another --seed may do, or a slower clock",
            board.name, clock.name, clock.mhz, clock.constraint_mhz
        ))
    });
    report::conclude(args.json, &synthesis, |synthesis| print(synthesis, &out), missed)
}

fn synthesise(
    args: &Args,
    board: &'static Board,
    bin: &Path,
    out: &Path,
    progress: &mut Option<Progress>,
) -> Result<Synthesis, Failure> {
    let mut seconds = BTreeMap::new();
    let mut begin = Instant::now();
    let mut lap = |name| {
        seconds.insert(name, begin.elapsed().as_secs_f64());
        begin = Instant::now();
    };
    if let Some(progress) = progress {
        progress.say("emitting", "");
    }
    let design = nitor_hdl::emit_board(board.name)
        .map_err(|e| Failure::Check(format!("the board cannot be emitted: {e}")))?;
    let file = |name: &str| out.join(name);
    tools::write(&file("board.v"), &design.to_string())?;
    tools::write(&file("board.lpf"), board.constraints)?;
    lap("emit");

    let blocks: Vec<&str> = design
        .modules()
        .iter()
        .map(|m| m.name.as_str())
        .filter(|name| !PARTS.iter().any(|part| name.starts_with(part)))
        .collect();
    // Short carry chains take slightly more area as whole slices than as LUTs, so they become LUTs,
    // except where 125 MHz are needed.
    let area = match board.crowded {
        true => concat!(
            "select -set mac mac mac_v2 async_fifo*\n",
            "select -set short t:$alu r:Y_WIDTH<=12 %i @mac %d\n",
            "techmap @short\nsimplemap\ntechmap t:$lcu\n",
            "scratchpad -set abc9.script \"+&scorr;&sweep;&dc2;&dch -f -r;&ps;&if -a {W} {D} {R} -v;&mfs\"\n",
        ),
        false => "",
    };
    // A tile of eight flip-flops has one reset. A reset that few flip-flops share becomes logic;
    // otherwise the placer finds no tile for them in a full part.
    let resets = match board.crowded {
        true => concat!(
            "opt_clean\n",
            "dfflegalize -minsrst 9 -cell $_DFF_?_ 01 -cell $_DFF_?P?_ r -cell $_SDFF_?P?_ r",
            " -cell $_DFFE_??_ 01 -cell $_DFFE_?P??_ r -cell $_SDFFE_?P??_ r -cell $_DLATCH_?_ x\n",
        ),
        false => "",
    };
    // Unused parts of the card are removed first. Blocks are mapped separately, so that the table
    // shows the area of each, and joined afterwards.
    let script = format!(
        "read_verilog {verilog}\nhierarchy -top {top}\nproc\nopt_expr\nopt_muxtree\nopt_expr\nopt_clean\nhierarchy -top {top}\n{hier}hierarchy -top {top}\nsetattr -mod -set keep_hierarchy 1 {blocks}\n\
         synth_lattice -family ecp5 -nowidelut -top {top} -run begin:map_gates\n{area}opt -full\nopt_dff\nopt_merge\nopt_clean\n\
         synth_lattice -family ecp5 -nowidelut -top {top} -run map_gates:map_ffs\n{resets}synth_lattice -family ecp5 -nowidelut -top {top} -run map_ffs:\ntee -q -o {stat} stat -json\nsetattr -mod -unset keep_hierarchy *\nflatten\n\
         opt_clean -purge\nwrite_json {json}\nwrite_verilog -noattr netlist.v\n",
        // Constants of the configuration pass through several blocks.
        hier = "opt_hier\nopt_expr\nopt_clean\n".repeat(4),
        verilog = "board.v",
        top = design.top(),
        blocks = blocks.join(" "),
        stat = "area.json",
        json = "netlist.json",
    );
    tools::write(&file("synth.ys"), &script)?;
    let yosys = Step {
        bin,
        tool: "yosys",
        args: vec!["-p".into(), "script synth.ys".into()],
        folder: out,
        log: "yosys.log",
    };
    yosys.run(progress)?;
    lap("yosys");
    let blocks = figures::blocks(&tools::read(&file("area.json"))?)?;
    let total = blocks.iter().fold(Area::default(), |sum, b| Area {
        luts: sum.luts + b.area.luts,
        ffs: sum.ffs + b.area.ffs,
        block_rams: sum.block_rams + b.area.block_rams,
        dsps: sum.dsps + b.area.dsps,
    });
    let (mut clocks, mut used, mut bitstream) = (vec![], BTreeMap::new(), None);
    if !args.area {
        place(args, board, bin, out, progress)?;
        lap("nextpnr");
        (clocks, used) = figures::placed(&tools::read(&file("timing.json"))?)?;
        let packed = file("board.bit");
        let ecppack = Step {
            bin,
            tool: "ecppack",
            args: ["--compress", "board.config", "board.bit"].map(str::to_owned).into(),
            folder: out,
            log: "ecppack.log",
        };
        ecppack.run(progress)?;
        lap("ecppack");
        bitstream = Some(packed);
        let of = |kind: &str| used.get(kind).map_or(0, |used| used.used);
        if let Some(core) = clocks.iter().find(|clock| clock.name == "clock") {
            let kept = Figures {
                part: board.part.into(),
                seed: args.seed,
                luts: of("TRELLIS_COMB"),
                ffs: of("TRELLIS_FF"),
                block_rams: of("DP16KD"),
                mhz: core.mhz,
                needed_mhz: core.constraint_mhz,
            };
            let text =
                serde_json::to_string_pretty(&kept).map_err(|e| report::environment(e.into()))?;
            tools::write(&file(figures::KEPT), &(text + "\n"))?;
        }
    }
    let (name, part) = (board.name, board.part);
    Ok(Synthesis {
        board: name,
        part,
        seed: args.seed,
        total,
        blocks,
        used,
        clocks,
        bitstream,
        seconds,
    })
}

fn place(
    args: &Args,
    board: &Board,
    bin: &Path,
    out: &Path,
    progress: &mut Option<Progress>,
) -> Outcome {
    let seed = args.seed.to_string();
    let flags = [
        board.device,
        "--package",
        board.package,
        "--speed",
        board.speed,
        "--seed",
        &seed,
        // The slower router, which converges where most wires are taken, and finds shorter routes.
        "--router",
        "router1",
        // The report is checked here instead.
        "--timing-allow-fail",
    ];
    let mut all: Vec<String> = flags.map(str::to_owned).into();
    for (flag, name) in [
        ("--json", "netlist.json"),
        ("--lpf", "board.lpf"),
        ("--textcfg", "board.config"),
        ("--report", "timing.json"),
    ] {
        all.extend([flag.to_string(), name.to_string()]);
    }
    let step = Step { bin, tool: "nextpnr-ecp5", args: all, folder: out, log: "nextpnr.log" };
    step.run(progress).map_err(|failure| {
        let lacking =
            figures::too_small(&tools::read(&out.join("nextpnr.log")).unwrap_or_default());
        match lacking.is_empty() {
            true => failure,
            false => Failure::Check(format!(
                "the {} of {} is too small: it takes {}",
                board.part,
                board.name,
                lacking.join(", ")
            )),
        }
    })
}

fn print(s: &Synthesis, out: &Path) {
    say!("{} ({}), seed {}\n", s.board, s.part, s.seed);
    say!("  {:<44} {:>7} {:>7} {:>6} {:>4}", "block", "LUT", "FF", "BRAM", "DSP");
    let line = |name: &str, a: &Area| {
        say!(
            "  {name:<44} {:>7} {:>7} {:>6} {:>4}",
            grouped(a.luts),
            grouped(a.ffs),
            a.block_rams,
            a.dsps
        );
    };
    for block in &s.blocks {
        line(&block.name, &block.area);
    }
    line("all", &s.total);
    if !s.used.is_empty() {
        say!("\n  {:<44} {:>7} {:>7}", "of the part", "used", "has");
        for (kind, of) in &s.used {
            say!("  {kind:<44} {:>7} {:>7}", grouped(of.used), grouped(of.available));
        }
        say!("\n  {:<44} {:>7} {:>7}", "clock, MHz", "runs", "needs");
        for clock in &s.clocks {
            let verdict = if clock.met { "" } else { "  MISSED" };
            say!("  {:<44} {:>7.1} {:>7.1}{verdict}", clock.name, clock.mhz, clock.constraint_mhz);
        }
    }
    let steps: Vec<_> = s.seconds.iter().map(|(step, t)| format!("{step} {t:.0} s")).collect();
    say!("\n  {}; logs and netlists in {}", steps.join(", "), out.display());
    if let Some(bitstream) = &s.bitstream {
        say!("  bitstream: {}", bitstream.display());
    }
}
