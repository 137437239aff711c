//! What the match unit takes on ECP5, beside a comparator for each rule, synthesised alike.
//!
//! `cargo test -p nitor-hdl --test guard_area -- --ignored --nocapture` prints the table.

#[path = "proofs/engine.rs"]
#[allow(dead_code)]
mod engine;

use engine::cells;
use nitor_hdl::guard::acl::Acl;
use nitor_hdl::guard::first::First;
use nitor_hdl::guard::words::{Hit, Key, Side};
use nitor_rtl::prelude::*;
use std::collections::BTreeMap;

/// A rule as the array keeps it: each field with a mask, ports with both ends.
#[record]
pub struct Ternary {
    valid: Bit,
    source: Bits<128>,
    source_mask: Bits<128>,
    destination: Bits<128>,
    destination_mask: Bits<128>,
    source_low: Bits<16>,
    source_high: Bits<16>,
    destination_low: Bits<16>,
    destination_high: Bits<16>,
    protocol: Bits<8>,
    protocol_mask: Bits<8>,
    ip: Bit,
    any_payload: Bit,
    ethertype: Bits<16>,
    ethertype_mask: Bits<16>,
    shape: Bits<10>,
    shape_mask: Bits<10>,
    vlan: Bits<13>,
    vlan_mask: Bits<13>,
    side: Bits<9>,
    side_mask: Bits<9>,
}

/// A comparator for each of N rules, and the same search for the first.
#[derive(LogicBlock)]
pub struct Naive<const N: usize, const G: usize> {
    pub clock: Signal<In, Clock>,
    pub key: Signal<In, Key>,
    pub ordered: Signal<In, Bits<G>>,
    pub load: Signal<In, Bit>,
    pub load_at: Signal<In, Bits<12>>,
    pub load_rule: Signal<In, Ternary>,
    pub first: Signal<Out, Hit>,
    pub first_of_groups: Signal<Out, Hit>,
    rules: Vec<Reg<Ternary>>,
    held: Reg<Key>,
    matches: Reg<Bits<N>>,
    firsts: First<N, G>,
}

impl<const N: usize, const G: usize> Default for Naive<N, G> {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            key: Default::default(),
            ordered: Default::default(),
            load: Default::default(),
            load_at: Default::default(),
            load_rule: Default::default(),
            first: Default::default(),
            first_of_groups: Default::default(),
            rules: (0..N).map(|_| Reg::default()).collect(),
            held: Default::default(),
            matches: Default::default(),
            firsts: Default::default(),
        }
    }
}

impl<const N: usize, const G: usize> Logic for Naive<N, G> {
    /// A comparator for each rule.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock; rules[..], held, matches);
        clocked!(self, clock; firsts);
        self.held.d.next = self.key.val();
        let key = self.held.q.val();
        let side = Side { interface: key.interface, outbound: key.outbound }.to_bits::<9>();
        let shape = cat::<2, 8, 10>(key.fragment.to_bits::<2>(), key.flags);
        let tag = bit_cast::<1, 1>(key.tagged.into());
        let vlan = cat::<1, 12, 13>(tag, key.vlan);
        let mut matches = lit::<N>(0);
        for i in 0..N {
            if self.load.val() && self.load_at.val() == lit::<12>(i) {
                self.rules[i].d.next = self.load_rule.val();
            }
            let rule = self.rules[i].q.val();
            let payload = rule.any_payload
                || (rule.ip && key.ip && (key.protocol & rule.protocol_mask) == rule.protocol)
                || (!rule.ip && !key.ip && (key.ethertype & rule.ethertype_mask) == rule.ethertype);
            let holds = rule.valid
                && payload
                && (key.source & rule.source_mask) == rule.source
                && (key.destination & rule.destination_mask) == rule.destination
                && key.source_port >= rule.source_low
                && key.source_port <= rule.source_high
                && key.destination_port >= rule.destination_low
                && key.destination_port <= rule.destination_high
                && (shape & rule.shape_mask) == rule.shape
                && (vlan & rule.vlan_mask) == rule.vlan
                && (side & rule.side_mask) == rule.side;
            matches = matches.replace_bit(i, holds);
        }
        self.matches.d.next = matches;
        self.firsts.rules.next = self.matches.q.val();
        self.firsts.ordered.next = self.ordered.val();
        self.first.next = self.firsts.first.val();
        self.first_of_groups.next = self.firsts.first_of_groups.val();
    }
}

fn row(name: &str, cells: &BTreeMap<String, usize>) {
    let count = |kind: &str| cells.get(kind).copied().unwrap_or(0);
    // As `nitor synth` counts: a carry cell is two LUTs, a small RAM six.
    let luts = count("LUT4") + 2 * count("CCU2C") + 6 * count("TRELLIS_DPR16X4");
    println!("| {name} | {luts} | {} | {} |", count("TRELLIS_FF"), count("DP16KD"));
}

/// LUTs of the array grow by the same number with each rule: 1,024 and 4,096 are left out.
#[test]
#[ignore = "synthesises for minutes"]
fn area() {
    println!("| | LUT4 | FF | DP16KD |\n|---|---:|---:|---:|");
    row("naive 64", &cells("naive_64", Naive::<64, 4>::default));
    row("acl 64", &cells("acl_64", || Acl::<64, 4, 7, 7, 6, 6>::new(1)));
    row("naive 128", &cells("naive_128", Naive::<128, 8>::default));
    row("acl 128", &cells("acl_128", || Acl::<128, 8, 8, 8, 7, 7>::new(1)));
    row("acl 256", &cells("acl_256", || Acl::<256, 16, 9, 9, 8, 8>::new(1)));
    row("acl 1,024", &cells("acl_1024", || Acl::<1024, 64, 11, 11, 9, 10>::new(1)));
}
