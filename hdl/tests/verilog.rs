//! The cards' Verilog as people and other tools read it: its length, its names, and that slang, if
//! it is installed, does not warn about it. (The tests of each part of the card run Verilator and
//! Icarus Verilog on it.)

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use nitor_hdl::cards::{CARD_128, CARD_512};
use nitor_hdl::{emit_board, emit_card, CardSpec, BOARDS, CARDS};
use nitor_rtl::Module;

/// Lines that a card's Verilog may have.
const LIMITS: [(&CardSpec, usize); 2] = [(&CARD_128, 20_000), (&CARD_512, 21_000)];

#[test]
fn width_adds_no_lines() {
    for (card, most) in LIMITS {
        let design = emit_card(card).unwrap();
        let lines: usize = design.modules().iter().map(|m| m.text.lines().count()).sum();
        assert!(lines <= most, "{lines} lines of {}", card.name);
    }
}

/// The words of a line that are names.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or(line);
    code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|w| w.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// Names of the module that end in a number for no reason: there is neither a twin without it, nor an array.
fn made_up(module: &Module) -> Vec<String> {
    let names: BTreeSet<&str> = module.text.lines().flat_map(words).collect();
    let declares = ["wire", "reg", "integer", "input", "output"];
    let mut found = vec![];
    for line in module.text.lines() {
        let mut all = words(line).skip_while(|w| !declares.contains(w));
        let Some(name) = all.find(|w| !declares.contains(w)) else { continue };
        let Some((stem, number)) = name.rsplit_once('_') else { continue };
        // Twins are counted from 2; numbers of widths are the kernel's own.
        if !number.parse::<u32>().is_ok_and(|n| (2..100).contains(&n)) {
            continue;
        }
        let twin = names.contains(stem) || names.contains(format!("{stem}_").as_str());
        let sibling = |n: &&str| {
            let other = n.strip_prefix(stem).and_then(|n| n.strip_prefix('_'));
            let other = other.map(|n| n.split('_').next().unwrap_or(n));
            other.is_some_and(|n| n != number && n.parse::<u32>().is_ok())
        };
        let array = names.iter().any(sibling);
        if !twin && !array {
            found.push(format!("{}: {name}", module.name));
        }
    }
    found
}

#[test]
fn no_name_is_made_up() {
    for (card, _) in LIMITS {
        let design = emit_card(card).unwrap();
        let found: Vec<String> = design.modules().iter().flat_map(made_up).collect();
        assert!(found.is_empty(), "{found:#?}");
        // What the emitter called its wires before they had names.
        for module in design.modules() {
            for name in module.text.lines().flat_map(words) {
                let old = ["replaced", "mux", "cond", "select"];
                assert!(!old.contains(&name), "{}: {name}", module.name);
            }
        }
    }
}

#[test]
fn slang_takes_every_card_without_a_word() {
    let slang = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/slang/bin/slang");
    if !slang.is_file() {
        assert!(std::env::var_os("NITOR_REQUIRE_TOOLS").is_none(), "slang is not installed");
        eprintln!("SKIPPED: slang is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cards = CARDS.iter().map(|card| (card.name.to_string(), emit_card(card).unwrap()));
    let boards = BOARDS.map(|name| (format!("board {name}"), emit_board(name).unwrap()));
    for (name, design) in cards.chain(boards) {
        let file = folder.path().join("card.v");
        std::fs::write(&file, design.to_string()).unwrap();
        let mut run = Command::new(&slang);
        run.args(["-Wextra", "-Wconversion", "-Werror", "--top", design.top()]);
        // Cells of the FPGA's vendor.
        run.arg("--ignore-unknown-modules").arg(&file);
        let said = run.output().unwrap();
        let text = String::from_utf8_lossy(&said.stderr);
        let text = format!("{}{text}", String::from_utf8_lossy(&said.stdout));
        assert!(said.status.success() && text.is_empty(), "{name}: {text}");
    }
}
