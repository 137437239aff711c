//! Rules and headers at random, and how the match unit takes them.
#![allow(dead_code)] // each bench uses a part

#[path = "../control_support/mod.rs"]
mod control_support;

pub use control_support::model;

use nitor_block::bitvec::prelude::*;
use nitor_block::{Block, Model, Rng};
use nitor_guard::rule::{Flags, Part, Parts, Payload, Payloads, Vlans, IPV4};
use nitor_guard::rule::{Headers, Rule, Side};
use nitor_guard::tables::Field;
use nitor_guard::Write;
use nitor_hdl::guard::slice::table;
use std::ops::RangeInclusive;

/// A block out of reset, its inputs 0.
pub fn start(model: &Model, seed: u64) -> Block {
    let mut block = model.block(seed);
    control_support::set_all_inputs_low(&mut block);
    block.reset(2);
    block
}

/// Fields one behind another, the first in the lowest bits.
#[derive(Default)]
pub struct Packed(BitVec);

impl Packed {
    pub fn with(mut self, width: usize, value: u128) -> Self {
        assert!(width == 128 || value >> width == 0, "{value:#x} in {width} bits");
        self.0.extend((0..width).map(|i| value >> i & 1 == 1));
        self
    }

    pub fn set(&self, block: &mut Block, port: &str) {
        block.set_bits(port, &self.0);
    }
}

/// As [nitor_hdl::guard::words::Key] has them; what says nothing is at random.
pub fn key(rng: &mut Rng, headers: &Headers) -> Packed {
    let any = rng.next();
    let (ip, protocol, ethertype) = match headers.payload {
        Payload::Ip(protocol) => (1, protocol, any as u16),
        Payload::Other(ethertype) => (0, any as u8, ethertype),
    };
    // Of a later fragment the bit beside says nothing.
    let fragment = match headers.part {
        Part::Whole => 0,
        Part::First => 1,
        Part::Later => u128::from(any >> 32 & 1),
    };
    Packed::default()
        .with(8, headers.side.interface.into())
        .with(1, headers.side.outbound.into())
        .with(1, headers.vlan.is_some().into())
        .with(12, headers.vlan.unwrap_or((any >> 16) as u16 & 0xfff).into())
        .with(16, ethertype.into())
        .with(1, ip)
        .with(8, protocol.into())
        .with(1, fragment)
        .with(1, (headers.part == Part::Later).into())
        .with(8, headers.flags.into())
        .with(128, headers.source)
        .with(128, headers.destination)
        .with(16, headers.source_port.into())
        .with(16, headers.destination_port.into())
}

/// Offers a write in this cycle.
pub fn load(block: &mut Block, slice: usize, write: &Write) {
    let at =
        |bank: bool, node: u16, level: u32| (u128::from(bank), u128::from(node), u128::from(level));
    let mut rules = BitVec::<u64>::new();
    let (table, (bank, node, level), row) = match write {
        Write::Row { field, row, rules: words } => {
            rules = BitVec::from_slice(words);
            (table::ROWS + *field as usize, at(false, 0, 0), *row)
        }
        Write::Index { field, bank, index, row } => {
            (table::INDICES + *field as usize, at(*bank, *index, 0), *row)
        }
        Write::Node { field, bank, level, node, bound } => {
            let width = match field {
                Field::Source | Field::Destination => 128,
                Field::Vlan => 13,
                _ => 16,
            };
            assert!(width == 128 || bound.unwrap_or(0) >> width == 0, "{write:?}");
            Packed::default()
                .with(128, bound.unwrap_or(0))
                .with(1, bound.is_none().into())
                .set(block, "load_bound");
            (*field as usize, at(*bank, *node, *level), 0)
        }
        Write::Ordered { bank, blocks } => {
            rules.extend(blocks);
            (table::ORDERED, at(*bank, 0, 0), 0)
        }
        Write::Switch { bank } => (table::SWITCH, at(*bank, 0, 0), 0),
    };
    rules.resize(block.width("load_rules"), false);
    block.set_bits("load_rules", &rules);
    block.set("load_slice", slice as u64);
    Packed::default()
        .with(5, table as u128)
        .with(1, bank)
        .with(14, node)
        .with(4, level)
        .with(12, row.into())
        .set(block, "load_to");
    block.set("load_valid", 1);
}

/// Random rules of a network whose parts overlap.
pub struct Network {
    pub rng: Rng,
    addresses: Vec<u128>,
    sides: Vec<Side>,
}

impl Network {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let mut addresses = vec![0, u128::MAX, IPV4, IPV4 | 0xffff_ffff];
        for _ in 0..12 {
            let near = *rng.pick(&addresses);
            let high = u128::from(rng.next()) << 64 | u128::from(rng.next());
            addresses.push(match rng.below(4) {
                0 => high,
                1 => IPV4 | high & 0xffff_ffff,
                _ => near ^ (1 << rng.below(32)),
            });
        }
        let side = |rng: &mut Rng| Side { interface: rng.next() as u8, outbound: rng.percent(50) };
        let sides = (0..6).map(|_| side(&mut rng)).collect();
        Self { rng, addresses, sides }
    }

    pub fn sides(&self) -> &[Side] {
        &self.sides
    }

    fn prefix(&mut self) -> RangeInclusive<u128> {
        let address = *self.rng.pick(&self.addresses);
        // Some prefixes of either family, some addresses, everything.
        let free = match self.rng.below(9) {
            0..=3 => return 0..=u128::MAX,
            4 => 0,
            5 => self.rng.below(8) as u32,
            6 => self.rng.below(33) as u32,
            _ => self.rng.below(129) as u32,
        };
        let mask = if free == 128 { u128::MAX } else { (1 << free) - 1 };
        address & !mask..=address | mask
    }

    fn ports(&mut self) -> RangeInclusive<u16> {
        let [a, b] = [0; 2].map(|_| *self.rng.pick(&[0, 1, 22, 80, 443, 1023, 1024, 8080, 65535]));
        match self.rng.below(4) {
            0 | 1 => 0..=65535,
            2 => a..=a,
            _ => a.min(b)..=a.max(b),
        }
    }

    /// A rule, half of the time with conditions on two fields at most.
    pub fn rule(&mut self) -> Rule {
        let rule = self.narrow();
        if self.rng.percent(50) {
            return rule;
        }
        let mut wide = Rule { sides: rule.sides.clone(), ..Rule::default() };
        for _ in 0..2 {
            match self.rng.below(6) {
                0 => wide.source = rule.source.clone(),
                1 => wide.destination = rule.destination.clone(),
                2 => wide.source_port = rule.source_port.clone(),
                3 => wide.destination_port = rule.destination_port.clone(),
                4 => wide.payloads = rule.payloads.clone(),
                _ => wide.vlans = rule.vlans.clone(),
            }
        }
        wide
    }

    fn narrow(&mut self) -> Rule {
        let sides = self.sides.iter().copied().filter(|_| self.rng.percent(50)).collect();
        let value = self.rng.next() as u8;
        let vlan = self.rng.below(3) as u16 * 100;
        Rule {
            sides,
            vlans: match self.rng.below(8) {
                0 => Vlans::Untagged,
                1 => Vlans::Tagged(vlan..=vlan),
                2 => Vlans::Tagged(vlan..=0xfff),
                _ => Vlans::Any,
            },
            payloads: match self.rng.below(8) {
                0 | 1 => Payloads::Any,
                2 => Payloads::AnyIp,
                3 => Payloads::Other(0x806..=0x806),
                4 => Payloads::Other(0x8000..=0xffff),
                _ => Payloads::Ip(*self.rng.pick(&[1, 6, 17, 58, 255])),
            },
            parts: match self.rng.below(10) {
                0 => Parts::Whole,
                1 => Parts::First,
                2 => Parts::Later,
                3 => Parts::Head,
                _ => Parts::Any,
            },
            flags: match self.rng.below(5) {
                0 => Flags { mask: 0x12, value: 0x02 },
                1 => Flags { mask: 0x04, value },
                _ => Flags::default(),
            },
            source: self.prefix(),
            destination: self.prefix(),
            source_port: self.ports(),
            destination_port: self.ports(),
        }
    }

    fn near(&mut self, range: &RangeInclusive<u128>) -> u128 {
        match self.rng.below(5) {
            0 => *range.start(),
            1 => *range.end(),
            2 => range.start().wrapping_sub(1),
            3 => range.end().wrapping_add(1),
            _ => *self.rng.pick(&self.addresses),
        }
    }

    fn near_port(&mut self, range: &RangeInclusive<u16>) -> u16 {
        match self.rng.below(5) {
            0 => *range.start(),
            1 => *range.end(),
            2 => range.start().wrapping_sub(1),
            3 => range.end().wrapping_add(1),
            _ => self.rng.next() as u16,
        }
    }

    /// Headers that satisfy one of the rules, or nearly.
    pub fn headers(&mut self, rules: &[(usize, Rule)]) -> Headers {
        let rule = if rules.is_empty() { self.rule() } else { self.rng.pick(rules).1.clone() };
        let mut side =
            *self.rng.pick(if rule.sides.is_empty() { &self.sides } else { &rule.sides });
        if self.rng.percent(5) {
            // Mostly one without a rule.
            side.interface = self.rng.next() as u8;
        }
        let mut flags = self.rng.next() as u8;
        if self.rng.percent(60) {
            flags = flags & !rule.flags.mask | rule.flags.value & rule.flags.mask;
        }
        Headers {
            side,
            vlan: match &rule.vlans {
                Vlans::Tagged(range) if self.rng.percent(80) => Some(self.near_port(range) & 0xfff),
                _ => self.rng.percent(30).then_some(self.rng.below(4096) as u16),
            },
            payload: match &rule.payloads {
                Payloads::Ip(protocol) if self.rng.percent(80) => Payload::Ip(*protocol),
                Payloads::Other(range) if self.rng.percent(80) => {
                    Payload::Other(self.near_port(range))
                }
                _ if self.rng.percent(80) => Payload::Ip(self.rng.next() as u8),
                _ => Payload::Other(self.rng.next() as u16),
            },
            part: *self.rng.pick(&[Part::Whole, Part::Whole, Part::First, Part::Later]),
            flags,
            source: self.near(&rule.source),
            destination: self.near(&rule.destination),
            source_port: self.near_port(&rule.source_port),
            destination_port: self.near_port(&rule.destination_port),
        }
    }
}
