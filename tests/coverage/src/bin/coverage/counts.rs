//! Reads Verilator's counts, merges them and sorts them by source file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A way that a line of the source may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    Then,
    Else,
    /// An arm of a `match`.
    Arm,
}

impl Way {
    pub fn text(self) -> &'static str {
        match self {
            Way::Then => "taken",
            Way::Else => "not taken",
            Way::Arm => "this arm",
        }
    }
}

/// So many of so many.
#[derive(Clone, Copy, Default, PartialEq)]
pub struct Share {
    pub some: usize,
    pub all: usize,
}

impl Share {
    pub fn percent(self) -> f64 {
        match self.all {
            0 => 100.0,
            all => 100.0 * self.some as f64 / all as f64,
        }
    }

    pub fn of(reached: impl Iterator<Item = bool>) -> Share {
        reached
            .fold(Share::default(), |s, r| Share { some: s.some + usize::from(r), all: s.all + 1 })
    }
}

impl std::ops::Add for Share {
    type Output = Share;

    fn add(self, other: Share) -> Share {
        Share { some: self.some + other.some, all: self.all + other.all }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} ({:.1} %)", self.some, self.all, self.percent())
    }
}

/// What is counted in a file of kernels.
#[derive(Default)]
pub struct Block {
    pub lines: BTreeMap<u32, bool>,
    /// By the Verilog's kind of branch: an `if` statement that drives signals, or a multiplexer of a
    /// variable, which stands for itself even in a branch that is not taken. Both must be reached.
    ways: BTreeMap<(u32, Way), BTreeMap<&'static str, bool>>,
    pub toggles: Share,
}

impl Block {
    pub fn ways(&self) -> impl Iterator<Item = (u32, Way, bool)> + '_ {
        self.ways.iter().map(|(&(line, way), kinds)| (line, way, kinds.values().all(|r| *r)))
    }

    pub fn lines_share(&self) -> Share {
        Share::of(self.lines.values().copied())
    }

    pub fn branches_share(&self) -> Share {
        Share::of(self.ways().map(|(_, _, reached)| reached))
    }
}

pub type Blocks = BTreeMap<String, Block>;

#[derive(Default)]
pub struct Counts {
    blocks: Blocks,
    /// By module without its generics: signal, bit and direction.
    toggles: BTreeMap<String, BTreeMap<String, bool>>,
    /// How many points of a module are in which file.
    homes: BTreeMap<String, BTreeMap<String, usize>>,
}

/// `tx_out_512_64` and `tx_out_v2` are the block `tx_out`.
fn stem(module: &str) -> String {
    let parts: Vec<&str> = module.split('_').collect();
    let version = |p: &str| p.strip_prefix('v').unwrap_or(p).bytes().all(|b| b.is_ascii_digit());
    let end = parts.iter().rposition(|p| !version(p)).map_or(1, |i| i + 1);
    parts[..end].join("_")
}

/// The numbers of `3-5,9`.
fn numbers(list: &str) -> BTreeSet<u32> {
    let ranges = list.split(',').filter_map(|part| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some(from.parse::<u32>().ok()?..=to.parse::<u32>().ok()?)
    });
    ranges.flatten().collect()
}

impl Counts {
    /// Adds a file as Verilator writes it.
    pub fn add(&mut self, text: &str) {
        for line in text.lines() {
            let Some((keys, count)) = line.strip_prefix("C '").and_then(|l| l.rsplit_once("' "))
            else {
                continue;
            };
            let reached = count.trim().parse::<u64>().is_ok_and(|n| n > 0);
            let fields: BTreeMap<&str, &str> =
                keys.split('\u{1}').filter_map(|f| f.split_once('\u{2}')).collect();
            let field = |name| *fields.get(name).unwrap_or(&"");
            let (page, module) = field("page").split_once('/').unwrap_or_default();
            if page == "v_toggle" {
                if module != "nitor_block" {
                    let bits = self.toggles.entry(stem(module)).or_default();
                    *bits.entry(field("o").to_string()).or_default() |= reached;
                }
                continue;
            }
            if !field("f").starts_with("hdl/src/") {
                continue;
            }
            *self
                .homes
                .entry(stem(module))
                .or_default()
                .entry(field("f").to_string())
                .or_default() += 1;
            let block = self.blocks.entry(field("f").to_string()).or_default();
            for line in numbers(field("S")) {
                *block.lines.entry(line).or_default() |= reached;
            }
            let (way, kind) = match field("o") {
                "if" | "elsif" => (Way::Then, "statement"),
                "else" => (Way::Else, "statement"),
                "cond_then" => (Way::Then, "multiplexer"),
                "cond_else" => (Way::Else, "multiplexer"),
                "case" => (Way::Arm, "statement"),
                _ => continue,
            };
            let Ok(number) = field("l").parse() else { continue };
            *block.ways.entry((number, way)).or_default().entry(kind).or_default() |= reached;
        }
    }

    /// The blocks by their files.
    pub fn blocks(mut self) -> Blocks {
        for (module, bits) in &self.toggles {
            let home = self.homes.get(module);
            let Some((file, _)) = home.and_then(|h| h.iter().max_by_key(|(_, n)| **n)) else {
                continue;
            };
            let block = self.blocks.entry(file.clone()).or_default();
            block.toggles = block.toggles + Share::of(bits.values().copied());
        }
        self.blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_without_generics() {
        for (module, block) in
            [("tx_out_512_64", "tx_out"), ("fifo_v3", "fifo"), ("mac", "mac"), ("crc32_8", "crc32")]
        {
            assert_eq!(stem(module), block);
        }
    }

    #[test]
    fn merged() {
        let point = |line: u32, way: &str, count: u32| {
            format!(
                "C '\u{1}f\u{2}hdl/src/a.rs\u{1}l\u{2}{line}\u{1}n\u{2}3\u{1}page\u{2}v_branch/a_8\
                 \u{1}o\u{2}{way}\u{1}S\u{2}{line}-{}\u{1}h\u{2}top.a' {count}\n",
                line + 1
            )
        };
        let mut counts = Counts::default();
        // What one model reached stays reached.
        counts.add(&point(3, "else", 1));
        counts.add(&(point(3, "if", 2) + &point(3, "else", 0) + &point(3, "cond_then", 0)));
        let blocks = counts.blocks();
        let ways: Vec<_> = blocks["hdl/src/a.rs"].ways().collect();
        // The multiplexer was never seen taken.
        assert_eq!(ways, [(3, Way::Then, false), (3, Way::Else, true)]);
        assert_eq!(blocks["hdl/src/a.rs"].lines_share().some, 2);
    }
}
