//! Rules as the tables of a slice of the match unit.
//!
//! The values of a field fall into classes that no rule tells apart. The classes of addresses, ports,
//! VLANs and ether types are the ranges between the bounds of rules; the classes of the other fields
//! are their values. Each class has an index and a row: a bit for each rule that holds for the class.
//! Classes with the same rules share a row.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::RangeInclusive;

use crate::rule::{Part, Payload, Payloads, Rule, Side, Vlans};

/// How much a slice holds. The numbers are those of `hdl/src/guard/slice.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    rules: usize,
    address_ranges: u32,
    address_rows: u32,
    port_ranges: u32,
    port_rows: u32,
}

/// The fields, by their numbers in a slice.
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
    Flags,
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
        Field::Flags,
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
            Field::Flags => "TCP flags and fragments",
            Field::Side => "interfaces",
        })
    }
}

/// Why rules cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// A rule's number is too large.
    Number {
        number: usize,
        most: usize,
    },
    /// Two rules have this number.
    Twice {
        number: usize,
    },
    Ranges {
        field: Field,
        wanted: usize,
        most: usize,
    },
    Rows {
        field: Field,
        wanted: usize,
        most: usize,
    },
    /// The rows are too many beside those of the set in force.
    Beside {
        field: Field,
        wanted: usize,
        free: usize,
    },
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Unfit::Number { number, most } => {
                write!(f, "rule {number}: there is room for rules 0 to {}", most - 1)
            }
            Unfit::Twice { number } => write!(f, "two rules have number {number}"),
            Unfit::Ranges { field, wanted, most } => {
                write!(f, "{field}: the rules tell {wanted} ranges apart; there is room for {most}")
            }
            Unfit::Rows { field, wanted, most } => write!(
                f,
                "{field}: {wanted} different sets of rules hold for them; there is room for {most}"
            ),
            Unfit::Beside { field, wanted, free } => write!(
                f,
                "{field}: {wanted} sets of rules that hold for them are new; beside the rules in \
                 force there is room for {free}"
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

/// log2 of the ranges of VLANs and of ether types.
const SHORT: u32 = 4;

impl Size {
    /// Ranges and rows of addresses and of ports are given by their log2.
    pub const fn new(
        rules: usize,
        address_ranges: u32,
        address_rows: u32,
        port_ranges: u32,
        port_rows: u32,
    ) -> Self {
        assert!(
            rules > 0 && rules.is_multiple_of(16) && rules <= 4096,
            "blocks of 16 rules, at most 4,096"
        );
        assert!(address_ranges <= 14 && port_ranges <= 14, "a search tree has at most 14 levels");
        assert!(address_rows <= 12 && port_rows <= 12, "a row's number has 12 bits");
        Self { rules, address_ranges, address_rows, port_ranges, port_rows }
    }

    pub fn rules(&self) -> usize {
        self.rules
    }

    /// Of what a field's tree tells apart; `None`: it has no tree.
    pub fn ranges(&self, field: Field) -> Option<u32> {
        match field {
            Field::Source | Field::Destination => Some(self.address_ranges),
            Field::SourcePort | Field::DestinationPort => Some(self.port_ranges),
            Field::Protocol | Field::Vlan => Some(SHORT),
            Field::Flags | Field::Side => None,
        }
    }

    pub fn rows_of(&self, field: Field) -> u32 {
        match field {
            Field::Source | Field::Destination => self.address_rows,
            Field::SourcePort | Field::DestinationPort => self.port_rows,
            Field::Protocol => 6,
            Field::Vlan => 4,
            Field::Flags => 5,
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
        for (number, _) in self.rules.iter().filter(|(_, rule)| holds(rule)) {
            row[number / 64] |= 1 << (number % 64);
        }
        self.index(index, row);
    }

    /// The ranges between the bounds of rules. `of` gives the range of a rule that has one; what is
    /// above `max` is cut.
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
            let wanted = |range: &RangeInclusive<u128>| !range.is_empty() && *range.start() <= max;
            let Some(range) = of(rule).filter(wanted) else {
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
        let (wanted, most) = (self.tables.rows.len(), 1 << self.size.rows_of(self.field));
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
        let mut numbers = BTreeSet::new();
        for &(number, _) in rules {
            if number >= size.rules {
                return Err(Unfit::Number { number, most: size.rules });
            }
            if !numbers.insert(number) {
                return Err(Unfit::Twice { number });
            }
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
            Field::Flags => builder.flags(),
            Field::Side => builder.sides(),
        }
        builder.done()
    }
}

/// The bits that say, in the key of a VLAN and in the index of a protocol, that there is one.
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

    fn flags(&mut self) {
        // Bit 0 of these: a fragment; bit 1: a later one, whatever bit 0 says.
        let parts = [Part::Whole, Part::First, Part::Later, Part::Later];
        for (bits, part) in (0..).zip(parts) {
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
