//! Headers of frames as they are on the wire: bytes in order, numbers of two bytes by [net16].

use nitor_rtl::prelude::*;

pub const ETHERTYPE_IPV4: u64 = 0x0800;
pub const ETHERTYPE_IPV6: u64 = 0x86dd;

/// Protocols behind IP; of these, extension headers of IPv6.
pub mod proto {
    pub const HOP_BY_HOP: u64 = 0;
    pub const TCP: u64 = 6;
    pub const UDP: u64 = 17;
    pub const ROUTING: u64 = 43;
    pub const FRAGMENT: u64 = 44;
    pub const DESTINATION: u64 = 60;
}

/// Two bytes in the order of the wire.
#[record]
pub struct Pair {
    pub first: Bits<8>,
    pub second: Bits<8>,
}

/// The beginning of an IP header.
#[record]
pub struct Version {
    /// IPv4: length of the header in units of 4 bytes.
    pub ihl: Bits<4>,
    pub version: Bits<4>,
}

/// The beginning of an IPv4 header, up to the addresses.
#[record]
pub struct Ipv4Fixed {
    pub start: Version,
    pub service: Bits<8>,
    /// Bytes of the packet.
    pub length: Bits<16>,
    pub id: Bits<16>,
    /// See [is_fragment4].
    pub fragment: Bits<16>,
    pub ttl: Bits<8>,
    pub proto: Bits<8>,
    pub checksum: Bits<16>,
}

/// The first 20 bytes of IPv4.
#[record]
pub struct Ipv4 {
    pub fixed: Ipv4Fixed,
    pub addrs: Bits<64>,
}

#[record]
pub struct Ipv6 {
    pub start: Version,
    pub label: Bits<24>,
    /// Bytes of the packet behind this header.
    pub length: Bits<16>,
    pub next: Bits<8>,
    pub hops: Bits<8>,
    pub addrs: Bits<256>,
}

/// The beginning of an extension header.
#[record]
pub struct Extension {
    pub next: Bits<8>,
    /// Units of 8 bytes beyond the first; not of a fragment header.
    pub units: Bits<8>,
    /// Of a fragment header, see [is_fragment6]; of a routing header [Routing].
    pub rest: Bits<16>,
}

#[record]
pub struct Routing {
    pub kind: Bits<8>,
    pub segments_left: Bits<8>,
}

/// The first 8 bytes of TCP or UDP.
#[record]
pub struct L4 {
    pub ports: Bits<32>,
    /// Of UDP: [UdpEnd].
    pub second: Bits<32>,
}

/// The second half of a UDP header.
#[record]
pub struct UdpEnd {
    pub length: Bits<16>,
    pub checksum: Bits<16>,
}

/// A 16-bit field in network order.
#[kernel]
pub fn net16(field: Bits<16>) -> Bits<16> {
    Pair { first: Pair::from_bits(field).second, second: Pair::from_bits(field).first }
        .to_bits::<16>()
}

/// The 16-bit field `AT` bytes into `w`.
#[kernel]
pub fn be16<const N: usize, const AT: usize>(w: Bits<N>) -> Bits<16> {
    net16(w.get_bits::<16>(8 * AT))
}

#[kernel]
pub fn is_tag(ethertype: Bits<16>) -> Bit {
    ethertype == 0x8100 || ethertype == 0x88a8 || ethertype == 0x9100
}

/// Of IPv4's flags and offset: a packet in pieces.
#[kernel]
pub fn is_fragment4(fragment: Bits<16>) -> Bit {
    (fragment & lit::<16>(0x3fff)) != 0
}

/// Of a fragment header's offset and flags: a packet in pieces.
#[kernel]
pub fn is_fragment6(fragment: Bits<16>) -> Bit {
    (fragment & lit::<16>(0xfff9)) != 0
}

/// An extension header that the card walks over.
#[kernel]
pub fn is_extension(proto: Bits<8>) -> Bit {
    proto == lit::<8>(proto::FRAGMENT)
        || proto == lit::<8>(proto::HOP_BY_HOP)
        || proto == lit::<8>(proto::ROUTING)
        || proto == lit::<8>(proto::DESTINATION)
}
