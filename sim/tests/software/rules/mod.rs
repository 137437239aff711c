//! For each rule of PCI Express, a card that breaks it and is detected; beside it a card that comes
//! close and breaks none.

mod pins;
mod tlps;

use nitor_sim::checker::Rule;
use nitor_sim::tlp::{ByteEnables, Header};
use nitor_sim::{World, CARD_ID};

const MEMORY: u64 = 0x10_0000_0000;
const WHOLE: ByteEnables = ByteEnables { first: 0xf, last: 0xf };
const ONE: ByteEnables = ByteEnables { first: 0xf, last: 0 };

/// The rule that is broken, if one is; by what; and the card.
type Case = (Option<Rule>, &'static str, fn() -> Vec<Rule>);

fn cases() -> impl Iterator<Item = &'static Case> {
    pins::CASES.iter().chain(tlps::CASES)
}

/// `rule` alone, of what was broken by a card that can't break it alone.
fn only(rule: Rule, found: Vec<Rule>) -> Vec<Rule> {
    found.into_iter().filter(|other| *other == rule).collect()
}

/// The rules that were broken, each once.
fn broken(world: &World) -> Vec<Rule> {
    let mut rules = vec![];
    for (_, violation) in world.violations() {
        if !rules.contains(&violation.rule) {
            rules.push(violation.rule);
        }
    }
    rules
}

fn write(address: u64, dwords: u32) -> Header {
    let enables = if dwords == 1 { ONE } else { WHOLE };
    Header::mem_write(CARD_ID, 0, address, dwords, enables)
}

#[test]
fn each_rule_has_a_card_that_breaks_it() {
    let without: Vec<_> =
        Rule::EXPRESS.iter().filter(|rule| cases().all(|case| case.0 != Some(**rule))).collect();
    assert!(without.is_empty(), "no card breaks {without:?}");
}

#[test]
fn broken_cards_are_caught_and_others_are_not() {
    let mut wrong = vec![];
    for (breaks, what, card) in cases() {
        let found = card();
        if found != Vec::from_iter(*breaks) {
            wrong.push(format!("{breaks:?}, {what}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
