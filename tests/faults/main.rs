//! Fault tests: faults of the link, of the host and of the wire, each alone and mixed, and how the
//! card handles them.
//!
//! Each fault is injected into queue pair A, while pair B continues and must lose nothing. The card
//! must count exactly what it refuses. Afterwards A works again, if need be after the pair is
//! created anew or the card is reset. docs/faults.md is made from the same list: `NITOR_BLESS=1
//! cargo test --test faults` writes it.

#[path = "../support/mod.rs"]
mod support;

mod document;
mod errors;
mod link;
mod mixed;
mod power;
mod rings;
mod scene;
mod wire;

use std::panic::{catch_unwind, AssertUnwindSafe};

use nitor_abi::mgmt::Counter;
use nitor_sim::checker::Rule;
use nitor_sim::HostConfig;
use scene::Scene;

/// A fault, and what the card does.
pub struct Case {
    pub name: &'static str,
    pub does: &'static str,
    /// Counters that tell of it: at least and at most so much. All others that tell of faults stay.
    pub counters: &'static [(&'static str, u64, u64)],
    /// What the root complex finds, and which is the host's fault.
    pub allowed: &'static [Rule],
    pub after: After,
    pub host: fn(HostConfig) -> HostConfig,
    pub commit: fn(&mut Scene),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    /// A works.
    Nothing,
    /// A works when it has been destroyed and made again.
    Queue,
    /// The card has to be reset.
    Reset,
}

impl After {
    pub fn text(self) -> &'static str {
        match self {
            After::Nothing => "works on",
            After::Queue => "the queue is made anew",
            After::Reset => "a device reset",
        }
    }
}

/// A case in which most is as usual.
pub const CASE: Case = Case {
    name: "",
    does: "",
    counters: &[],
    allowed: &[],
    after: After::Nothing,
    host: |host| host,
    commit: |_| (),
};

/// Whether a counter has nothing to do with faults.
fn is_traffic(name: &str) -> bool {
    Counter::ALL.iter().any(|counter| counter.name() == name && counter.is_traffic())
}

pub fn rooms() -> [(&'static str, &'static [Case]); 4] {
    [
        ("The link", link::CASES),
        ("Power and memory", power::CASES),
        ("Rings", rings::CASES),
        ("The wire", wire::CASES),
    ]
}

fn check(case: &Case, width: u32, seed: u64) {
    println!("{} bits: {}", width, case.name);
    let mut scene = Scene::new(width, seed, case.host);
    scene.others_go_on(8);
    let before = scene.raw.counters();
    (case.commit)(&mut scene);
    if case.after == After::Reset {
        scene.reset();
    }
    scene.others_go_on(24);
    let found = scene.raw.counters();
    for (name, difference) in found.since(&before) {
        let told = case.counters.iter().find(|(counter, ..)| *counter == name);
        let range = told.map_or(0..=0, |(_, least, most)| *least..=*most);
        let harmless = is_traffic(name) && told.is_none();
        assert!(harmless || range.contains(&difference), "{}: {name}: {difference}", case.name);
    }
    for (name, least, _) in case.counters {
        let difference = found.of(name) - before.of(name);
        assert!(difference >= *least, "{}: {name}: only {difference}", case.name);
    }
    if case.after == After::Queue {
        scene.make_a_anew();
    }
    scene.a_works();
    scene.others_go_on(8);
    scene.reset();
    scene.a_works();
    scene.others_go_on(8);
    scene.assert_clean_but(case.allowed);
}

fn check_all(cases: &[Case], seed: u64) {
    let mut failed = vec![];
    // `NITOR_CASE=admin` runs those with that in their name.
    let wanted = std::env::var("NITOR_CASE").unwrap_or_default();
    for width in [128, 512] {
        for (i, case) in cases.iter().enumerate().filter(|(_, c)| c.name.contains(&wanted)) {
            let seed = support::seed(seed + i as u64);
            // All are run, so that one that fails hides no other.
            let run = AssertUnwindSafe(|| check(case, width, seed));
            if catch_unwind(run).is_err() {
                failed.push(format!("{} at {width} bits", case.name));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn faults_of_the_link() {
    check_all(link::CASES, 1000);
}

#[test]
fn faults_of_power_and_memory() {
    check_all(power::CASES, 1100);
}

#[test]
fn faults_of_rings() {
    check_all(rings::CASES, 1200);
}

#[test]
fn faults_of_the_wire() {
    check_all(wire::CASES, 1300);
}
