//! The lines that no test reaches, and why: a comment in the source says so beside each.

use crate::counts::{Blocks, Way};
use anyhow::{Context, Result};
use std::fs;

/// Begins the comment, in the line itself or in those above it.
const MARK: &str = "// Never reached: ";

pub struct Hole {
    pub file: String,
    pub line: u32,
    /// The source.
    pub text: String,
    /// None for a line.
    pub way: Option<Way>,
    pub reason: Option<String>,
}

/// The comment's text, if line `at` (from 0) has one.
fn reason(source: &[&str], at: usize) -> Option<String> {
    if let Some((_, reason)) = source[at].split_once(MARK) {
        return Some(reason.to_string());
    }
    let mut above = vec![];
    for line in source[..at].iter().rev() {
        let comment = line.trim().strip_prefix("//")?;
        above.push(comment.trim());
        if let Some(first) = line.trim().strip_prefix(MARK) {
            above.pop();
            above.push(first);
            above.reverse();
            return Some(above.join(" "));
        }
    }
    None
}

pub fn find(blocks: &Blocks) -> Result<Vec<Hole>> {
    let mut holes = vec![];
    for (file, block) in blocks {
        let text = fs::read_to_string(file).with_context(|| file.clone())?;
        let source: Vec<&str> = text.lines().collect();
        let mut hole = |line: u32, way: Option<Way>| {
            let at = (line as usize).saturating_sub(1).min(source.len() - 1);
            holes.push(Hole {
                file: file.clone(),
                line,
                text: source[at].trim().to_string(),
                way,
                reason: reason(&source, at),
            });
        };
        let mut ways = vec![];
        for (line, way, reached) in block.ways() {
            if !reached {
                hole(line, Some(way));
                ways.push(line);
            }
        }
        // Lines within a branch that is not reached say nothing new: the first stands for them.
        let mut before = false;
        for (line, reached) in &block.lines {
            if !reached && !before && !ways.iter().any(|w| *w == *line || *w + 1 == *line) {
                hole(*line, None);
            }
            before = !reached;
        }
    }
    Ok(holes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_stand_beside_the_line() {
        let source =
            ["a", "// Never reached: one", "// and two.", "b", "c // Never reached: three", "d"];
        assert_eq!(reason(&source, 3).as_deref(), Some("one and two."));
        assert_eq!(reason(&source, 4).as_deref(), Some("three"));
        assert_eq!(reason(&source, 5), None);
        assert_eq!(reason(&source, 0), None);
    }
}
