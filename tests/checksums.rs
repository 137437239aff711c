//! Checksums of received frames through the whole card and the driver, against etherparse.

mod support;

use etherparse::*;
use nitor_abi::feature::rx_offload;
use nitor_abi::tx::{l3, l4};
use nitor_driver::{Checksum, Config, RxInfo};
use pcap_file::pcap::PcapReader;
use rand::{Rng, RngExt};
use std::time::Duration;
use support::{seed, Rig};

const WIDTHS: [u32; 2] = [128, 512];

/// Lets frames arrive from the wire, some at a time, and gives what the driver says of each.
fn told(rig: &mut Rig, frames: &[Vec<u8>]) -> Vec<RxInfo> {
    let mut told = Vec::new();
    for batch in frames.chunks(20) {
        let host = rig.nic.function().host();
        let mut at = 64;
        for frame in batch {
            rig.world.borrow_mut().inject(host, at, frame, false);
            at += frame.len() as u64 / 4 + 20;
        }
        let start = rig.now();
        let wanted = told.len() + batch.len();
        while told.len() < wanted {
            rig.nic.wait(Duration::from_micros(1));
            let rx = &mut rig.nic.pair(0).rx;
            while let Some(frame) = rx.receive().unwrap() {
                assert!(frame.to_vec() == frames[told.len()]);
                told.push(frame.info());
            }
            rx.refill();
            assert!(rig.now() - start < Duration::from_millis(5), "frames are missing");
        }
    }
    told
}

fn verdict(good: bool) -> Checksum {
    match good {
        true => Checksum::Good,
        false => Checksum::Bad,
    }
}

/// What etherparse makes of a frame: L3 and L4.
fn opinion(frame: &[u8]) -> (u8, u8, Checksum, Checksum) {
    let Ok(packet) = SlicedPacket::from_ethernet(frame) else {
        panic!("no packet: {frame:02x?}");
    };
    let transport = packet.transport.as_ref();
    let number = match transport {
        Some(TransportSlice::Tcp(_)) => l4::TCP,
        Some(TransportSlice::Udp(_)) => l4::UDP,
        _ => 0,
    };
    match &packet.net {
        Some(NetSlice::Ipv4(ip)) => {
            let ip = ip.header().to_header();
            let l3 = verdict(ip.calc_header_checksum() == ip.header_checksum);
            let l4 = match transport {
                Some(TransportSlice::Tcp(tcp)) => {
                    verdict(tcp.calc_checksum_ipv4(ip.source, ip.destination) == Ok(tcp.checksum()))
                }
                Some(TransportSlice::Udp(udp)) => match udp.checksum() {
                    0 => Checksum::Unknown,
                    sum => {
                        verdict(udp.to_header().calc_checksum_ipv4(&ip, udp.payload()) == Ok(sum))
                    }
                },
                _ => Checksum::Unknown,
            };
            (l3::IPV4, number, l3, l4)
        }
        Some(NetSlice::Ipv6(ip)) => {
            let ip = ip.header().to_header();
            let l4 = match transport {
                Some(TransportSlice::Tcp(tcp)) => {
                    verdict(tcp.calc_checksum_ipv6(ip.source, ip.destination) == Ok(tcp.checksum()))
                }
                Some(TransportSlice::Udp(udp)) => verdict(
                    udp.to_header().calc_checksum_ipv6(&ip, udp.payload()) == Ok(udp.checksum()),
                ),
                _ => Checksum::Unknown,
            };
            (l3::IPV6, number, Checksum::Unknown, l4)
        }
        _ => (0, 0, Checksum::Unknown, Checksum::Unknown),
    }
}

fn agree(info: &RxInfo, frame: &[u8]) {
    let found = (info.l3_proto, info.l4_proto, info.l3_checksum, info.l4_checksum);
    assert_eq!(found, opinion(frame), "{frame:02x?}");
}

fn rig(width: u32, seed: u64) -> Rig {
    let config = Config { rx_depth: 64, tx_depth: 64, mtu: 9216, ..Config::default() };
    let rig = Rig::new(width, seed, config);
    let offered = rig.nic.features().offload.rx_supported;
    let sums = rx_offload::L3_CSUM_IPV4 | rx_offload::L4_IPV4_CSUM | rx_offload::L4_IPV6_CSUM;
    assert_eq!(offered, sums | rx_offload::HASH);
    rig
}

/// Frames of real programs, and the same with a bit turned over.
#[test]
fn a_capture() {
    let file = std::fs::read("tests/captures/mixed.pcap").unwrap();
    let mut reader = PcapReader::new(&file[..]).unwrap();
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_raw_packet() {
        frames.push(packet.unwrap().data.into_owned());
    }
    for width in WIDTHS {
        let mut rig = rig(width, seed(61));
        let good = told(&mut rig, &frames);
        for (info, frame) in good.iter().zip(&frames) {
            agree(info, frame);
            assert!(info.l3_checksum != Checksum::Bad && info.l4_checksum != Checksum::Bad);
        }
        let checked = |of: &[RxInfo], sum| of.iter().filter(|i| i.l4_checksum == sum).count();
        assert!(checked(&good, Checksum::Good) > 500);
        let mut damaged = frames.clone();
        for frame in &mut damaged {
            // In the last bytes: payload or L4 header, whatever the packet is, unless it is padding.
            let at = frame.len() - 1 - rig.rng.random_range(0..4);
            frame[at] ^= 1 << rig.rng.random_range(0..8);
        }
        let bad = told(&mut rig, &damaged);
        bad.iter().zip(&damaged).for_each(|(info, frame)| agree(info, frame));
        assert!(checked(&bad, Checksum::Bad) > 500);
        let stats = rig.nic.pairs()[0].rx.stats();
        assert_eq!(stats.csum_bad, checked(&bad, Checksum::Bad) as u64);
        rig.assert_clean();
    }
}

/// Made packets: options, extension headers, tags, fragments, odd and long payloads; and with something wrong.
#[test]
fn made_packets() {
    for width in WIDTHS {
        let mut rig = rig(width, seed(62));
        let frames: Vec<Vec<u8>> = (0..400).map(|_| made(&mut rig.rng)).collect();
        let told = told(&mut rig, &frames);
        let mut seen = std::collections::HashSet::new();
        for (info, frame) in told.iter().zip(&frames) {
            agree(info, frame);
            seen.insert((
                info.l3_proto,
                info.l4_proto,
                info.fragment,
                info.l3_checksum == Checksum::Bad,
                info.l4_checksum == Checksum::Bad,
            ));
        }
        for (l3, l4) in [(8, 12), (8, 13), (11, 12), (11, 13)] {
            for bad4 in [false, true] {
                assert!(seen.contains(&(l3, l4, false, false, bad4)), "{l3} {l4} {bad4}");
            }
        }
        assert!(
            seen.contains(&(8, 0, true, false, false))
                && seen.contains(&(11, 0, true, false, false))
        );
        assert!(seen.iter().any(|kind| kind.3));
        rig.assert_clean();
    }
}

fn made(rng: &mut impl Rng) -> Vec<u8> {
    let mut bytes = |len: usize| {
        let mut bytes = vec![0; len];
        rng.fill_bytes(&mut bytes);
        bytes
    };
    let (source, destination) = (bytes(16), bytes(16));
    let (extension, options) = (bytes(14), bytes(40));
    let len = match rng.random_range(0..6) {
        0 => rng.random_range(0..8900),
        _ => rng.random_range(0..300),
    };
    let mut body = vec![0; len];
    rng.fill_bytes(&mut body);
    let fragment = rng.random_bool(0.1);
    let offset = IpFragOffset::try_new(rng.random_range(0..3)).unwrap();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]);
    let headers = if rng.random_bool(0.5) {
        let mut ip = Ipv4Header {
            time_to_live: 64,
            source: source[..4].try_into().unwrap(),
            destination: destination[..4].try_into().unwrap(),
            more_fragments: fragment,
            ..Default::default()
        };
        if rng.random_bool(0.3) {
            ip.options = Ipv4Options::try_from(&options[..4 * rng.random_range(1..=10)]).unwrap();
        }
        IpHeaders::Ipv4(ip, Default::default())
    } else {
        let mut extensions = Ipv6Extensions::default();
        if rng.random_bool(0.3) {
            let options = Ipv6RawExtHeader::new_raw(IpNumber::UDP, &extension[..6]).unwrap();
            extensions.destination_options = Some(options);
        }
        if fragment {
            extensions.fragment = Some(Ipv6FragmentHeader::new(IpNumber::UDP, offset, true, 7));
        }
        let ip = Ipv6Header {
            hop_limit: 64,
            source: source.try_into().unwrap(),
            destination: destination.try_into().unwrap(),
            ..Default::default()
        };
        IpHeaders::Ipv6(ip, extensions)
    };
    let tag = VlanId::try_new(rng.random_range(0..4096)).unwrap();
    let ports: (u16, u16) = (rng.random(), rng.random());
    let step = match rng.random_range(0..4) {
        0 => builder.single_vlan(tag).ip(headers),
        1 => builder.double_vlan(tag, tag).ip(headers),
        _ => builder.ip(headers),
    };
    let mut frame = Vec::new();
    match rng.random_range(0..9) {
        0..4 => step.udp(ports.0, ports.1).write(&mut frame, &body).unwrap(),
        4..8 => step.tcp(ports.0, ports.1, 1, 1000).write(&mut frame, &body).unwrap(),
        _ => step.write(&mut frame, IpNumber::GRE, &body).unwrap(),
    }
    // Padding is random where there is any.
    while frame.len() < 60 {
        frame.push(rng.random());
    }
    if rng.random_bool(0.4) {
        let whole = frame.clone();
        let packet = SlicedPacket::from_ethernet(&whole).unwrap();
        let end = packet.ip_payload().unwrap().payload;
        let (first, last) = (end.as_ptr() as usize - whole.as_ptr() as usize, end.len());
        match packet.net.as_ref().unwrap() {
            // Of the IPv4 header its addresses, or its sum.
            NetSlice::Ipv4(ip) if rng.random_bool(0.5) => {
                let header = ip.header().slice();
                let at = header.as_ptr() as usize - whole.as_ptr() as usize;
                frame[at + rng.random_range(10..20)] ^= 1 << rng.random_range(0..8);
            }
            // Behind the ports, the lengths and the data offset.
            _ if packet.transport.is_some() && last > 20 && !fragment => {
                frame[first + rng.random_range(16..last)] ^= 1 << rng.random_range(0..8);
            }
            _ => {}
        }
    }
    frame
}
