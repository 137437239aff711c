//! Transmit offloads through driver, PCIe, RTL, wire and back. etherparse checks the frames.

mod support;

use nitor_abi::mgmt::Counter;
use nitor_abi::tx::{l3, l4};
use nitor_driver::dma::DmaBuf;
use nitor_driver::pci::PciFunction;
use nitor_driver::{Config, L4Checksum, Offload, Push, Refusal, Segment};
use nitor_sim::function::HostMemory;
use rand::RngExt;
use support::packets::{judge, judge_segments, Packet};
use support::{seed, Rig};

const WIDTHS: [u32; 2] = [128, 512];

fn config() -> Config {
    Config { tx_depth: 64, rx_depth: 256, rx_buffer_len: 2048, mtu: 9216, ..Config::default() }
}

fn rig(width: u32, n: u64) -> (Rig, DmaBuf<HostMemory>) {
    rig_with(width, n, config())
}

fn rig_with(width: u32, n: u64, config: Config) -> (Rig, DmaBuf<HostMemory>) {
    let rig = Rig::new(width, seed(n), config);
    let memory = rig.nic.function().alloc_dma(0x20000, 4096).unwrap();
    (rig, memory)
}

fn offload(packet: &Packet) -> Offload {
    Offload {
        l3_proto: if packet.v6 { l3::IPV6 } else { l3::IPV4 },
        l4_proto: if packet.udp { l4::UDP } else { l4::TCP },
        l3_offset: packet.l3_off as u8,
        l3_len: packet.l3_len as u8,
        ..Offload::default()
    }
}

/// Puts bytes into memory in up to `most` pieces, and sends them.
fn send(rig: &mut Rig, memory: &mut DmaBuf<HostMemory>, bytes: &[u8], most: usize, wish: &Offload) {
    send_pushed(rig, memory, &[], bytes, most, wish);
}

/// The same behind what is pushed; then there may be nothing.
fn send_pushed(
    rig: &mut Rig,
    memory: &mut DmaBuf<HostMemory>,
    pushed: &[u8],
    bytes: &[u8],
    most: usize,
    wish: &Offload,
) {
    let mut ends = Vec::new();
    if !bytes.is_empty() {
        let count = rig.rng.random_range(1..=most.min(bytes.len()));
        ends.extend((1..count).map(|_| rig.rng.random_range(1..bytes.len())));
        ends.push(bytes.len());
    }
    ends.sort_unstable();
    ends.dedup();
    let (mut at, mut begin) = (rig.rng.random_range(0..64), 0);
    let mut segments = Vec::new();
    for end in ends {
        let piece = &bytes[begin..end];
        memory.as_mut_slice()[at..at + piece.len()].copy_from_slice(piece);
        segments.push(Segment { iova: memory.iova() + at as u64, len: piece.len() });
        at += piece.len() + rig.rng.random_range(0..64);
        begin = end;
    }
    let tx = &mut rig.nic.pair(0).tx;
    tx.send_pushed(pushed, &segments, wish, 7).unwrap();
    tx.flush();
}

/// What came back of one packet, `count` frames if all is right.
fn back(rig: &mut Rig, memory: &mut DmaBuf<HostMemory>, count: usize) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut quiet = 0;
    let mut completed = 0;
    while completed == 0 || frames.len() < count || quiet < 10 {
        rig.nic.wait(std::time::Duration::from_nanos(256));
        quiet += 1;
        assert!(quiet < 10_000, "{completed} completed, {} frames of {count}", frames.len());
        let pair = rig.nic.pair(0);
        let done = pair.tx.reap(9, |sent| assert_eq!(sent.token, 7)).unwrap();
        if done > 0 {
            // The card has read all of it.
            memory.as_mut_slice().fill(0xee);
        }
        completed += done;
        while let Some(frame) = pair.rx.receive().unwrap() {
            frames.push(frame.to_vec());
            quiet = 0;
        }
        pair.rx.refill();
    }
    assert_eq!(completed, 1);
    frames
}

/// Checksums of all kinds: what comes is byte for byte what etherparse made.
#[test]
fn checksums() {
    for width in WIDTHS {
        let (mut rig, mut memory) = rig(width, 200);
        for round in 0..250 {
            let payload = match round % 4 {
                0 => rig.rng.random_range(0..20),
                1 => rig.rng.random_range(0..9000),
                _ => rig.rng.random_range(0..1500),
            };
            let udp = rig.rng.random();
            let packet = Packet::random(&mut rig.rng, udp, payload);
            let partial = rig.rng.random();
            let ip = rig.rng.random();
            let l4_checksum = if partial { L4Checksum::Partial } else { L4Checksum::Full };
            let wish = Offload { l4_checksum, l3_checksum: ip && !packet.v6, ..offload(&packet) };
            let bytes = packet.raw(partial, ip, rig.rng.random());
            send(&mut rig, &mut memory, &bytes, 12, &wish);
            let frames = back(&mut rig, &mut memory, 1);
            let mut right = packet.bytes.clone();
            right.resize(right.len().max(60), 0);
            judge(&packet.bytes);
            assert!(frames == [right], "round {round}: {:?}", &packet.bytes[..packet.header]);
        }
        rig.assert_clean();
    }
}

/// What stands behind a packet is not summed up. With segments left in a routing header the final destination counts, which the host
/// knows and the card does not: what the card is to sum up whole is refused and counted.
#[test]
fn trailers_and_routes() {
    for width in WIDTHS {
        let (mut rig, mut memory) = rig(width, 206);
        for round in 0..40 {
            let udp = rig.rng.random();
            let packet = Packet::random(&mut rig.rng, udp, 5 + 7 * (round / 4));
            let partial = round % 2 == 0;
            let l4_checksum = if partial { L4Checksum::Partial } else { L4Checksum::Full };
            let wish = Offload { l4_checksum, ..offload(&packet) };
            let trailer = vec![0xaa; 60usize.saturating_sub(packet.bytes.len()).max(round)];
            let bytes = [packet.raw(partial, false, 0x1234), trailer.clone()].concat();
            send(&mut rig, &mut memory, &bytes, 3, &wish);
            let frames = back(&mut rig, &mut memory, 1);
            assert!(frames == [[packet.bytes, trailer].concat()], "round {round}");
        }
        let packet = loop {
            let packet = Packet::random(&mut rig.rng, false, 500);
            if packet.v6 && packet.l3_len == 40 {
                break packet;
            }
        };
        let refused = |rig: &mut Rig| {
            let all = rig.nic.counters().unwrap();
            all.iter().find(|c| c.0 == Counter::TxDropsBadDescriptor).unwrap().1
        };
        let before = refused(&mut rig);
        for (left, partial, tso_mss, sent) in [
            (0, false, None, true),
            (1, true, None, true),
            (1, false, None, false),
            (1, false, Some(100), false),
            (0, false, Some(1000), true),
        ] {
            // Of type 2: a home address.
            let route = [&[6, 2, 2, left, 0, 0, 0, 0][..], &[0x20; 16][..]].concat();
            let (l3, l4) = (packet.l3_off, packet.l4_off());
            let mut right = [&packet.bytes[..l4], &route[..], &packet.bytes[l4..]].concat();
            let len = (right.len() - l4) as u16;
            right[l3 + 4..l3 + 6].copy_from_slice(&len.to_be_bytes());
            right[l3 + 6] = 43;
            let routed = Packet { l3_len: 64, bytes: right, ..packet.clone() };
            let wish = Offload {
                l4_checksum: if partial { L4Checksum::Partial } else { L4Checksum::Full },
                tso_mss,
                l4_words: if tso_mss.is_some() { ((packet.header - l4) / 4) as u8 } else { 0 },
                ..offload(&routed)
            };
            // The sum of the pseudo header is the same as without the route, or else the host's matter.
            let mut bytes = routed.bytes.clone();
            let field = packet.raw(partial, false, 0)[l4 + 16..l4 + 18].to_vec();
            bytes[routed.l4_off() + 16..][..2].copy_from_slice(&field);
            send(&mut rig, &mut memory, &bytes, 3, &wish);
            let frames = back(&mut rig, &mut memory, usize::from(sent));
            if sent {
                assert!(frames == [routed.bytes], "{left} {partial} {tso_mss:?}");
            } else {
                assert!(frames.is_empty());
            }
        }
        assert_eq!(refused(&mut rig) - before, 2);
        rig.assert_clean();
    }
}

/// A UDP checksum that comes to 0 is sent as 0xffff.
#[test]
fn a_udp_checksum_of_0() {
    for width in WIDTHS {
        let (mut rig, mut memory) = rig(width, 201);
        for round in 0..40 {
            let mut packet = Packet::random(&mut rig.rng, true, 30);
            let at = packet.l4_off() + 6;
            let last = packet.header + 28;
            packet.bytes[last..].fill(0);
            let partial = round % 2 == 0;
            let l4_checksum = if partial { L4Checksum::Partial } else { L4Checksum::Full };
            let wish = Offload { l4_checksum, ..offload(&packet) };
            // With its checksum in the payload, the packet's checksum is 0.
            send(&mut rig, &mut memory, &packet.raw(partial, false, 0), 3, &wish);
            let first = back(&mut rig, &mut memory, 1).remove(0);
            let sum = [first[at], first[at + 1]];
            packet.bytes[last..].copy_from_slice(&sum);
            send(&mut rig, &mut memory, &packet.raw(partial, false, 0), 3, &wish);
            let second = back(&mut rig, &mut memory, 1).remove(0);
            assert_eq!(second[at..at + 2], [0xff, 0xff], "{:02x?}", sum);
        }
        rig.assert_clean();
    }
}

/// Segments, put together again.
#[test]
fn segmentation() {
    for width in WIDTHS {
        let (mut rig, mut memory) = rig(width, 202);
        for round in 0..60 {
            let mss = match round % 4 {
                0 => 536,
                1 => 1448,
                2 => rig.rng.random_range(64..2000),
                _ => rig.rng.random_range(2000..8900),
            };
            let payload = match round % 3 {
                0 => rig.rng.random_range(0..=mss),
                1 => mss * rig.rng.random_range(1..5),
                _ => rig.rng.random_range(0..50_000.min(mss * 60)),
            };
            let payload = payload.min(60_000);
            let packet = Packet::random(&mut rig.rng, false, payload);
            let wish = Offload {
                l4_checksum: if round % 5 == 0 { L4Checksum::Done } else { L4Checksum::Full },
                l3_checksum: round % 5 != 0 && !packet.v6,
                tso_mss: Some(mss as u16),
                l4_words: ((packet.header - packet.l4_off()) / 4) as u8,
                ..offload(&packet)
            };
            let mut bytes = packet.raw(round % 2 == 0, true, rig.rng.random());
            if rig.rng.random() {
                // The packet's own length means nothing.
                let at = packet.l3_off + if packet.v6 { 4 } else { 2 };
                bytes[at..at + 2].fill(0);
            }
            send(&mut rig, &mut memory, &bytes, 15, &wish);
            let count = payload.div_ceil(mss).max(1);
            let frames = back(&mut rig, &mut memory, count);
            judge_segments(&packet, mss, &frames);
        }
        rig.assert_clean();
    }
}

/// 64 KiB in one packet, and a packet with more segments than the card has places for.
#[test]
fn the_longest_packets() {
    for width in WIDTHS {
        let (mut rig, mut memory) = rig(width, 203);
        for (mss, payload) in [(9000, 65_400), (1448, 65_400), (200, 40_000)] {
            let packet = Packet::random(&mut rig.rng, false, payload);
            let wish = Offload {
                l4_checksum: L4Checksum::Full,
                tso_mss: Some(mss as u16),
                l4_words: ((packet.header - packet.l4_off()) / 4) as u8,
                ..offload(&packet)
            };
            send(&mut rig, &mut memory, &packet.raw(false, true, 0), 19, &wish);
            let count = payload.div_ceil(mss).max(1);
            let frames = back(&mut rig, &mut memory, count);
            judge_segments(&packet, mss, &frames);
        }
        rig.assert_clean();
    }
}

/// The MTU is lowered while long packets are cut into frames: each is sent whole or refused whole, and what follows is sent.
#[test]
fn mtu_lowered_under_segmentation() {
    for width in WIDTHS {
        let (mut rig, mut memory) = rig(width, 205);
        let mut refused_some = 0;
        for round in 0..6 {
            rig.nic.set_mtu(9216).unwrap();
            let before = rig.nic.counters().unwrap();
            let packet = Packet::random(&mut rig.rng, false, 60_000);
            let wish = Offload {
                l4_checksum: L4Checksum::Full,
                tso_mss: Some(8000),
                l4_words: ((packet.header - packet.l4_off()) / 4) as u8,
                ..offload(&packet)
            };
            memory.as_mut_slice()[..packet.bytes.len()].copy_from_slice(&packet.bytes);
            let iova = memory.iova();
            let third = packet.bytes.len() / 3;
            let last = packet.bytes.len() - 2 * third;
            let pieces = [(0, third), (third, third), (2 * third, last)]
                .map(|(at, len)| Segment { iova: iova + at as u64, len });
            let tx = &mut rig.nic.pair(0).tx;
            for _ in 0..12 {
                tx.send_pushed(&[], &pieces, &wish, 7).unwrap();
            }
            tx.flush();
            let moment = rig.rng.random_range(0..round * 2000 + 1000);
            rig.nic.wait(std::time::Duration::from_nanos(moment));
            rig.nic.set_mtu(1500).unwrap();
            let short = Segment { iova, len: 1000 };
            let mut sent = 12;
            let mut done = 0;
            let mut quiet = 0;
            // At 25 Gb/s a frame of 8,000 bytes takes ten of these waits.
            while done < 32 || quiet < 100 {
                let tx = &mut rig.nic.pair(0).tx;
                while sent < 32 {
                    if tx.send_pushed(&[], &[short], &Offload::default(), 7).is_err() {
                        break;
                    }
                    sent += 1;
                }
                tx.flush();
                rig.nic.wait(std::time::Duration::from_nanos(256));
                quiet += 1;
                assert!(quiet < 1000, "{done} of 32 completed");
                let pair = rig.nic.pair(0);
                done += pair.tx.reap(32, |sent| assert_eq!(sent.token, 7)).unwrap();
                while let Some(frame) = pair.rx.receive().unwrap() {
                    let cut = [8000, 4000].map(|mss| packet.header + mss).contains(&frame.len());
                    assert!(cut || frame.to_vec() == packet.bytes[..1000], "{}", frame.len());
                    quiet = 0;
                }
                pair.rx.refill();
            }
            let after = rig.nic.counters().unwrap();
            let [frames, bad] = [Counter::TxFrames, Counter::TxDropsBadDescriptor].map(|which| {
                let value = |all: &[(Counter, u64)]| all.iter().find(|c| c.0 == which).unwrap().1;
                value(&after) - value(&before)
            });
            // 7 frames of 8,000 bytes and one of 4,000 each.
            assert_eq!(frames, 8 * (12 - bad) + 20, "{bad} refused");
            refused_some += u64::from(bad > 0 && bad < 12);
        }
        assert!(refused_some > 0, "the MTU came too early or too late each time");
        // All queues end in time.
        let world = rig.world.clone();
        rig.nic.close().unwrap();
        world.borrow().assert_clean();
    }
}

/// Packets whose heads are pushed: a part of their headers, all of them, payload too, or the whole packet.
#[test]
fn pushed_heads() {
    for width in WIDTHS {
        for push in [Push::Lines, Push::WideLines] {
            let (mut rig, mut memory) = rig_with(width, 204, Config { push, ..config() });
            let most = rig.nic.pair(0).tx.max_push();
            let mut whole = 0;
            for round in 0..200 {
                let cut = round % 2 == 0;
                let payload = match round % 5 {
                    0 => rig.rng.random_range(0..20),
                    1 => rig.rng.random_range(0..9000),
                    _ => rig.rng.random_range(0..300),
                };
                let udp = !cut && rig.rng.random();
                let packet = Packet::random(&mut rig.rng, udp, payload);
                // The first frame often ends within what can be pushed.
                let short = most.saturating_sub(packet.header).max(2);
                let mss = if rig.rng.random() {
                    rig.rng.random_range(short / 2..=short + 1)
                } else {
                    rig.rng.random_range(100..3000)
                };
                // Less is refused.
                let mss = mss.max(payload / 100 + 1).max(8);
                let partial = !cut && rig.rng.random();
                let ip = rig.rng.random();
                let wish = Offload {
                    l4_checksum: if partial { L4Checksum::Partial } else { L4Checksum::Full },
                    l3_checksum: ip && !packet.v6,
                    tso_mss: cut.then_some(mss as u16),
                    l4_words: if cut { ((packet.header - packet.l4_off()) / 4) as u8 } else { 0 },
                    ..offload(&packet)
                };
                let bytes = packet.raw(partial, ip, rig.rng.random());
                let frame = if cut { bytes.len().min(packet.header + mss) } else { bytes.len() };
                let at = match rig.rng.random_range(0..4) {
                    0 => packet.header,
                    1 => rig.rng.random_range(1..=most),
                    _ => frame,
                };
                let (head, rest) = bytes.split_at(at.min(frame).min(most));
                whole += usize::from(rest.is_empty());
                send_pushed(&mut rig, &mut memory, head, rest, 15, &wish);
                if cut {
                    let frames = back(&mut rig, &mut memory, payload.div_ceil(mss).max(1));
                    judge_segments(&packet, mss, &frames);
                } else {
                    let frames = back(&mut rig, &mut memory, 1);
                    let mut right = packet.bytes.clone();
                    right.resize(right.len().max(60), 0);
                    assert!(
                        frames == [right],
                        "round {round}: {:?}",
                        &packet.bytes[..packet.header]
                    );
                }
            }
            assert!(whole > 10, "{whole} packets were pushed whole");
            // Beyond the first frame nothing can be pushed.
            let wish = Offload { l3_offset: 14, l3_len: 20, l4_words: 5, ..Offload::default() };
            let wish = Offload { tso_mss: Some(10), l4_checksum: L4Checksum::Full, ..wish };
            let piece = Segment { iova: memory.iova(), len: 100 };
            let tx = &mut rig.nic.pair(0).tx;
            assert_eq!(tx.send_pushed(&[0; 65], &[piece], &wish, 7), Err((Refusal::TooLong, 7)));
            rig.assert_clean();
        }
    }
}
