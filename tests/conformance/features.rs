//! Conformance cases of features.

use super::support::raw::{received, Raw, GET_FEATURE, RX, SET_FEATURE};
use super::{ethernet, seed, udp, Pair, WIDTHS};

const UNSUPPORTED: u8 = 3;
const ILLEGAL: u8 = 5;

fn get(raw: &mut Raw, id: u8, version: u8) -> [u8; 56] {
    let (status, answer) = raw.feature(GET_FEATURE, id, version, &[], None);
    assert_eq!(status, 0, "GET {id}");
    answer[8..].try_into().unwrap()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

#[test]
pub fn case_22_the_bitmap_is_what_is_there() {
    let mut raw = Raw::ready(128, seed(22));
    let bitmap = word(&get(&mut raw, 1, 0), 8);
    // 7, 11, 12, 14 and 26: without these some driver does not come up.
    assert_eq!(bitmap & 0x0400_5880, 0x0400_5880, "{bitmap:#x}");
    for id in 0..32 {
        let version = u8::from(id == 7);
        let get = raw.feature(GET_FEATURE, id, version, &[], None).0;
        let set = raw.feature(SET_FEATURE, id, version, &[], None).0;
        let there = get != UNSUPPORTED || set != UNSUPPORTED;
        assert_eq!(there, bitmap >> id & 1 == 1, "feature {id}: GET {get}, SET {set}");
        assert!(!there || get == 0, "GET {id}: {get}");
    }
    raw.assert_clean();
}

#[test]
pub fn case_23_queue_limits() {
    let mut raw = Raw::ready(128, seed(23));
    let limits = get(&mut raw, 7, 1);
    assert_eq!(limits[0], 1, "version");
    for queues in [4, 8, 12, 16] {
        assert_ne!(word(&limits, queues), 0);
    }
    for depth in [20, 24, 28, 32] {
        assert!(word(&limits, depth) >= 1024);
    }
    assert!((1..=255).contains(&word(&limits, 36)), "header size");
    assert!(u16::from_le_bytes([limits[40], limits[41]]) >= 19);
    raw.assert_clean();
}

#[test]
pub fn case_24_event_groups_some_and_none() {
    let mut raw = Raw::ready(128, seed(24));
    let supported = word(&get(&mut raw, 26, 0), 0);
    assert_eq!(supported & 0x11, 0x11, "link changes and keep-alives");
    for groups in [supported, 1, 0x10, 0] {
        let mut payload = [0; 8];
        payload[4..].copy_from_slice(&groups.to_le_bytes());
        assert_eq!(raw.feature(SET_FEATURE, 26, 0, &payload, None).0, 0);
        let now = get(&mut raw, 26, 0);
        assert_eq!((word(&now, 0), word(&now, 4)), (supported, groups));
    }
    raw.assert_clean();
}

#[test]
pub fn case_25_the_indirection_table_steers_by_receive_queue() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(25));
        let sizes = get(&mut raw, 12, 0);
        let [min, max] = [0, 2].map(|at| u16::from_le_bytes([sizes[at], sizes[at + 1]]));
        assert!(min <= 7 && 7 <= max);
        let mut pair = Pair::new(&mut raw, 64, u32::MAX, 2048);
        let mut other = raw.queue(RX, 64, u32::MAX);
        let buffers = raw.memory(40 * 128, 64);
        for slot in 0..40 {
            other.post(slot, buffers.iova() + 128 * u64::from(slot), 128);
        }
        other.ring(&raw);
        let ids = [pair.rx.id, other.id];
        let queue_of = |entry: usize| ids[entry * 5 % 7 % 2];
        raw.steer(queue_of);
        let table = raw.memory(512, 64);
        let buffer = Some((table.iova(), 512));
        assert_eq!(raw.feature(GET_FEATURE, 12, 0, &[], buffer).0, 0);
        for entry in 0..128 {
            assert_eq!(table.load::<u32>(4 * entry), u32::from(queue_of(entry)));
        }
        for port in 0..40 {
            pair.send(&raw, 0, 0, &udp(100, port));
            pair.tx.next(&raw);
            let (queue, entry) = raw.until("a frame", || {
                let come =
                    [&mut pair.rx, &mut other].map(|queue| queue.poll().map(|e| (queue.id, e)));
                come.into_iter().flatten().next()
            });
            assert_eq!(queue, queue_of(received(&entry).hash as usize & 127));
        }
        raw.assert_clean();
    }
}

/// As Microsoft defined it, over source, destination and ports.
fn toeplitz(key: &[u8], input: &[u8]) -> u32 {
    let bit = |bytes: &[u8], n: usize| bytes[n / 8] >> (7 - n % 8) & 1 != 0;
    let window = |n: usize| (0..32).fold(0u32, |w, i| w << 1 | u32::from(bit(key, n + i)));
    (0..input.len() * 8).filter(|&n| bit(input, n)).fold(0, |hash, n| hash ^ window(n))
}

#[test]
pub fn case_26_the_key_and_the_hash() {
    for width in WIDTHS {
        let mut raw = Raw::ready(width, seed(26));
        let mut buffer = raw.memory(48, 64);
        let control = Some((buffer.iova(), 48));
        assert_eq!(raw.feature(GET_FEATURE, 10, 0, &[], control).0, 0);
        assert_eq!(buffer.load::<u32>(0), 10, "parts of the key");
        let key: Vec<u8> = (0..40).map(|i| (i * 37 + 11) as u8).collect();
        for (at, byte) in key.iter().rev().enumerate() {
            buffer.store(8 + at, *byte);
        }
        let toeplitz_id = [0, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(raw.feature(SET_FEATURE, 10, 0, &toeplitz_id, control).0, 0);
        let read = raw.memory(48, 64);
        assert_eq!(raw.feature(GET_FEATURE, 10, 0, &[], Some((read.iova(), 48))).0, 0);
        assert_eq!(read.as_slice()[8..48], buffer.as_slice()[8..48]);
        let mut pair = Pair::new(&mut raw, 64, u32::MAX, 2048);
        for port in [0, 1, 0x8000, 12345, 65535] {
            let frame = udp(200, port);
            pair.send(&raw, 0, 0, &frame);
            let (_, entry) = pair.receive(&raw);
            assert_eq!(entry.hash, toeplitz(&key, &frame[26..38]), "port {port}");
            // IPv4, UDP, no fragment; a header whose sum is wrong, and a length that can't be checked.
            assert_eq!(entry.flags & 0x0001_ff1f, 0x2d08, "{:#x}", entry.flags);
            pair.tx.next(&raw);
        }
        raw.assert_clean();
    }
}

#[test]
pub fn case_27_hash_input_by_protocol() {
    let mut raw = Raw::ready(128, seed(27));
    let mut buffer = raw.memory(256, 64);
    let control = Some((buffer.iova(), 256));
    assert_eq!(raw.feature(GET_FEATURE, 18, 0, &[], control).0, 0);
    let offered = |entry: usize| buffer.load::<u16>(4 * entry);
    for entry in 0..4 {
        assert_eq!(offered(entry) & 0x3c, 0x3c, "TCP and UDP");
    }
    for entry in 4..7 {
        assert_eq!(offered(entry) & 0x0c, 0x0c, "IP");
    }
    assert_eq!(offered(7) & 3, 3, "others");
    for entry in 0..16 {
        let selected = buffer.load::<u16>(64 + 4 * entry);
        assert_eq!(selected & !offered(entry), 0, "selected, not offered: {entry}");
    }
    for unused in 0..8 {
        for (entry, fields) in
            [0x3c, 0x3c, 0x3c, 0x3c, 0x0c, 0x0c, 0x0c, 0x03].into_iter().enumerate()
        {
            let fields = if entry == unused { 0 } else { fields };
            buffer.store::<u16>(64 + 4 * entry, fields);
        }
        assert_eq!(raw.feature(SET_FEATURE, 18, 0, &[0, 0, 6, 0], control).0, 0);
    }
    raw.assert_clean();
}

#[test]
pub fn case_28_mtu() {
    let mut raw = Raw::ready(128, seed(28));
    let largest = word(&get(&mut raw, 1, 0), 32);
    assert!(largest >= 1500);
    let mut pair = Pair::new(&mut raw, 64, u32::MAX, 3712);
    let mut carries = |raw: &mut Raw, len: usize| {
        pair.send(raw, 5, 0, &ethernet(len));
        pair.tx.next(raw);
        let rx = &mut pair.rx;
        let mut came = 0;
        while let Some(entry) = raw.within(5_000, || rx.poll()) {
            came += received(&entry).len;
        }
        assert!(came == 0 || came == len);
        came == len
    };
    for mtu in [128, 1500, largest] {
        assert_eq!(raw.feature(SET_FEATURE, 14, 0, &mtu.to_le_bytes(), None).0, 0);
        assert!(carries(&mut raw, mtu as usize + 14) && carries(&mut raw, mtu as usize + 18));
        for refused in [largest + 1, 65_536, u32::MAX, 0] {
            assert_ne!(raw.feature(SET_FEATURE, 14, 0, &refused.to_le_bytes(), None).0, 0);
        }
        assert!(carries(&mut raw, mtu as usize + 14), "as before");
        assert!(!carries(&mut raw, mtu as usize + 14 + 64), "an MTU of {mtu}");
    }
    raw.assert_clean();
}

#[test]
pub fn case_29_host_attributes_before_anything_else_and_low_latency_queues_as_chosen() {
    let mut raw = Raw::ready(128, seed(29));
    let page = raw.memory(4096, 4096);
    let mut payload = [0; 20];
    payload[..8].copy_from_slice(&page.iova().to_le_bytes());
    assert_eq!(raw.feature(SET_FEATURE, 28, 0, &payload, None).0, 0);
    get(&mut raw, 1, 0);
    // Drivers enable accelerations that were not offered; the rest of it must be.
    let mut llq = [0; 36];
    llq[28] = 3;
    assert_eq!(raw.feature(SET_FEATURE, 4, 0, &llq, None).0, ILLEGAL);
    (llq[10], llq[14], llq[18], llq[22]) = (1, 1, 2, 2);
    assert_eq!(raw.feature(SET_FEATURE, 4, 0, &llq, None).0, 0);
    raw.assert_clean();
}
