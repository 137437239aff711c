//! Inline writes: each becomes one TLP, in the order of its client.

mod pcie_support;

use std::collections::VecDeque;

use nitor_block::Model;
use pcie_support::{cases, start, Joiner, Rng, INLINE128, INLINE512, INLINE_SMALL};
use proptest::prelude::*;

const REQUESTER: u16 = 0x3a5c;

#[derive(Clone, Debug, PartialEq)]
struct Write {
    addr: u64,
    /// 64 bytes; what is behind `len` counts for nothing.
    data: Vec<u8>,
    len: usize,
}

/// A write of whole dwords that does not leave its 64 bytes; bits 30:28 of the address name the
/// client.
fn write(rng: &mut Rng, client: u64) -> Write {
    let first = rng.below(16);
    let dwords = rng.range(1, 16 - first);
    let line = rng.below(1 << 20) << 6;
    let high = if rng.percent(50) { rng.range(1, 0xffff) << 32 } else { 0 };
    let addr = high | (client << 28) | line | (first * 4);
    Write { addr, data: rng.bytes(64), len: 4 * dwords as usize }
}

/// Runs so many writes of each client through; the cycles it took.
fn writes(model: &Model, k: usize, seed: u64, counts: [usize; 4], idle: u64, stall: u64) -> u64 {
    let mut rng = Rng(seed);
    let mut block = start(model, seed);
    block.set("requester", REQUESTER.into());
    let mut queues: Vec<VecDeque<Write>> =
        (0..4).map(|c| (0..counts[c]).map(|_| write(&mut rng, c as u64)).collect()).collect();
    let mut taken: [VecDeque<Write>; 4] = Default::default();
    // In the order in which their first beats were taken.
    let mut order: VecDeque<usize> = VecDeque::new();
    let mut offering = [false; 4];
    // Bytes of the first write that were taken.
    let mut at = [0usize; 4];
    let mut joiner = Joiner::default();
    let mut left: usize = counts.iter().sum();
    let mut privileged = false;
    let begin = block.cycles();
    while left > 0 {
        assert!(block.cycles() - begin < 100_000, "{left} writes do not come");
        for c in 0..4 {
            offering[c] |= !queues[c].is_empty() && rng.below(100) >= idle;
            block.set(format!("req_{c}_valid").as_str(), offering[c].into());
            let Some(write) = queues[c].front().filter(|_| offering[c]) else { continue };
            let first = at[c] == 0;
            // Place and length count with the first beat.
            let noise = (rng.below(1 << 40), rng.below(128));
            let (addr, len) = if first { (write.addr, write.len as u64) } else { noise };
            block.set(format!("req_{c}_addr").as_str(), addr);
            block.set(format!("req_{c}_len").as_str(), len);
            block.set_bytes(format!("req_{c}_data").as_str(), &write.data[at[c]..at[c] + k]);
            let last = at[c] + k >= write.len;
            block.set(format!("req_{c}_last").as_str(), last.into());
        }
        let ready = rng.below(100) >= stall;
        block.set("tx_ready", ready.into());
        block.clock_low();
        let beat = block.get("tx_valid") == 1 && ready;
        let sop = block.get("tx_sop") == 1;
        let mut passes = 0;
        for c in 0..4 {
            if offering[c] && block.get(format!("req_{c}_ready").as_str()) == 1 {
                offering[c] = false;
                passes += 1;
                if at[c] == 0 {
                    order.push_back(c);
                }
                at[c] += k;
                if at[c] >= queues[c][0].len {
                    at[c] = 0;
                    taken[c].extend(queues[c].pop_front());
                }
            }
        }
        assert!(passes <= 1);
        if beat {
            if sop {
                privileged = block.get("privileged") == 1;
            }
            let (hdr, data) = (block.get_bytes("tx_hdr"), block.get_bytes("tx_data"));
            assert_eq!(data.len(), k);
            if let Some(tlp) = joiner.push((sop, block.get("tx_eop") == 1, hdr, data)) {
                let client = (tlp.addr() >> 28 & 3) as usize;
                // What was taken first leaves first.
                assert_eq!(order.pop_front(), Some(client));
                let expected = taken[client].pop_front().expect("a write that was taken");
                assert_eq!(
                    (tlp.addr(), &tlp.data[..]),
                    (expected.addr, &expected.data[..expected.len])
                );
                // 3 dwords of header below 4 GiB, else 4.
                let kind = if expected.addr >> 32 == 0 { 0x40 } else { 0x60 };
                assert_eq!(tlp.kind(), kind);
                let be = if expected.len == 4 { 0x0f } else { 0xff };
                assert_eq!(tlp.hdr[1], u32::from(REQUESTER) << 16 | be);
                assert_eq!(privileged, client == 2);
                left -= 1;
            }
        }
        block.clock_high();
    }
    block.cycles() - begin
}

proptest! {
    #![proptest_config(cases(30))]

    #[test]
    fn writes_of_all_clients(seed: u64, which in 0..3, idle in 0u64..95, stall in 0u64..90) {
        let (model, k) = match which {
            0 => (&*INLINE512, 64),
            1 => (&*INLINE128, 16),
            _ => (&*INLINE_SMALL, 16),
        };
        writes(model, k, seed, [20, 20, 20, 20], idle, stall);
    }
}

/// As fast as the module says.
#[test]
fn speed() {
    let alone = writes(&INLINE512, 64, 1, [200, 0, 0, 0], 0, 0);
    let together = writes(&INLINE512, 64, 2, [100, 100, 100, 100], 0, 0);
    println!(
        "512 bits: alone {} cycles a write, together {}",
        alone as f64 / 200.0,
        together as f64 / 400.0
    );
    assert!(alone <= 200 + 10 && together <= 400 + 10);
}

/// The core's reset in the midst of a write: what was not taken by `pcie/tx` is forgotten, the
/// clients begin anew.
#[test]
fn a_reset_forgets_half_a_write() {
    half_a_write(&INLINE128);
    half_a_write(&INLINE_SMALL);
}

fn half_a_write(model: &Model) {
    let mut block = start(model, 7);
    block.set("tx_ready", 0);
    block.set("req_0_valid", 1);
    block.set("req_0_addr", 0x1000);
    block.set("req_0_len", 64);
    for _ in 0..4 {
        block.tick();
    }
    assert_eq!((block.get("tx_valid"), block.get("tx_sop"), block.get("tx_eop")), (1, 1, 0));
    block.set("req_0_valid", 0);
    block.set("core_reset", 1);
    block.tick();
    // The readless engine is not reset.
    block.set("req_2_valid", 1);
    block.set("req_2_addr", 0x2000);
    block.set("req_2_len", 8);
    block.set("req_2_last", 1);
    block.tick();
    block.tick();
    block.set("req_2_valid", 0);
    block.set("core_reset", 0);
    block.tick();
    assert_eq!((block.get("tx_valid"), block.get("tx_sop"), block.get("tx_eop")), (1, 1, 1));
    assert_eq!(block.get("privileged"), 1);
    let header = block.get_bytes("tx_hdr");
    assert_eq!(header[8..12], [0, 0x20, 0, 0]);
}

/// The core's reset while two beats are held: each is forgotten or kept by whose it is.
#[test]
fn a_reset_knows_both_beats() {
    for first in 0..4 {
        for second in 0..4 {
            let mut block = start(&INLINE128, 8);
            block.set("tx_ready", 0);
            for client in [first, second] {
                block.set(format!("req_{client}_valid").as_str(), 1);
                block.set(format!("req_{client}_addr").as_str(), 0x1000 * (client + 1));
                block.set(format!("req_{client}_len").as_str(), 4);
                block.set(format!("req_{client}_last").as_str(), 1);
                loop {
                    block.clock_low();
                    let ready = block.get(format!("req_{client}_ready").as_str()) == 1;
                    block.clock_high();
                    if ready {
                        break;
                    }
                }
                block.set(format!("req_{client}_valid").as_str(), 0);
            }
            block.set("core_reset", 1);
            block.tick();
            block.set("core_reset", 0);
            block.set("tx_ready", 1);
            let mut left = Vec::new();
            for _ in 0..6 {
                block.clock_low();
                if block.get("tx_valid") == 1 {
                    left.push(u64::from(block.get_bytes("tx_hdr")[9]) / 0x10 - 1);
                    assert_eq!(block.get("privileged"), 1);
                }
                block.clock_high();
            }
            let kept: Vec<u64> = [first, second].into_iter().filter(|&c| c == 2).collect();
            assert_eq!(left, kept, "{first}, then {second}");
        }
    }
}

/// What is called back is gone two cycles later, wherever it was, unless `tx` has it, and then
/// `sent` tells; nothing else is lost.
#[test]
fn a_write_that_is_called_back_is_not_sent() {
    let models = [&*INLINE512, &*INLINE128, &*INLINE_SMALL];
    for (which, seed) in (0..3).flat_map(|which| (0..120).map(move |seed| (which, seed))) {
        let mut rng = Rng(seed);
        let mut block = start(models[which], seed);
        let stall = rng.below(100);
        // The client's write is offered, taken, sent: one at a time.
        let client = 2 + rng.below(2);
        let (mut offers, mut held) = (false, false);
        let (mut made, mut gone, mut sent, mut told) = (0, 0, 0, 0);
        let (mut others, mut others_sent) = (0, 0);
        let mut recalled_at = u64::MAX;
        block.set(format!("req_{client}_addr").as_str(), 0x2000);
        block.set(format!("req_{client}_len").as_str(), 4);
        block.set(format!("req_{client}_last").as_str(), 1);
        block.set("req_0_addr", 0x1000);
        block.set("req_0_len", 4);
        block.set("req_0_last", 1);
        let mut other = false;
        for cycle in 0..2_000 {
            let settled = cycle > recalled_at && cycle - recalled_at > 1;
            if settled && (offers || held) {
                // Neither told of nor seen by now: it never will be.
                (offers, held, recalled_at) = (false, false, u64::MAX);
                gone += 1;
            }
            if !offers && !held && cycle < 1_900 && rng.percent(30) {
                offers = true;
                made += 1;
            }
            other |= cycle < 1_900 && rng.percent(50);
            let recall = (offers || held) && recalled_at == u64::MAX && rng.percent(15);
            if recall {
                recalled_at = cycle;
            }
            // It is taken back from `req` in the cycle in which it is called back.
            let valid = offers && recalled_at == u64::MAX;
            block.set(format!("req_{client}_valid").as_str(), valid.into());
            block.set("req_0_valid", other.into());
            block.set("recall", u64::from(recall) << (client - 2));
            let ready = cycle >= 1_900 || rng.below(100) >= stall;
            block.set("tx_ready", ready.into());
            block.clock_low();
            if block.get("sent") != 0 {
                assert_eq!(block.get("sent"), 1 << (client - 2));
                assert!(held, "told of what was not there");
                (offers, held, recalled_at) = (false, false, u64::MAX);
                told += 1;
            }
            if block.get("tx_valid") == 1 && ready {
                match block.get_bytes("tx_hdr")[9] {
                    0x10 => others_sent += 1,
                    _ => sent += 1,
                }
            }
            if valid && block.get(format!("req_{client}_ready").as_str()) == 1 {
                (offers, held) = (false, true);
            }
            if other && block.get("req_0_ready") == 1 {
                other = false;
                others += 1;
            }
            block.clock_high();
        }
        assert_eq!((sent, made), (told, told + gone), "block {which}, seed {seed}");
        assert_eq!(others_sent, others, "block {which}, seed {seed}");
    }
}
