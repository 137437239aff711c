//! Frames of all kinds with their expected classification, and an independent classification of any
//! bytes.

use super::Rng;
use etherparse::*;

/// What the card should find in a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    pub l3: u64,
    pub l4: u64,
    pub frag: bool,
    /// Padded with zeros to 36 bytes.
    pub tuple: Vec<u8>,
}

impl Flow {
    fn new(l3: u64, l4: u64, frag: bool, addresses: &[u8], ports: &[u8]) -> Flow {
        let mut tuple = [addresses, ports].concat();
        tuple.resize(36, 0);
        Flow { l3, l4, frag, tuple }
    }

    pub fn unknown() -> Flow {
        Flow::new(0, 0, false, &[], &[])
    }

    /// The tuple without its ports.
    pub fn without_ports(&self) -> Vec<u8> {
        let mut tuple = self.tuple.clone();
        tuple[if self.l3 == 11 { 32 } else { 8 }..].fill(0);
        tuple
    }
}

/// The key of Microsoft's verification suite.
pub const KEY: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

/// The Toeplitz hash, bit by bit, as Microsoft defines it.
pub fn toeplitz(key: &[u8; 40], input: &[u8]) -> u32 {
    let key_bit = |i: usize| u32::from(key[i / 8] >> (7 - i % 8) & 1);
    let mut hash = 0;
    for (i, byte) in input.iter().enumerate() {
        for b in 0..8 {
            if byte >> (7 - b) & 1 == 1 {
                let window = (0..32).fold(0, |w, j| w << 1 | key_bit(8 * i + b + j));
                hash ^= window;
            }
        }
    }
    hash
}

fn be16(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]))
}

/// The rules of `rx/parse`, for any bytes.
pub fn classify(frame: &[u8]) -> Flow {
    locate(frame).0
}

/// Where in a frame of a known flow its headers are.
#[derive(Clone, Copy, Default)]
struct Place {
    l3: usize,
    l4: usize,
    /// A routing header isn't at its end.
    routed: bool,
}

fn locate(frame: &[u8]) -> (Flow, Place) {
    let frame = &frame[..frame.len().min(128)];
    // A read behind the end is of no consequence: the length checks below refuse it.
    let mut padded = frame.to_vec();
    padded.resize(160, 0);
    let mut at = 12;
    let mut tags = 0;
    while tags < 2 && [0x8100, 0x88a8, 0x9100].contains(&be16(&padded, at)) {
        at += 4;
        tags += 1;
    }
    let l3_at = at + 2;
    let have = frame.len().saturating_sub(l3_at).min(106);
    let ip = &padded[l3_at..];
    match (be16(&padded, at), ip[0] >> 4) {
        (0x0800, 4) => {
            let header = usize::from(ip[0] & 15) * 4;
            let have = have.min(be16(ip, 2));
            if header < 20 || header > have {
                return (Flow::unknown(), Place::default());
            }
            let frag = be16(ip, 6) & 0x3fff != 0;
            let l4 = if frag || have < header + 8 { 0 } else { l4_of(ip[9]) };
            let ports = if l4 != 0 { &ip[header..header + 4] } else { &[] };
            let place = Place { l3: l3_at, l4: l3_at + header, routed: false };
            (Flow::new(8, l4, frag, &ip[12..20], ports), place)
        }
        (0x86dd, 6) if have >= 40 => {
            let have = have.min(40 + be16(ip, 4));
            let (mut next, mut at, mut frag, mut routed) = (ip[6], 40, false, false);
            for _ in 0..3 {
                if frag || ![0, 43, 44, 60].contains(&next) {
                    break;
                }
                let len = if next == 44 { 8 } else { 8 * (usize::from(ip[at + 1]) + 1) };
                if len > 64 || at + len > have {
                    let place = Place { l3: l3_at, l4: 0, routed };
                    return (Flow::new(11, 0, false, &ip[8..40], &[]), place);
                }
                routed |= next == 43 && ip[at + 3] != 0;
                frag = next == 44 && be16(ip, at + 2) & 0xfff9 != 0;
                next = ip[at];
                at += len;
            }
            let l4 = if frag || have < at + 8 { 0 } else { l4_of(next) };
            let ports = if l4 != 0 { &ip[at..at + 4] } else { &[] };
            let place = Place { l3: l3_at, l4: l3_at + at, routed };
            (Flow::new(11, l4, frag, &ip[8..40], ports), place)
        }
        _ => (Flow::unknown(), Place::default()),
    }
}

/// The one's-complement sum of big-endian words; the sum of something and its checksum is 0xffff.
fn sum(parts: &[&[u8]]) -> u32 {
    let mut sum = 0u32;
    for part in parts {
        for word in part.chunks(2) {
            sum += u32::from(word[0]) << 8 | word.get(1).map_or(0, |&b| u32::from(b));
            sum = (sum & 0xffff) + (sum >> 16);
        }
    }
    sum
}

/// What the card should say of checksums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub l3_err: bool,
    pub l4_err: bool,
    pub l4_checked: bool,
}

impl Sums {
    pub fn from_bits(bits: u64) -> Sums {
        Sums { l3_err: bits & 1 != 0, l4_err: bits & 2 != 0, l4_checked: bits & 4 != 0 }
    }
}

/// The rules of `rx/checksum`, for any bytes.
pub fn check(frame: &[u8]) -> Sums {
    let (flow, place) = locate(frame);
    let (v4, v6) = (flow.l3 == 8, flow.l3 == 11);
    let mut sums = Sums::default();
    let ip = &frame[place.l3..];
    if v4 {
        sums.l3_err = sum(&[&ip[..4 * usize::from(ip[0] & 15)]]) != 0xffff;
    }
    if flow.l4 == 0 {
        return sums;
    }
    let end = place.l3 + if v6 { 40 + be16(ip, 4) } else { be16(ip, 2) };
    let header = &frame[place.l4..];
    let length = end - place.l4;
    let udp = flow.l4 == 13;
    let whole = end <= frame.len();
    let fits = if udp { be16(header, 4) == length } else { length >= 20 };
    if !whole || !fits || place.routed {
        return sums;
    }
    // Left out: wrong in IPv6, of no meaning in IPv4.
    if udp && be16(header, 6) == 0 {
        return Sums { l4_err: v6, l4_checked: v6, ..sums };
    }
    let addresses = if v6 { &ip[8..40] } else { &ip[12..20] };
    let number = [0, if udp { 17 } else { 6 }];
    let length = (length as u16).to_be_bytes();
    let total = sum(&[addresses, &number, &length, &frame[place.l4..end]]);
    Sums { l4_err: total != 0xffff, l4_checked: true, ..sums }
}

fn l4_of(proto: u8) -> u64 {
    match proto {
        6 => 12,
        17 => 13,
        _ => 0,
    }
}

/// A well-formed packet with a payload of `payload` bytes, and what is true of it by construction.
pub fn packet(rng: &mut Rng, payload: usize) -> (Vec<u8>, Flow) {
    let mac = |rng: &mut Rng| -> [u8; 6] { rng.bytes(6).try_into().unwrap() };
    let builder = PacketBuilder::ethernet2(mac(rng), mac(rng));
    let tags = rng.below(4);
    let vlan = |rng: &mut Rng| VlanId::try_new(rng.below(4096) as u16).unwrap();
    let (headers, frag, addresses) = ip(rng);
    let step = match tags {
        2 => builder.single_vlan(vlan(rng)).ip(headers),
        3 => builder.double_vlan(vlan(rng), vlan(rng)).ip(headers),
        _ => builder.ip(headers),
    };
    let body = rng.bytes(payload);
    let (source, destination) = (rng.next() as u16, rng.next() as u16);
    let mut frame = Vec::new();
    let l4 = match rng.below(5) {
        0 | 1 => {
            step.udp(source, destination).write(&mut frame, &body).unwrap();
            13
        }
        2 | 3 => {
            let mut tcp = TcpHeader::new(source, destination, rng.next() as u32, 1000);
            if rng.below(2) == 0 {
                tcp.set_options(&[TcpOptionElement::MaximumSegmentSize(1460)]).unwrap();
            }
            step.tcp_header(tcp).write(&mut frame, &body).unwrap();
            12
        }
        _ => {
            // GRE, say: neither TCP nor UDP.
            step.write(&mut frame, IpNumber::GRE, &body).unwrap();
            0
        }
    };
    let l4 = if frag { 0 } else { l4 };
    let ports = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    let ports = if l4 == 0 { &[][..] } else { &ports };
    let l3 = if addresses.len() == 8 { 8 } else { 11 };
    // Linux pads; the MAC hands up the padding.
    if rng.below(4) != 0 {
        frame.resize(frame.len().max(60), 0);
    }
    (frame, Flow::new(l3, l4, frag, &addresses, ports))
}

fn ip(rng: &mut Rng) -> (IpHeaders, bool, Vec<u8>) {
    if rng.below(2) == 0 {
        let (source, destination) = (rng.bytes(4), rng.bytes(4));
        let mut header = Ipv4Header {
            time_to_live: 64,
            source: source.clone().try_into().unwrap(),
            destination: destination.clone().try_into().unwrap(),
            dont_fragment: rng.below(2) == 0,
            ..Default::default()
        };
        if rng.below(3) == 0 {
            let words = 1 + rng.below(10) as usize;
            header.options = Ipv4Options::try_from(&rng.bytes(4 * words)[..]).unwrap();
        }
        let mut frag = false;
        if rng.below(5) == 0 {
            header.more_fragments = rng.below(2) == 0;
            header.fragment_offset = IpFragOffset::try_new(rng.below(3) as u16 * 185).unwrap();
            frag = header.more_fragments || header.fragment_offset.value() != 0;
        }
        let addresses = [source, destination].concat();
        return (IpHeaders::Ipv4(header, Default::default()), frag, addresses);
    }
    let (source, destination) = (rng.bytes(16), rng.bytes(16));
    let header = Ipv6Header {
        hop_limit: 64,
        source: source.clone().try_into().unwrap(),
        destination: destination.clone().try_into().unwrap(),
        ..Default::default()
    };
    let mut extensions = Ipv6Extensions::default();
    let raw = |rng: &mut Rng| {
        let len = 6 + 8 * rng.below(2) as usize;
        Ipv6RawExtHeader::new_raw(IpNumber::UDP, &rng.bytes(len)).unwrap()
    };
    if rng.below(4) == 0 {
        extensions.hop_by_hop_options = Some(raw(rng));
    }
    if rng.below(4) == 0 {
        extensions.destination_options = Some(raw(rng));
    }
    let mut frag = false;
    if rng.below(4) == 0 {
        let offset = IpFragOffset::try_new(rng.below(2) as u16 * 181).unwrap();
        let more = rng.below(2) == 0;
        frag = more || offset.value() != 0;
        let id = rng.next() as u32;
        extensions.fragment = Some(Ipv6FragmentHeader::new(IpNumber::UDP, offset, more, id));
    }
    let addresses = [source, destination].concat();
    (IpHeaders::Ipv6(header, extensions), frag, addresses)
}

/// A packet that is nearly right: damaged where checksums, lengths and headers are, cut, or with something behind.
pub fn damaged(rng: &mut Rng, payload: usize) -> Vec<u8> {
    let (mut frame, _) = packet(rng, payload);
    let (flow, place) = locate(&frame);
    for _ in 0..1 + rng.below(2) {
        let within = |rng: &mut Rng, frame: &[u8]| rng.below(frame.len() as u64) as usize;
        match rng.below(10) {
            // Anything, one bit.
            0 => {
                let at = within(rng, &frame).max(12);
                frame[at] ^= 1 << rng.below(8);
            }
            // Behind IP's end.
            1 => {
                let more = rng.below(90) as usize;
                frame.extend(rng.bytes(more));
            }
            2 => frame.truncate((within(rng, &frame) + 1).max(14)),
            // IP's length.
            3 => {
                let at = place.l3 + if flow.l3 == 11 { 5 } else { 3 };
                frame[at] = frame[at].wrapping_add(rng.below(5) as u8).wrapping_sub(2);
            }
            // UDP's sum left out; its length.
            4 if flow.l4 == 13 => frame[place.l4 + 6..place.l4 + 8].fill(0),
            5 if flow.l4 == 13 => frame[place.l4 + 5] ^= 1 << rng.below(3),
            // Words exchanged, which no sum notices.
            6 if frame.len() > place.l4 + 16 => frame[place.l4..].rotate_right(2),
            // Extension headers that become routing headers.
            7 if flow.l3 == 11 => {
                frame[place.l3 + 6] = 43;
                frame[place.l3 + 40 + 3] = rng.below(2) as u8;
            }
            8 if flow.l3 == 8 => frame[place.l3 + 10] ^= 1 << rng.below(8),
            _ => {}
        }
        if frame.len() < place.l4 + 16 {
            break;
        }
    }
    frame
}

/// A packet with up to three tags of any kind, whose headers, often too many or too long, are in any order and end anywhere.
pub fn chained(rng: &mut Rng) -> Vec<u8> {
    let mut frame = rng.bytes(12);
    for _ in 0..[0, 0, 1, 2, 2, 3][rng.below(6) as usize] {
        frame.extend([[0x81, 0x00], [0x88, 0xa8], [0x91, 0x00]][rng.below(3) as usize]);
        frame.extend(rng.bytes(2));
    }
    let proto = |rng: &mut Rng| match rng.below(9) {
        0 | 1 => 6,
        2 | 3 => 17,
        4 => 44,
        5 => 43,
        6 => 60,
        7 => 0,
        _ => rng.next() as u8,
    };
    let v6 = rng.below(4) != 0;
    frame.extend(if v6 { [0x86, 0xdd] } else { [0x08, 0x00] });
    let l3 = frame.len();
    if v6 {
        frame.push(0x60);
        frame.extend(rng.bytes(5));
        frame.push(proto(rng));
        frame.extend(rng.bytes(33));
        let mut kind = frame[l3 + 6];
        for _ in 0..rng.below(6) {
            let at = frame.len();
            let units = match rng.below(4) {
                0 => rng.below(10) as usize,
                _ => rng.below(2) as usize,
            };
            let fragment = kind == 44;
            frame.extend(rng.bytes(if fragment { 8 } else { 8 * (units + 1) }));
            kind = proto(rng);
            frame[at] = kind;
            if fragment && rng.below(3) != 0 {
                frame[at + 2..at + 4].copy_from_slice(&[0, 6 * rng.below(2) as u8]);
            } else if !fragment {
                frame[at + 1] = units as u8;
            }
        }
    } else {
        let words = rng.range(5, 15) as usize;
        frame.push(0x40 | words as u8);
        frame.extend(rng.bytes(4 * words - 1));
        frame[l3 + 6..l3 + 8].copy_from_slice(&[[0, 0x40, 0x20][rng.below(3) as usize], 0]);
        frame[l3 + 9] = proto(rng);
    }
    let payload = rng.below(40) as usize;
    frame.extend(rng.bytes(payload));
    let length = (frame.len() - l3 - if v6 { 40 } else { 0 }) as u64;
    let length = match rng.below(4) {
        0 => rng.below(length + 9),
        1 => rng.next(),
        _ => length,
    };
    let at = l3 + if v6 { 4 } else { 2 };
    frame[at..at + 2].copy_from_slice(&(length as u16).to_be_bytes());
    if rng.below(4) == 0 {
        frame.truncate(rng.range(14, frame.len() as u64) as usize);
    }
    frame
}

/// Bytes that begin like a packet, or not even that.
pub fn broken(rng: &mut Rng) -> Vec<u8> {
    let payload = rng.below(100) as usize;
    let (mut frame, _) = packet(rng, payload);
    match rng.below(3) {
        0 => frame.truncate(14 + rng.below(frame.len() as u64 - 13) as usize),
        1 => {
            for _ in 0..1 + rng.below(6) {
                let at = 12 + rng.below(frame.len() as u64 - 12) as usize;
                frame[at] = rng.next() as u8;
            }
        }
        _ => {
            let len = 14 + rng.below(200) as usize;
            frame = rng.bytes(len);
        }
    }
    frame
}
