//! A long run with everything at once, which checks for all that makes drivers reset a card.

use std::time::{Duration, Instant};

use nitor_driver::pci::PciFunction;
use nitor_fw::Settings;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::support::raw::{
    received, reg, sent_id, Queue, Raw, GET_STATS, MAC, RX, SET_FEATURE, TX,
};
use super::{seed, udp, Memory};

const UNMASK: u32 = 1 << 30;
const DEPTH: u16 = 64;
const PAIRS: u16 = 3;
const BUFFER: usize = 2048;
/// Packets under way on a queue: no more than fit into the buffers of one that gets them all, each in up to 5.
const WINDOW: usize = 4;
/// A second, for this card; drivers give up after three without a sign of life, and after five with a packet under way.
const SECOND: u64 = 2 * 250_000;
/// Steps between looks.
const MOMENT: u64 = 200;

struct Lane {
    tx: Queue,
    rx: Queue,
    vector: u16,
    memory: Memory,
    buffers: Memory,
    /// Sent and not completed: since when.
    sent: Vec<(u16, u64)>,
    next_id: u16,
    /// Of the frame being received.
    part: Vec<u8>,
    /// When something was last found here that no interrupt had told of.
    unheard: Option<u64>,
}

/// Frames by what is at their end, a number.
fn frame(rng: &mut ChaCha8Rng, number: u32) -> Vec<u8> {
    let len = match rng.random_range(0..10) {
        0 => rng.random_range(1515..9000),
        1..4 => 1514,
        4..6 => 60,
        _ => rng.random_range(60..1514),
    };
    let mut frame = udp(len, rng.random());
    frame[len - 4..].copy_from_slice(&number.to_le_bytes());
    frame
}

#[test]
pub fn case_59_mixed_traffic_without_a_reason_for_a_reset() {
    // NITOR_SOAK=3600 takes an hour of somebody's time; without, a few seconds, always the same.
    let long = std::env::var("NITOR_SOAK").ok();
    let long = long.map(|seconds| Duration::from_secs(seconds.parse().expect("seconds")));
    for width in super::WIDTHS {
        let share = long.map(|long| long / super::WIDTHS.len() as u32);
        soak(width, share);
    }
}

fn soak(width: u32, share: Option<Duration>) {
    let settings = Settings { keep_alive_us: (SECOND / 250) as u32, ..Settings::new(MAC) };
    let mut raw = Raw::with_settings(width, seed(59), settings, |host| host);
    raw.start();
    raw.function.enable_msix(1 + PAIRS).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(seed(59));
    let mut lanes: Vec<Lane> = (1..=PAIRS)
        .map(|vector| {
            let (tx, mut rx) =
                (raw.queue(TX, DEPTH, vector.into()), raw.queue(RX, DEPTH, vector.into()));
            let buffers = raw.memory(usize::from(DEPTH) * BUFFER, 4096);
            for slot in 0..DEPTH - 1 {
                rx.post(slot, buffers.iova() + u64::from(slot) * BUFFER as u64, BUFFER);
            }
            rx.ring(&raw);
            raw.set(tx.unmask, UNMASK | 4 << 15 | 1);
            let memory = raw.memory(usize::from(DEPTH) * 0x3000, 4096);
            let (sent, part) = (vec![], vec![]);
            Lane { tx, rx, vector, memory, buffers, sent, next_id: 0, part, unheard: None }
        })
        .collect();
    let ids: Vec<u16> = lanes.iter().map(|lane| lane.rx.id).collect();
    raw.steer(|i| ids[i % ids.len()]);
    let mut groups = [0; 8];
    groups[4..].copy_from_slice(&0x11u32.to_le_bytes());
    assert_eq!(raw.feature(SET_FEATURE, 26, 0, &groups, None).0, 0);
    raw.set(reg::AENQ_HEAD_DB, 16);
    let counters = raw.counters();

    let start = Instant::now();
    let (mut sent, mut got, mut rounds, mut signs) = (0u32, 0u32, 0u64, 0u32);
    let mut alive = raw.now();
    let mut expected = std::collections::HashMap::new();
    loop {
        rounds += 1;
        let more = match share {
            Some(share) => start.elapsed() < share,
            None => rounds < 6_000,
        };
        if !more && expected.is_empty() && lanes.iter().all(|lane| lane.sent.is_empty()) {
            break;
        }
        for lane in &mut lanes {
            while more
                && lane.sent.len() < WINDOW
                && expected.len() < 2 * WINDOW
                && rng.random_bool(0.4)
            {
                let bytes = frame(&mut rng, sent);
                let id = lane.next_id;
                lane.next_id = (id + 1) % DEPTH;
                let at = usize::from(id) * 0x3000 + rng.random_range(0..64);
                lane.memory.as_mut_slice()[at..at + bytes.len()].copy_from_slice(&bytes);
                let cut = rng.random_range(1..bytes.len());
                let base = lane.memory.iova() + at as u64;
                lane.tx.send_pieces(id, &[(base, cut), (base + cut as u64, bytes.len() - cut)]);
                lane.tx.ring(&raw);
                lane.sent.push((id, raw.now()));
                expected.insert(sent, bytes);
                sent += 1;
            }
        }
        // Commands in between, as drivers have them: statistics, and the MTU.
        if rng.random_bool(0.02) {
            assert_eq!(raw.command(GET_STATS, &[0; 32]).0, 0);
            assert_eq!(raw.feature(SET_FEATURE, 14, 0, &9000u32.to_le_bytes(), None).0, 0);
        }
        raw.step(MOMENT);
        let now = raw.now();
        let fired = super::fired(&raw);
        for lane in &mut lanes {
            let told = fired.contains(&lane.vector);
            let mut found = false;
            while let Some(entry) = lane.tx.poll() {
                found = true;
                let id = sent_id(&entry);
                let at = lane.sent.iter().position(|(of, _)| *of == id);
                lane.sent.remove(at.expect("a packet that is under way"));
            }
            while let Some(entry) = lane.rx.poll() {
                found = true;
                let entry = received(&entry);
                assert!(entry.req_id < DEPTH && entry.first == lane.part.is_empty());
                let at = usize::from(entry.req_id) * BUFFER;
                lane.part.extend(&lane.buffers.as_slice()[at..at + entry.len]);
                lane.rx.post(entry.req_id, lane.buffers.iova() + at as u64, BUFFER);
                lane.rx.ring(&raw);
                if entry.last {
                    let bytes = std::mem::take(&mut lane.part);
                    let number = u32::from_le_bytes(*bytes.last_chunk().unwrap());
                    assert!(expected.remove(&number) == Some(bytes), "frame {number}");
                    got += 1;
                }
            }
            // Completions without an interrupt.
            lane.unheard = match (told, found, lane.unheard) {
                (true, ..) => None,
                (false, true, None) => Some(now),
                (false, _, since) => since,
            };
            assert!(lane.unheard.is_none_or(|since| now - since < SECOND / 20), "no interrupt");
            if told {
                raw.set(lane.tx.unmask, UNMASK | 4 << 15 | 1);
            }
            let late = lane.sent.iter().any(|(_, since)| now - since > SECOND / 10);
            assert!(!late, "a packet does not complete");
        }
        while let Some(event) = raw.poll_event() {
            let head = raw.admin().taken.wrapping_add(16);
            raw.set(reg::AENQ_HEAD_DB, head.into());
            if event[0] == 4 {
                alive = now;
                signs += 1;
            }
        }
        assert!(now - alive < 2 * SECOND, "no sign of life");
    }
    assert_eq!(got, sent);
    let wrong: Vec<_> = raw
        .counters()
        .since(&counters)
        .into_iter()
        .filter(|(name, _)| {
            name.contains("drops") || name.contains("broken") || name.contains("illegal")
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    println!("{width} bits: {sent} packets, {signs} signs of life, {} cycles", raw.now());
    assert!(sent > 1000 && signs > 1);
    raw.assert_clean();
}
