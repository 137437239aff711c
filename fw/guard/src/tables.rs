//! A rule set as the tables of a unit of the match unit.
//!
//! For each field, all its values fall into classes that no rule tells apart. A range field's
//! classes are intervals between the bounds of rules; another field's are its values. Each class
//! has a row, a bit for each rule that holds for it, and classes with the same rules share it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::RangeInclusive;

use crate::rule::{Part, Payload, Payloads, Rule, Side, Vlans};

/// How much a unit holds. The numbers are those of `hdl/src/guard/unit.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub rules: usize,
    /// log2 of ranges, and of rows, of addresses and of ports.
    pub address_ranges: u32,
    pub address_rows: u32,
    pub port_ranges: u32,
    pub port_rows: u32,
}

/// The fields, by their numbers in a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    Source,
    Destination,
    SourcePort,
    DestinationPort,
    /// The protocol of IP packets, the ether type of others.
    Protocol,
    Vlan,
    /// TCP flags and fragments.
    Shape,
    /// Interface and direction.
    Side,
}

impl Field {
    pub const ALL: [Field; 8] = [
        Field::Source,
        Field::Destination,
        Field::SourcePort,
        Field::DestinationPort,
        Field::Protocol,
        Field::Vlan,
        Field::Shape,
        Field::Side,
    ];
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Field::Source => "source addresses",
            Field::Destination => "destination addresses",
            Field::SourcePort => "source ports",
            Field::DestinationPort => "destination ports",
            Field::Protocol => "protocols and ether types",
            Field::Vlan => "VLANs",
            Field::Shape => "TCP flags and fragments",
            Field::Side => "interfaces",
        })
    }
}

/// Why rules do not fit into a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    Rules { wanted: usize, most: usize },
    Ranges { field: Field, wanted: usize, most: usize },
    Rows { field: Field, wanted: usize, most: usize },
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Unfit::Rules { wanted, most } => write!(f, "{wanted} rules; there is room for {most}"),
            Unfit::Ranges { field, wanted, most } => {
                write!(f, "{field}: the rules tell {wanted} ranges apart; there is room for {most}")
            }
            Unfit::Rows { field, wanted, most } => write!(
                f,
                "{field}: {wanted} different sets of rules hold for them; there is room for {most}"
            ),
        }
    }
}

/// A bit for each rule.
pub type Row = Vec<u64>;

/// The tables of a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldTables {
    /// Where ranges begin, ascending; none for what has no tree.
    pub bounds: Vec<u128>,
    /// The row of each index, a number in `rows`.
    pub indices: BTreeMap<u16, usize>,
    pub rows: Vec<Row>,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    pub size: Size,
    /// By [Field].
    pub fields: Vec<FieldTables>,
    /// Which blocks of 16 rules are ordered.
    pub ordered: Vec<bool>,
}

/// log2 of the ranges of VLANs and ether types.
pub const FEW: u32 = 4;

impl Size {
    /// Of what a field's tree tells apart; `None`: it has no tree.
    pub fn ranges(&self, field: Field) -> Option<u32> {
        match field {
            Field::Source | Field::Destination => Some(self.address_ranges),
            Field::SourcePort | Field::DestinationPort => Some(self.port_ranges),
            Field::Protocol | Field::Vlan => Some(FEW),
            Field::Shape | Field::Side => None,
        }
    }

    pub fn rows(&self, field: Field) -> u32 {
        match field {
            Field::Source | Field::Destination => self.address_rows,
            Field::SourcePort | Field::DestinationPort => self.port_rows,
            Field::Protocol => 6,
            Field::Vlan => 4,
            Field::Shape => 5,
            Field::Side => 7,
        }
    }

    fn words(&self) -> usize {
        self.rules.div_ceil(64)
    }
}

struct Builder<'a> {
    size: Size,
    rules: &'a [(usize, &'a Rule)],
    field: Field,
    tables: FieldTables,
    known: BTreeMap<Row, usize>,
}

impl<'a> Builder<'a> {
    fn new(size: Size, rules: &'a [(usize, &'a Rule)], field: Field) -> Self {
        Self { size, rules, field, tables: FieldTables::default(), known: BTreeMap::new() }
    }

    fn index(&mut self, index: u16, row: Row) {
        let next = self.tables.rows.len();
        let label = *self.known.entry(row).or_insert_with_key(|row| {
            self.tables.rows.push(row.clone());
            next
        });
        self.tables.indices.insert(index, label);
    }

    /// One value, or several that no rule tells apart.
    fn value(&mut self, index: u16, holds: impl Fn(&Rule) -> bool) {
        let mut row = vec![0; self.size.words()];
        for (number, rule) in self.rules.iter().filter(|(_, rule)| holds(rule)) {
            let _ = rule;
            row[number / 64] |= 1 << (number % 64);
        }
        self.index(index, row);
    }

    /// Bounds of `ranges`, a range for each rule that wants one. Each class's row has also the rules
    /// of `always`.
    fn ranges(
        &mut self,
        max: u128,
        of: impl Fn(&Rule) -> Option<RangeInclusive<u128>>,
    ) -> Result<(), Unfit> {
        let mut bounds = BTreeSet::new();
        // What a rule's bit becomes at a bound.
        let mut changes: BTreeMap<u128, Vec<usize>> = BTreeMap::new();
        let mut row = vec![0; self.size.words()];
        for (number, rule) in self.rules {
            let Some(range) = of(rule).filter(|range| range.start() <= range.end()) else {
                continue;
            };
            let flip = 1 << (number % 64);
            match *range.start() {
                0 => row[number / 64] |= flip,
                start => {
                    bounds.insert(start);
                    changes.entry(start).or_default().push(*number);
                }
            }
            if *range.end() < max {
                bounds.insert(range.end() + 1);
                changes.entry(range.end() + 1).or_default().push(*number);
            }
        }
        let levels = self.size.ranges(self.field).expect("a field with a tree");
        let most = 1 << levels;
        if bounds.len() + 1 > most {
            return Err(Unfit::Ranges { field: self.field, wanted: bounds.len() + 1, most });
        }
        self.index(0, row.clone());
        for (i, bound) in bounds.iter().enumerate() {
            for number in &changes[bound] {
                row[number / 64] ^= 1 << (number % 64);
            }
            self.index(i as u16 + 1, row.clone());
        }
        self.tables.bounds = bounds.into_iter().collect();
        Ok(())
    }

    fn done(self) -> Result<FieldTables, Unfit> {
        let (wanted, most) = (self.tables.rows.len(), 1 << self.size.rows(self.field));
        if wanted > most {
            return Err(Unfit::Rows { field: self.field, wanted, most });
        }
        Ok(self.tables)
    }
}

fn wide(range: &RangeInclusive<u16>) -> RangeInclusive<u128> {
    u128::from(*range.start())..=u128::from(*range.end())
}

impl Tables {
    /// Of rules by their numbers. Blocks of 16 rules are ordered or of groups, as `ordered` says.
    pub fn new(
        size: Size,
        rules: &[(usize, &Rule)],
        ordered: impl Fn(usize) -> bool,
    ) -> Result<Tables, Unfit> {
        if let Some((number, _)) = rules.iter().find(|(number, _)| *number >= size.rules) {
            return Err(Unfit::Rules { wanted: number + 1, most: size.rules });
        }
        let fields = Field::ALL.map(|field| Self::field(size, rules, field));
        let fields = fields.into_iter().collect::<Result<_, _>>()?;
        Ok(Tables { size, fields, ordered: (0..size.rules / 16).map(ordered).collect() })
    }

    fn field(size: Size, rules: &[(usize, &Rule)], field: Field) -> Result<FieldTables, Unfit> {
        let mut builder = Builder::new(size, rules, field);
        let port = u128::from(u16::MAX);
        match field {
            Field::Source => builder.ranges(u128::MAX, |rule| Some(rule.source.clone()))?,
            Field::Destination => {
                builder.ranges(u128::MAX, |rule| Some(rule.destination.clone()))?
            }
            Field::SourcePort => builder.ranges(port, |rule| Some(wide(&rule.source_port)))?,
            Field::DestinationPort => {
                builder.ranges(port, |rule| Some(wide(&rule.destination_port)))?
            }
            Field::Protocol => builder.protocols()?,
            Field::Vlan => builder.vlans()?,
            Field::Shape => builder.shapes(),
            Field::Side => builder.sides(),
        }
        builder.done()
    }
}

/// In the index of a VLAN, and of a protocol: there is one.
const TAGGED: u128 = 1 << 12;
const IP: u16 = 1 << 8;

impl Builder<'_> {
    fn vlans(&mut self) -> Result<(), Unfit> {
        self.ranges(2 * TAGGED - 1, |rule| match &rule.vlans {
            Vlans::Any => Some(0..=2 * TAGGED - 1),
            Vlans::Untagged => Some(0..=TAGGED - 1),
            Vlans::Tagged(range) => Some(TAGGED + wide(range).start()..=TAGGED + wide(range).end()),
        })
    }

    /// Ether types by their ranges, then each protocol.
    fn protocols(&mut self) -> Result<(), Unfit> {
        self.ranges(u128::from(u16::MAX), |rule| match &rule.payloads {
            Payloads::Any => Some(0..=u128::from(u16::MAX)),
            Payloads::Other(range) => Some(wide(range)),
            _ => None,
        })?;
        for protocol in 0..=255 {
            let holds = |rule: &Rule| rule.payloads.holds(Payload::Ip(protocol));
            self.value(IP | u16::from(protocol), holds);
        }
        Ok(())
    }

    fn shapes(&mut self) {
        for (bits, part) in [(0, Part::Whole), (1, Part::First), (3, Part::Later)] {
            for flags in 0..=255 {
                let holds = |rule: &Rule| rule.parts.holds(part) && rule.flags.holds(flags);
                self.value(bits << 8 | u16::from(flags), holds);
            }
        }
    }

    fn sides(&mut self) {
        for outbound in [false, true] {
            for interface in 0..=255 {
                let side = Side { interface, outbound };
                let holds = |rule: &Rule| rule.sides.contains(&side);
                self.value(u16::from(outbound) << 8 | u16::from(interface), holds);
            }
        }
    }
}
