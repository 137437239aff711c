//! A rule, and the headers that it is about.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

/// IPv4 addresses are the lowest 32 bits of ::ffff:0:0/96.
pub const IPV4: u128 = 0xffff << 32;

/// An interface, and whether frames leave by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Side {
    pub interface: u8,
    pub outbound: bool,
}

/// What a frame is beyond Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// An IP packet of this protocol.
    Ip(u8),
    /// Something else, by its ether type.
    Other(u16),
}

/// Whether a packet is a fragment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    #[default]
    Whole,
    First,
    /// Not the first: it has no ports.
    Later,
}

/// The headers of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    pub side: Side,
    pub vlan: Option<u16>,
    pub payload: Payload,
    pub part: Part,
    /// Of TCP, from FIN in bit 0 to CWR in bit 7; else 0.
    pub flags: u8,
    pub source: u128,
    pub destination: u128,
    /// Of ICMP the type. Protocols without ports, and later fragments, have 0 in both.
    pub source_port: u16,
    /// Of ICMP the code.
    pub destination_port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payloads {
    Any,
    AnyIp,
    Ip(u8),
    Other(RangeInclusive<u16>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vlans {
    Any,
    Untagged,
    Tagged(RangeInclusive<u16>),
}

/// The TCP flags in `mask` are as in `value`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flags {
    pub mask: u8,
    pub value: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Parts {
    #[default]
    Any,
    Whole,
    First,
    Later,
    /// A whole packet or a first fragment: one with ports.
    Head,
}

/// A condition on each field. A frame satisfies the rule if it satisfies all of them.
///
/// A rule with a condition on ports or flags wants [`Parts::Head`]: a later fragment has neither, and
/// counts as having 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where the rule applies.
    pub sides: Vec<Side>,
    pub vlans: Vlans,
    pub payloads: Payloads,
    pub parts: Parts,
    pub flags: Flags,
    pub source: RangeInclusive<u128>,
    pub destination: RangeInclusive<u128>,
    pub source_port: RangeInclusive<u16>,
    pub destination_port: RangeInclusive<u16>,
}

impl Default for Rule {
    /// Everything, nowhere.
    fn default() -> Self {
        Self {
            sides: Vec::new(),
            vlans: Vlans::Any,
            payloads: Payloads::Any,
            parts: Parts::Any,
            flags: Flags::default(),
            source: 0..=u128::MAX,
            destination: 0..=u128::MAX,
            source_port: 0..=u16::MAX,
            destination_port: 0..=u16::MAX,
        }
    }
}

impl Parts {
    pub fn holds(self, part: Part) -> bool {
        match self {
            Parts::Any => true,
            Parts::Whole => part == Part::Whole,
            Parts::First => part == Part::First,
            Parts::Later => part == Part::Later,
            Parts::Head => part != Part::Later,
        }
    }
}

impl Flags {
    pub fn holds(self, flags: u8) -> bool {
        flags & self.mask == self.value & self.mask
    }
}

impl Payloads {
    pub fn holds(&self, payload: Payload) -> bool {
        match (self, payload) {
            (Payloads::Any, _) | (Payloads::AnyIp, Payload::Ip(_)) => true,
            (Payloads::Ip(wanted), Payload::Ip(protocol)) => *wanted == protocol,
            (Payloads::Other(wanted), Payload::Other(ethertype)) => wanted.contains(&ethertype),
            _ => false,
        }
    }
}

impl Vlans {
    pub fn holds(&self, vlan: Option<u16>) -> bool {
        match (self, vlan) {
            (Vlans::Any, _) | (Vlans::Untagged, None) => true,
            (Vlans::Tagged(wanted), Some(vlan)) => wanted.contains(&vlan),
            _ => false,
        }
    }
}

impl Rule {
    pub fn holds(&self, headers: &Headers) -> bool {
        self.sides.contains(&headers.side)
            && self.vlans.holds(headers.vlan)
            && self.payloads.holds(headers.payload)
            && self.parts.holds(headers.part)
            && self.flags.holds(headers.flags)
            && self.source.contains(&headers.source)
            && self.destination.contains(&headers.destination)
            && self.source_port.contains(&headers.source_port)
            && self.destination_port.contains(&headers.destination_port)
    }
}

/// The first rule that a frame satisfies: the reference for the match unit.
pub fn first<'a>(
    rules: impl IntoIterator<Item = (usize, &'a Rule)>,
    headers: &Headers,
) -> Option<usize> {
    rules.into_iter().find(|(_, rule)| rule.holds(headers)).map(|(number, _)| number)
}
