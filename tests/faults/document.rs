//! Writes docs/faults.md from the cases themselves.

use std::fmt::Write;
use std::path::Path;

use super::{rooms, Case};

fn counters(case: &Case) -> String {
    let texts = case.counters.iter().map(|(name, least, most)| match (least, most) {
        (least, most) if least == most => format!("`{name}` {least}"),
        (0, most) => format!("`{name}` up to {most}"),
        (least, most) => format!("`{name}` {least} to {most}"),
    });
    texts.collect::<Vec<_>>().join(", ")
}

fn document() -> String {
    let mut text = String::from(
        "# What may go wrong, and what the card does\n\n\
         Made by `tests/faults` from the cases it runs, at both widths; `NITOR_BLESS=1 cargo test --test faults` writes it.\n\n\
         In each case queue pair A suffers, and pair B sends and receives meanwhile and loses nothing. The counters are the\n\
         card's own, as GET_STATS of type 1 gives them to a driver (`Ena::counters`); those not named stand still, which is checked too. \
         The last column says what it takes until A works again. After every case a reset\n\
         makes the card as new.\n",
    );
    for (room, cases) in rooms() {
        writeln!(text, "\n## {room}\n").unwrap();
        writeln!(text, "| fault | what the card does | counted | then |\n|---|---|---|---|")
            .unwrap();
        for case in cases {
            let (name, does, after) = (case.name, case.does, case.after.text());
            writeln!(text, "| {name} | {does} | {} | {after} |", counters(case)).unwrap();
        }
    }
    text
}

#[test]
fn the_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md");
    let text = document();
    if std::env::var_os("NITOR_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "docs/faults.md is old: NITOR_BLESS=1 cargo test --test faults");
}
