//! The boards, and their FPGAs as nextpnr and ecppack name them. Pins and clocks are in
//! `constraints/<name>/board.lpf`.

/// A board.
#[derive(Debug)]
pub struct Board {
    pub name: &'static str,
    pub part: &'static str,
    /// nextpnr's flags for the part.
    pub device: &'static str,
    pub package: &'static str,
    pub speed: &'static str,
    /// The card takes most of the part: area goes before speed.
    pub crowded: bool,
    pub constraints: &'static str,
    /// Of the synthesis that docs/boards.md tells of.
    pub figures: &'static str,
}

pub const BOARDS: [Board; 4] = [
    Board {
        name: "colorlight-5a-75b",
        part: "LFE5U-25F-6BG256C",
        device: "--25k",
        package: "CABGA256",
        speed: "6",
        crowded: true,
        constraints: include_str!("../../constraints/colorlight-5a-75b/board.lpf"),
        figures: include_str!("../../constraints/colorlight-5a-75b/figures.json"),
    },
    Board {
        name: "colorlight-i9",
        part: "LFE5U-45F-6BG381C",
        device: "--45k",
        package: "CABGA381",
        speed: "6",
        crowded: true,
        constraints: include_str!("../../constraints/colorlight-i9/board.lpf"),
        figures: include_str!("../../constraints/colorlight-i9/figures.json"),
    },
    Board {
        name: "ecp5-evn",
        part: "LFE5UM5G-85F-8BG381",
        device: "--um5g-85k",
        package: "CABGA381",
        speed: "8",
        crowded: false,
        constraints: include_str!("../../constraints/ecp5-evn/board.lpf"),
        figures: include_str!("../../constraints/ecp5-evn/figures.json"),
    },
    Board {
        name: "ulx3s-85f",
        part: "LFE5U-85F-6BG381C",
        device: "--85k",
        package: "CABGA381",
        speed: "6",
        crowded: false,
        constraints: include_str!("../../constraints/ulx3s-85f/board.lpf"),
        figures: include_str!("../../constraints/ulx3s-85f/figures.json"),
    },
];

pub fn find(name: &str) -> Option<&'static Board> {
    BOARDS.iter().find(|board| board.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pin of a top has a place, and every place a pin.
    #[test]
    fn constraints_name_all_pins() {
        assert_eq!(BOARDS.each_ref().map(|b| b.name), nitor_hdl::BOARDS);
        for board in &BOARDS {
            let design = nitor_hdl::emit_board(board.name).unwrap();
            let mut pins: Vec<String> = vec![];
            for port in design.ports() {
                match port.width {
                    1 => pins.push(port.name.clone()),
                    n => pins.extend((0..n).map(|i| format!("{}[{i}]", port.name))),
                }
            }
            let named = |start: &str| {
                let lines = board.constraints.lines().filter_map(|l| l.strip_prefix(start));
                let mut names: Vec<_> =
                    lines.filter_map(|l| l.split('"').nth(1).map(str::to_owned)).collect();
                names.sort();
                names
            };
            pins.sort();
            assert_eq!(pins, named("LOCATE COMP "), "{}", board.name);
            assert_eq!(pins, named("IOBUF PORT "), "{}", board.name);
            let mut sites: Vec<_> =
                board.constraints.lines().filter_map(|l| l.split("SITE").nth(1)).collect();
            sites.sort();
            let all = sites.len();
            sites.dedup();
            assert_eq!(sites.len(), all, "{}: a site is used twice", board.name);
        }
    }
}
