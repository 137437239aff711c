//! TCP and UDP packets for the card's offloads, and checks of the result with etherparse.

use etherparse::*;
use rand::{Rng, RngExt};

/// A packet, and where its headers are.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The bytes, with all checksums right.
    pub bytes: Vec<u8>,
    pub v6: bool,
    pub udp: bool,
    pub l3_off: usize,
    pub l3_len: usize,
    pub header: usize,
}

/// The offset of the checksum in the header of TCP or UDP.
pub fn checksum_at(udp: bool) -> usize {
    if udp {
        6
    } else {
        16
    }
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn sum(bytes: &[u8]) -> u32 {
    bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum()
}

impl Packet {
    /// A random packet: up to two VLAN tags, IPv4 with or without options or IPv6, TCP with or
    /// without options and any flags, or UDP.
    pub fn random(rng: &mut impl Rng, udp: bool, payload: usize) -> Packet {
        let v6 = rng.random();
        let mut body = vec![0; payload];
        rng.fill_bytes(&mut body);
        let mut mac = || -> [u8; 6] { rng.random() };
        let builder = PacketBuilder::ethernet2(mac(), mac());
        let ip = if v6 {
            let header = Ipv6Header {
                hop_limit: 64,
                source: rng.random(),
                destination: rng.random(),
                ..Ipv6Header::default()
            };
            let mut extensions = Ipv6Extensions::default();
            if rng.random_bool(0.3) {
                // Padding.
                let options = vec![0; 6 + 8 * rng.random_range(0..2)];
                let options = Ipv6RawExtHeader::new_raw(IpNumber::TCP, &options);
                extensions.destination_options = Some(options.unwrap());
            }
            IpHeaders::Ipv6(header, extensions)
        } else {
            let mut header =
                Ipv4Header::new(0, 64, IpNumber::TCP, rng.random(), rng.random()).unwrap();
            header.identification = rng.random();
            header.dont_fragment = rng.random();
            if rng.random() {
                header.options = [1, 1, 1, 0].into();
            }
            IpHeaders::Ipv4(header, Ipv4Extensions::default())
        };
        let tags = rng.random_range(0..3);
        let vlan = VlanId::try_new(rng.random_range(0..4096)).unwrap();
        let step = match tags {
            0 => builder.ip(ip.clone()),
            1 => builder.single_vlan(vlan).ip(ip.clone()),
            _ => builder.double_vlan(vlan, vlan).ip(ip.clone()),
        };
        let mut bytes = Vec::new();
        let (source, destination) = (rng.random(), rng.random());
        let l4_len = if udp {
            step.udp(source, destination).write(&mut bytes, &body).unwrap();
            8
        } else {
            let mut tcp = TcpHeader::new(source, destination, rng.random(), rng.random());
            tcp.acknowledgment_number = rng.random();
            (tcp.ack, tcp.psh, tcp.fin, tcp.cwr, tcp.ece, tcp.urg, tcp.ns) =
                (true, rng.random(), rng.random(), rng.random(), rng.random(), false, rng.random());
            if rng.random() {
                let stamp = TcpOptionElement::Timestamp(rng.random(), rng.random());
                tcp.set_options(&[stamp]).unwrap();
            }
            let len = tcp.header_len();
            step.tcp_header(tcp).write(&mut bytes, &body).unwrap();
            len
        };
        let l3_off = 14 + 4 * tags;
        let l3_len = ip.header_len();
        Packet { bytes, v6, udp, l3_off, l3_len, header: l3_off + l3_len + l4_len }
    }

    pub fn l4_off(&self) -> usize {
        self.l3_off + self.l3_len
    }

    /// The packet as a driver hands it over: the field of the L4 checksum has the sum of the pseudo
    /// header, or anything, as has that of IPv4.
    pub fn raw(&self, partial: bool, ip: bool, anything: u16) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let at = self.l4_off() + checksum_at(self.udp);
        let field = if partial { self.pseudo() } else { anything };
        bytes[at..at + 2].copy_from_slice(&field.to_be_bytes());
        if ip && !self.v6 {
            bytes[self.l3_off + 10..self.l3_off + 12].copy_from_slice(&anything.to_be_bytes());
        }
        bytes
    }

    fn pseudo(&self) -> u16 {
        let ip = &self.bytes[self.l3_off..];
        let addresses = if self.v6 { &ip[8..40] } else { &ip[12..20] };
        let len = (self.bytes.len() - self.l4_off()) as u32;
        fold(sum(addresses) + len + if self.udp { 17 } else { 6 })
    }
}

/// Fails unless all lengths and checksums of a frame are right.
pub fn judge(frame: &[u8]) {
    let packet = SlicedPacket::from_ethernet(frame).expect("a frame that can be read");
    let net = packet.net.as_ref().expect("an IP header");
    if let NetSlice::Ipv4(ip) = net {
        let header = ip.header().to_header();
        assert_eq!(header.header_checksum, header.calc_header_checksum(), "IPv4 header checksum");
    }
    let (found, right) = match packet.transport.as_ref().expect("TCP or UDP") {
        TransportSlice::Tcp(tcp) => {
            let header = tcp.to_header();
            let right = match net {
                NetSlice::Ipv4(ip) => {
                    header.calc_checksum_ipv4(&ip.header().to_header(), tcp.payload())
                }
                NetSlice::Ipv6(ip) => {
                    header.calc_checksum_ipv6(&ip.header().to_header(), tcp.payload())
                }
                NetSlice::Arp(_) => unreachable!(),
            };
            (header.checksum, right.unwrap())
        }
        TransportSlice::Udp(udp) => {
            let header = udp.to_header();
            let right = match net {
                NetSlice::Ipv4(ip) => {
                    header.calc_checksum_ipv4(&ip.header().to_header(), udp.payload())
                }
                NetSlice::Ipv6(ip) => {
                    header.calc_checksum_ipv6(&ip.header().to_header(), udp.payload())
                }
                NetSlice::Arp(_) => unreachable!(),
            };
            (header.checksum, right.unwrap())
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(found, right, "L4 checksum");
}

/// Checks the frames of a segmented packet: each is right by itself, and together they are the
/// packet.
pub fn judge_segments(packet: &Packet, mss: usize, frames: &[Vec<u8>]) {
    let payload = &packet.bytes[packet.header..];
    let count = payload.len().div_ceil(mss).max(1);
    assert_eq!(frames.len(), count, "segments");
    let l3 = packet.l3_off;
    let l4 = packet.l4_off();
    let be16 = |bytes: &[u8], at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let seq = |bytes: &[u8]| u32::from_be_bytes(bytes[l4 + 4..l4 + 8].try_into().unwrap());
    let mut at = 0;
    for (n, frame) in frames.iter().enumerate() {
        let part = &payload[at..payload.len().min(at + mss)];
        let real = packet.header + part.len();
        assert_eq!(frame.len(), real.max(60), "segment {n}");
        let frame = &frame[..real];
        judge(frame);
        assert!(&frame[packet.header..] == part, "segment {n}: payload");
        assert_eq!(seq(frame), seq(&packet.bytes).wrapping_add(at as u32));
        if !packet.v6 {
            let id = be16(&packet.bytes, l3 + 4).wrapping_add(n as u16);
            assert_eq!(be16(frame, l3 + 4), id, "segment {n}: ID");
        }
        let mut flags = packet.bytes[l4 + 13];
        if n + 1 < count {
            flags &= !0x09;
        }
        if n > 0 {
            flags &= !0x80;
        }
        assert_eq!(frame[l4 + 13], flags, "segment {n}: flags");
        // All other bytes of the header are those of the packet.
        let mut header = frame[..packet.header].to_vec();
        let fields = [l3 + 2, l3 + 4, l3 + 10].map(|at| (at, 2));
        let fields = if packet.v6 { vec![(l3 + 4, 2)] } else { fields.to_vec() };
        for (at, len) in fields.into_iter().chain([(l4 + 4, 4), (l4 + 13, 1), (l4 + 16, 2)]) {
            header[at..at + len].copy_from_slice(&packet.bytes[at..at + len]);
        }
        assert!(header == packet.bytes[..packet.header], "segment {n}: header");
        at += part.len();
    }
}
