//! docs/registers.md is made of the definitions: this writes it anew, if told to.

use nitor_abi::{bar, mgmt, rx, tx};
use std::fmt::Write;
use std::fs;
use std::ops::Range;
use std::path::Path;

type Layout = &'static [(&'static str, &'static [Range<usize>])];
type Docs = &'static [(&'static str, &'static str)];

/// The text of doc comments, which are attributes here: `doc = r" a"doc = r" b"`.
fn text(attributes: &str) -> String {
    // Long ones are broken behind the `=`.
    let flat = attributes.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines = flat.split("doc = ").filter(|line| !line.trim().is_empty());
    let quotes = |c: char| c == '#' || c == '"';
    let lines = lines.map(|line| line.trim().trim_start_matches('r').trim_matches(quotes).trim());
    let text = lines.collect::<Vec<_>>().join(" ");
    assert!(!text.contains("doc ="), "{text}");
    // Links lead nowhere here: their words stay.
    let words = text.split('[').enumerate().map(|(n, part)| match part.split_once(']') {
        Some((name, rest)) if n > 0 => {
            let rest = match rest.strip_prefix('(') {
                Some(target) => target.split_once(')').map_or("", |(_, rest)| rest),
                None => rest,
            };
            format!("`{name}`{rest}")
        }
        _ => part.to_string(),
    });
    words.collect()
}

fn bits(place: &Range<usize>) -> String {
    let (word, low, high) = (place.start / 32, place.start % 32, (place.end - 1) % 32);
    match (place.len(), place.end.div_ceil(32) - 1 == word) {
        (1, _) => format!("{word}[{low}]"),
        (_, true) => format!("{word}[{high}:{low}]"),
        (_, false) => format!("{}[{high}:0] to {word}[31:{low}]", (place.end - 1) / 32),
    }
}

fn record(out: &mut String, name: &str, layout: Layout, docs: Docs) {
    let _ = writeln!(out, "\n### {name}\n\n| field | word[bits] | |\n|---|---|---|");
    for ((field, places), (_, about)) in layout.iter().zip(docs) {
        let places: Vec<_> = places.iter().rev().map(bits).collect();
        let _ = writeln!(out, "| `{field}` | {} | {} |", places.join(", "), text(about));
    }
}

fn addresses<T: Into<u32> + Copy>(out: &mut String, all: &[(&str, T, &str, &str)]) {
    let _ = writeln!(out, "\n| offset | name | | |\n|---|---|---|---|");
    for (name, address, access, about) in all {
        let address: u32 = (*address).into();
        let _ = writeln!(out, "| 0x{address:03x} | {name} | {access} | {} |", text(about));
    }
}

macro_rules! records {
    ($out:expr, $module:ident: $($record:ident),*) => {
        $(record($out, stringify!($record), $module::$record::LAYOUT, $module::$record::DOCS);)*
    };
}

fn document() -> String {
    let mut out = String::from(
        "# Registers and descriptors\n\n\
         Made of `abi/src`, from which hardware, firmware and driver take them too; after a change\n\
         there: `NITOR_DOCS=write cargo test -p nitor-abi --test document`. Fields in several\n\
         pieces have the most significant first. What is reserved is left out: it is written as 0\n\
         and not looked at.\n\n\
         ## Control registers, at BAR0\n",
    );
    addresses(&mut out, bar::CONTROL);
    records!(&mut out, bar: Version, ControllerVersion, Caps, QueueCaps, DevCtl, DevSts,
        ReadlessRequest, ReadlessResponse, Interrupt);
    out += "\n## Transmit\n";
    records!(&mut out, tx: TxData, TxMeta, TxCompletion);
    out += "\n## Receive\n";
    records!(&mut out, rx: RxDesc, RxCompletion);
    out += "\n## The management bus\n\nThe firmware's; no part of ENA.\n";
    addresses(&mut out, mgmt::REGISTERS);
    records!(&mut out, mgmt: Config, Lines, Status, DmaState, CtxParam, CtxCmd, RssEntry);
    out += "\n## Counters\n\nIn the order of STATS.\n\n";
    for counter in mgmt::Counter::ALL {
        let _ = writeln!(out, "{}. `{}`", *counter as u8, counter.name());
    }
    out
}

#[test]
fn the_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/registers.md");
    let made = document();
    if std::env::var_os("NITOR_DOCS").is_some_and(|what| what == "write") {
        fs::write(&path, &made).unwrap();
    }
    let said = fs::read_to_string(&path).unwrap_or_default();
    assert!(said == made, "docs/registers.md is old: NITOR_DOCS=write writes it anew");
}
