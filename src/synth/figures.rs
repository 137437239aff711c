//! The figures of a synthesis: area from Yosys' statistics and nextpnr's report, clocks from the
//! latter.

use super::boards;
use crate::report::Failure;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Cells of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Area {
    /// 4-input tables, those of carry chains (2 each) and of distributed RAM (6 a 16x4) included.
    pub luts: u64,
    pub ffs: u64,
    pub block_rams: u64,
    pub dsps: u64,
}

impl Area {
    fn of(cells: &Value) -> Self {
        let count = |kind: &str| cells[kind].as_u64().unwrap_or(0);
        Area {
            luts: count("LUT4") + 2 * count("CCU2C") + 6 * count("TRELLIS_DPR16X4"),
            ffs: count("TRELLIS_FF"),
            block_rams: count("DP16KD"),
            dsps: count("MULT18X18D"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Block {
    pub name: String,
    #[serde(flatten)]
    pub area: Area,
}

/// Each module's own cells, largest first, from `stat -json`.
pub fn blocks(stat: &str) -> Result<Vec<Block>, Failure> {
    let broken = |what: &str| Failure::Check(format!("Yosys' statistics {what}"));
    let json = stat.find('{').and_then(|begin| stat.rfind('}').map(|end| &stat[begin..=end]));
    let stat: Value = serde_json::from_str(json.ok_or_else(|| broken("are missing"))?)
        .map_err(|e| broken(&format!("cannot be read: {e}")))?;
    let modules = stat["modules"].as_object().ok_or_else(|| broken("name no modules"))?;
    let mut blocks: Vec<Block> = modules
        .iter()
        .map(|(name, module)| Block {
            name: name.trim_start_matches('\\').to_string(),
            area: Area::of(&module["num_cells_by_type"]),
        })
        .filter(|block| block.area != Area::default())
        .collect();
    blocks.sort_by(|a, b| b.area.luts.cmp(&a.area.luts).then_with(|| a.name.cmp(&b.name)));
    Ok(blocks)
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Clock {
    pub name: String,
    pub mhz: f64,
    pub constraint_mhz: f64,
    pub met: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Used {
    pub used: u64,
    pub available: u64,
}

/// What of a synthesis is kept: beside the bitstream, and in `constraints/` with the sources.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    pub part: String,
    /// Of place and route.
    pub seed: u32,
    /// As placed: what no block uses of another is gone by then.
    pub luts: u64,
    pub ffs: u64,
    pub block_rams: u64,
    /// The card's clock: what it reaches, and what it needs.
    pub mhz: f64,
    pub needed_mhz: f64,
}

/// The file that they are in.
pub const KEPT: &str = "figures.json";

impl Figures {
    /// Those of the last synthesis of a board, in `folder`, else those with the sources.
    pub fn last(folder: &Path, board: &str) -> Option<Figures> {
        let own = fs::read_to_string(folder.join(board).join(KEPT)).ok();
        let own = own.and_then(|text| serde_json::from_str(&text).ok());
        own.or_else(|| serde_json::from_str(boards::find(board)?.figures).ok())
    }
}

/// Clocks and use of the part, from nextpnr's report.
pub fn placed(report: &str) -> Result<(Vec<Clock>, BTreeMap<String, Used>), Failure> {
    let broken =
        |e: serde_json::Error| Failure::Check(format!("nextpnr's report cannot be read: {e}"));
    let report: Value = serde_json::from_str(report).map_err(broken)?;
    let clocks = report["fmax"].as_object().into_iter().flatten().map(|(name, clock)| {
        let (mhz, constraint) = (clock["achieved"].as_f64(), clock["constraint"].as_f64());
        let (mhz, constraint_mhz) = (mhz.unwrap_or(0.0), constraint.unwrap_or(0.0));
        let name = name.trim_start_matches("$glbnet$").to_string();
        Clock { name, mhz, constraint_mhz, met: mhz >= constraint_mhz }
    });
    let used = report["utilization"].as_object().into_iter().flatten().filter_map(|(kind, of)| {
        let (used, available) = (of["used"].as_u64()?, of["available"].as_u64()?);
        (used > 0).then(|| (kind.clone(), Used { used, available }))
    });
    Ok((clocks.collect(), used.collect()))
}

/// Use of the part from nextpnr's log, which is there even if the design does not fit.
pub fn too_small(log: &str) -> Vec<String> {
    let lines = log.lines().filter_map(|line| {
        let (kind, rest) = line.trim_start_matches("Info:").trim().split_once(':')?;
        let (used, rest) = rest.trim().split_once('/')?;
        let (used, available): (u64, u64) =
            (used.trim().parse().ok()?, rest.split_whitespace().next()?.parse().ok()?);
        let kind = match kind {
            "TRELLIS_COMB" => "LUT",
            "TRELLIS_FF" => "FF",
            "DP16KD" => "block RAM",
            other => other,
        };
        (used > available).then(|| format!("{used} {kind} of {available}"))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_too_small_is_told_by_what_it_lacks() {
        let log = "Info: Device utilisation:\nInfo: \t          TRELLIS_IO:    29/  197    14%\n\
                   Info: \t              DP16KD:    92/   56   164%\nInfo: \t        TRELLIS_COMB: 48000/24288   197%\n";
        assert_eq!(too_small(log), ["92 block RAM of 56", "48000 LUT of 24288"]);
    }

    #[test]
    fn clocks_are_held_against_their_constraints() {
        let report = r#"{"fmax": {"$glbnet$core": {"achieved": 61.5, "constraint": 62.5}},
            "utilization": {"DP16KD": {"used": 3, "available": 56}, "DCUA": {"used": 0, "available": 2}}}"#;
        let (clocks, used) = placed(report).unwrap();
        assert_eq!((clocks[0].name.as_str(), clocks[0].met), ("core", false));
        assert_eq!(used.len(), 1);
    }

    #[test]
    fn tables_of_carries_and_memories_count() {
        let stat = r#"log {"modules": {"\\a": {"num_cells_by_type": {"LUT4": 10, "CCU2C": 3, "TRELLIS_DPR16X4": 2}}, "\\b": {}}}"#;
        let blocks = blocks(stat).unwrap();
        assert_eq!((blocks.len(), blocks[0].area.luts), (1, 28));
    }
}
