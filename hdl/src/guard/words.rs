//! Records that go between the blocks of the guard.

use nitor_rtl::prelude::*;

/// What the guard asks of a frame's headers. Numbers are in the host's order, not the wire's.
#[record]
pub struct Key {
    /// The interface that the frame comes to, or from.
    pub interface: Bits<8>,
    pub outbound: Bit,
    pub tagged: Bit,
    pub vlan: Bits<12>,
    pub ethertype: Bits<16>,
    /// IPv4 or IPv6. Else the fields from here on are 0.
    pub ip: Bit,
    pub protocol: Bits<8>,
    pub fragment: Fragment,
    /// Of TCP, from FIN in bit 0 to CWR in bit 7; else 0. A later fragment has none.
    pub flags: Bits<8>,
    /// An IPv4 address is the lowest 32 bits of ::ffff:0:0/96.
    pub source: Bits<128>,
    pub destination: Bits<128>,
    /// Of ICMP the type. Protocols without ports, and later fragments, have 0 in both.
    pub source_port: Bits<16>,
    /// Of ICMP the code.
    pub destination_port: Bits<16>,
}

#[record]
pub struct Fragment {
    /// The frame is a fragment, the first or a later one.
    pub fragment: Bit,
    /// It is not the first: it has no ports.
    pub later: Bit,
}

/// TCP flags and fragments: an index of a field.
#[record]
pub struct FlagsAndFragment {
    pub flags: Bits<8>,
    pub fragment: Fragment,
}

/// Interface and direction: an index of a field.
#[record]
pub struct Side {
    pub interface: Bits<8>,
    pub outbound: Bit,
}

/// The protocol of an IP packet, or the range of another frame's ether type: an index of a field.
#[record]
pub struct Protocol {
    pub number: Bits<8>,
    pub ip: Bit,
}

/// A tag, or none: below all that have one.
#[record]
pub struct Vlan {
    pub id: Bits<12>,
    pub tagged: Bit,
}

/// The indices that need no search, on their way to the fields.
#[record]
pub struct Unsearched {
    pub side: Side,
    pub flags: FlagsAndFragment,
    pub protocol: Protocol,
    pub bank: Bit,
}

/// Where a range begins; the node of a search tree.
#[record]
pub struct Bound<const W: usize> {
    pub at: Bits<W>,
    /// There is no bound: all keys are below.
    pub open: Bit,
}

/// A node of [super::ranges::Ranges].
#[record]
pub struct NodeAt {
    pub bank: Bit,
    /// Counted within its level.
    pub node: Bits<14>,
    pub level: Bits<4>,
}

/// A key on its way through a search tree.
#[record]
pub struct Search<const W: usize, const L: usize> {
    /// As far as the search has come: the bits of the index, the highest first.
    pub node: Bits<L>,
    pub bank: Bit,
    pub key: Bits<W>,
}

/// The first rule that matches, if one does.
#[record]
pub struct Hit {
    pub some: Bit,
    pub rule: Bits<12>,
}

/// A write into the tables of [super::slice::Slice].
#[record]
pub struct Load {
    /// One of [super::slice::table].
    pub table: Bits<5>,
    /// The node or the index that is written; its bank alone for `ORDERED` and `SWITCH`.
    pub at: NodeAt,
    /// The row that is written, or that the index stands for.
    pub row: Bits<12>,
}
