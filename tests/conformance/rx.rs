//! Conformance cases of received frames.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::support::raw::{received, Raw, RX};
use super::{ethernet, seed, udp, Pair, WIDTHS};

fn arrive(raw: &Raw, frame: &[u8]) {
    let host = raw.function.host();
    raw.world.borrow_mut().inject(host, 64, frame, false);
}

#[test]
pub fn case_45_buffers_of_mixed_sizes_each_full_but_the_last() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(45));
        let mut rng = ChaCha8Rng::seed_from_u64(seed(45));
        let mut rx = raw.queue(RX, 64, u32::MAX);
        let id = rx.id;
        raw.steer(|_| id);
        let buffers = raw.memory(64 * 4096, 4096);
        let mut lens = vec![0; 64];
        let mut post = |rx: &mut super::Queue, slot: u16, lens: &mut Vec<usize>| {
            let len = rng.random_range(26..=58) * 64;
            lens[usize::from(slot)] = len;
            rx.post(slot, buffers.iova() + u64::from(slot) * 4096, len);
        };
        for slot in 0..63 {
            post(&mut rx, slot, &mut lens);
        }
        rx.ring(&raw);
        for round in 0..60 {
            let frame = udp([9000, 1514, 9216, 60, 3712, 1664][round % 6], round as u16);
            arrive(&raw, &frame);
            let mut got: Vec<u8> = vec![];
            loop {
                let entry = received(&rx.next(&raw));
                let slot = usize::from(entry.req_id);
                assert_eq!(entry.first, got.is_empty());
                got.extend(&buffers.as_slice()[slot * 4096..][..entry.len]);
                assert!(entry.last || entry.len == lens[slot], "full but the last");
                post(&mut rx, entry.req_id, &mut lens);
                if entry.last {
                    assert_ne!(entry.hash, 0, "the last entry has it");
                    break;
                }
            }
            rx.ring(&raw);
            assert!(got == frame);
        }
        raw.assert_clean();
    }
}

#[test]
pub fn case_46_without_descriptors_frames_are_dropped_and_counted() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(46));
        let mut rx = raw.queue(RX, 64, u32::MAX);
        let id = rx.id;
        raw.steer(|_| id);
        let buffers = raw.memory(4096, 4096);
        for round in 0..3 {
            let before = raw.counters();
            for _ in 0..25 {
                arrive(&raw, &ethernet(60));
            }
            raw.step(10_000);
            let now = raw.counters();
            assert_eq!(now.of("rx_drops_no_descriptor") - before.of("rx_drops_no_descriptor"), 25);
            rx.post(round, buffers.iova(), 2048);
            rx.ring(&raw);
            raw.step(5_000);
            arrive(&raw, &ethernet(99));
            assert_eq!(received(&rx.next(&raw)).len, 99);
        }
        raw.assert_clean();
    }
}

/// A frame of IPv4 or IPv6 with the checksums it should have: `l3` bytes of header and options, `l4` as it is but for its sum.
fn sealed(tag: &[u8], ip: &[u8], l4: &[u8]) -> Vec<u8> {
    let sum = |parts: &[&[u8]]| {
        let mut sum: u32 = parts
            .iter()
            .flat_map(|part| part.chunks(2))
            .map(|w| u32::from(w[0]) << 8 | w.get(1).map_or(0, |&b| b.into()))
            .sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (!(sum as u16)).to_be_bytes()
    };
    let (mut ip, mut l4) = (ip.to_vec(), l4.to_vec());
    let v4 = ip[0] >> 4 == 4;
    let (addresses, number) = if v4 { (12..20, ip[9]) } else { (8..40, ip[6]) };
    let length = (l4.len() as u16).to_be_bytes();
    let at = if number == 6 { 16 } else { 6 };
    let own = sum(&[&ip[addresses], &[0, number], &length, &l4]);
    l4[at..at + 2].copy_from_slice(&own);
    if v4 {
        let own = sum(&[&ip]);
        ip[10..12].copy_from_slice(&own);
    }
    let ethertype: &[u8] = if v4 { &[8, 0] } else { &[0x86, 0xdd] };
    [&[2, 0x4e, 0x49, 0x54, 0, 1, 2, 0, 0, 0, 0, 9], tag, ethertype, &ip, &l4].concat()
}

#[test]
pub fn case_47_checksum_flags_of_good_bad_and_unknown_packets() {
    const L3_ERR: u32 = 1 << 13;
    const L4_ERR: u32 = 1 << 14;
    const FRAG: u32 = 1 << 15;
    const CHECKED: u32 = 1 << 16;
    const SEEN: u32 = 0x1f | 0x1f << 8 | L3_ERR | L4_ERR | FRAG | CHECKED;
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(47));
        let mut pair = Pair::new(&mut raw, 64, u32::MAX, 2048);
        let mut flags = |raw: &Raw, frame: &[u8]| {
            arrive(raw, frame);
            let (got, entry) = pair.receive(raw);
            assert!(got == frame, "delivered, whatever its sums");
            entry.flags & SEEN
        };
        for tag in [&[][..], &[0x81, 0, 0, 7], &[0x88, 0xa8, 0, 1, 0x81, 0, 0, 2]] {
            for (v4, tcp, payload) in [
                (true, true, 100),
                (true, false, 1001),
                (false, true, 9),
                (false, false, 1400),
                (true, false, 1),
            ] {
                let mut l4: Vec<u8> = (0..payload + 20).map(|i| (i * 31 + 5) as u8).collect();
                l4[if tcp { 16..18 } else { 6..8 }].fill(0);
                l4[4..6].copy_from_slice(&(payload as u16 + 20).to_be_bytes());
                let number = if tcp { 6 } else { 17 };
                let total = l4.len() as u16;
                let ip = if v4 {
                    let mut ip = [
                        0x46, 0, 0, 0, 1, 2, 0x40, 0, 64, number, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
                        1, 1, 1, 0,
                    ];
                    ip[2..4].copy_from_slice(&(total + 24).to_be_bytes());
                    ip.to_vec()
                } else {
                    let mut ip: Vec<u8> = (0..40).map(|i| (i * 7 + 1) as u8).collect();
                    ip[..8].copy_from_slice(&[0x60, 0, 0, 0, 0, 0, number, 64]);
                    ip[4..6].copy_from_slice(&total.to_be_bytes());
                    ip
                };
                let good = sealed(tag, &ip, &l4);
                let kind = if v4 { 8 } else { 11 } | if tcp { 12 } else { 13 } << 8;
                let l3_at = 14 + tag.len();
                let l4_at = l3_at + ip.len();
                assert_eq!(flags(&raw, &good), kind | CHECKED);
                // Padding is in no sum.
                let padded = [&good[..], &[0xa5; 33]].concat();
                assert_eq!(flags(&raw, &padded), kind | CHECKED);

                let mut bad = good.clone();
                *bad.last_mut().unwrap() ^= 0x40;
                assert_eq!(flags(&raw, &bad), kind | CHECKED | L4_ERR);

                // Less than the length says.
                assert_eq!(flags(&raw, &good[..good.len() - 1]), kind);

                if v4 {
                    let mut bad = good.clone();
                    bad[l3_at + 8] ^= 1;
                    assert_eq!(flags(&raw, &bad), kind | CHECKED | L3_ERR);
                    let mut both = bad.clone();
                    both[l4_at] ^= 1;
                    assert_eq!(flags(&raw, &both), kind | CHECKED | L3_ERR | L4_ERR);
                    // A first fragment and a later one, with the header's sum right and wrong.
                    for place in [[0x20, 0], [0x20, 9], [0, 9]] {
                        let mut ip = ip.clone();
                        ip[6..8].copy_from_slice(&place);
                        let mut fragment = sealed(tag, &ip, &l4);
                        assert_eq!(flags(&raw, &fragment), 8 | FRAG);
                        fragment[l3_at + 8] ^= 1;
                        assert_eq!(flags(&raw, &fragment), 8 | FRAG | L3_ERR);
                    }
                    // Neither TCP nor UDP.
                    let mut ip = ip.clone();
                    ip[9] = 47;
                    assert_eq!(flags(&raw, &sealed(tag, &ip, &l4)), 8);
                }
                if !tcp {
                    // No sum: allowed in IPv4 alone.
                    let mut none = good.clone();
                    none[l4_at + 6..l4_at + 8].fill(0);
                    let told = if v4 { 0 } else { CHECKED | L4_ERR };
                    assert_eq!(flags(&raw, &none), kind | told);
                    // Nor is it looked for where UDP's length is not IP's.
                    none[l4_at + 5] ^= 1;
                    assert_eq!(flags(&raw, &none), kind);
                }
            }
        }
        // Neither IPv4 nor IPv6.
        assert_eq!(flags(&raw, &ethernet(200)), 0);
        raw.assert_clean();
    }
}

#[test]
pub fn case_48_entries_are_never_half_there_nor_mixed() {
    for width in WIDTHS {
        let mut raw = Raw::with(width, seed(48), |mut host| {
            host.pressure = nitor_sim::host::Pressure::all(0.3);
            host
        });
        raw.start();
        let mut pair = Pair::new(&mut raw, 64, u32::MAX, 256);
        pair.rx.cq.as_mut_slice().fill(0xee);
        // The phase of the lap before.
        for entry in 0..64 {
            pair.rx.cq.store::<u8>(16 * entry + 3, 0xee & !1);
        }
        for len in [1000, 60, 256, 257, 700] {
            arrive(&raw, &udp(len, 3));
        }
        let (mut packets, mut len) = (0, 0);
        while packets < 5 {
            raw.step(1);
            let at = usize::from(pair.rx.head) * 16;
            if let Some(entry) = pair.rx.poll() {
                let bytes = &pair.rx.cq.as_slice()[at..at + 16];
                assert!(bytes[4..12].iter().any(|byte| *byte != 0xee), "{bytes:x?}");
                let entry = received(&entry);
                assert!(entry.len <= 256 && usize::from(entry.req_id) < 63);
                assert_eq!(entry.first, len == 0);
                len += entry.len;
                if entry.last {
                    assert_eq!(len, [1000, 60, 256, 257, 700][packets]);
                    packets += 1;
                    len = 0;
                }
            }
        }
        raw.assert_clean();
    }
}

#[test]
pub fn case_49_no_more_entries_than_the_limit() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(49));
        let (status, answer) = raw.feature(8, 7, 1, &[], None);
        assert_eq!(status, 0);
        let most = usize::from(u16::from_le_bytes([answer[50], answer[51]]));
        assert!((1..=19).contains(&most));
        let mut pair = Pair::new(&mut raw, 64, u32::MAX, 64);
        arrive(&raw, &ethernet(64 * most));
        assert_eq!(pair.receive(&raw).0.len(), 64 * most);
        let before = raw.counters().of("rx_drops_no_descriptor");
        arrive(&raw, &ethernet(64 * most + 1));
        raw.step(10_000);
        assert_eq!(pair.rx.poll(), None);
        assert_eq!(raw.counters().of("rx_drops_no_descriptor"), before + 1);
        arrive(&raw, &ethernet(100));
        assert_eq!(pair.receive(&raw).0.len(), 100);
        raw.assert_clean();
    }
}

#[test]
pub fn case_50_every_address_and_tag_is_delivered_without_fcs() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(50));
        let mut pair = Pair::new(&mut raw, 64, u32::MAX, 2048);
        for address in
            [[0xff; 6], [1, 0, 0x5e, 0, 0, 251], [2, 0x4e, 0x49, 0x54, 0, 1], [2, 9, 9, 9, 9, 9]]
        {
            let mut frame = ethernet(64);
            frame[..6].copy_from_slice(&address);
            for tag in [&[][..], &[0x81, 0, 0, 7], &[0x88, 0xa8, 0, 1, 0x81, 0, 0, 2]] {
                let frame = [&frame[..12], tag, &frame[12..]].concat();
                arrive(&raw, &frame);
                assert!(pair.receive(&raw).0 == frame);
            }
        }
        raw.assert_clean();
    }
}
