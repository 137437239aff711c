//! Which coverage a model counts while it runs.

use std::env;

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// Counts the branches that are taken.
    pub lines: bool,
    /// Counts the rises and falls of signals of any width.
    pub toggles: bool,
    /// The counts of all instances are written when the process ends.
    pub written: bool,
}

impl Counts {
    /// The counts that the environment asks for: `NITOR_COVERAGE` names the folder for them.
    /// `NITOR_TOGGLES` adds toggles.
    pub fn wanted() -> Counts {
        let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let written = set("NITOR_COVERAGE");
        Counts { lines: written, toggles: written && set("NITOR_TOGGLES"), written }
    }

    /// The same counts, and branches in any case.
    pub fn and_lines(self) -> Counts {
        Counts { lines: true, ..self }
    }

    pub(crate) fn verilator(self) -> &'static [&'static str] {
        match self {
            Counts { lines: false, .. } => &[],
            Counts { toggles: false, .. } => &["--coverage-line"],
            _ => &["--coverage-line", "--coverage-toggle"],
        }
    }

    pub(crate) fn defines(self) -> [&'static str; 2] {
        [
            if self.lines { "-DVM_COVERAGE=1" } else { "-DVM_COVERAGE=0" },
            if self.written { "-DNITOR_COUNTS=1" } else { "-DNITOR_COUNTS=0" },
        ]
    }
}
