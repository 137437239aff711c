//! The receiving half of the host link under a host that sends faster than the bus takes: every write arrives, once and in order.

mod control_support;

use control_support::model;
use nitor_block::Model;
use nitor_hdl::link::receive::LinkReceive;
use nitor_hdl::link::{BUS_WRITE, DATA, OPEN};
use proptest::prelude::*;
use std::sync::LazyLock;

/// 4 frames held.
static RECEIVE: LazyLock<Model> =
    LazyLock::new(|| model("link_receive_128", LinkReceive::<128, 2, 11>::default));

const SESSION: u32 = 0x1234;

fn frame(flags: u64, seq: usize, messages: &[u32]) -> Vec<u32> {
    let head = flags as u32 | (seq as u32 & 0xff) << 8;
    [&[head, messages.len() as u32 | SESSION << 16], messages].concat()
}

fn next(rng: &mut u64) -> u64 {
    *rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *rng >> 33
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn nothing_is_lost_in_a_hurry(seed: u64, slow in 0..60u64) {
        const FRAMES: usize = 60;
        let mut rng = seed;
        let writes: Vec<Vec<u32>> = (0..FRAMES)
            .map(|_| (0..1 + next(&mut rng) % 40).map(|_| next(&mut rng) as u32).collect())
            .collect();
        let mut block = RECEIVE.block(seed);
        for port in ["word_valid", "hard_reset", "bus_ready", "tlp_ready", "reply_ready"] {
            block.set(port, 0);
        }
        block.set("hard_reset", 1);
        block.reset(3);
        block.set("hard_reset", 0);
        // The host sends what is expected next and what follows, and begins again now and then.
        let mut words = frame(OPEN, 0, &[]);
        let (mut at, mut seq, mut gap) = (0, 0, 0);
        let (mut got, mut waits) = (Vec::new(), 0);
        let total: usize = writes.iter().map(Vec::len).sum();
        for _ in 0..400_000 {
            if got.len() == total {
                break;
            }
            block.set("word_valid", u64::from(gap == 0));
            if gap == 0 {
                let last = at + 1 == words.len();
                block.set("word", u64::from(words[at]) | u64::from(last) << 32);
                at += 1;
                if last {
                    gap = 4 + next(&mut rng) % 30;
                }
            } else {
                gap -= 1;
            }
            block.clock_low();
            let ready = block.get("bus_valid") == 1 && waits == 0;
            if block.get("bus_valid") == 1 {
                waits = if ready { next(&mut rng) % (slow + 1) } else { waits - 1 };
            }
            block.set("bus_ready", ready.into());
            block.clock_low();
            if ready {
                prop_assert_eq!(block.get("bus_addr"), (4 * got.len() as u64) & 0xffff);
                got.push(block.get("bus_wdata") as u32);
            }
            let expected = block.get("expected") as usize;
            block.clock_high();
            if at == words.len() && gap == 0 {
                // Frames are fewer than the numbers.
                seq = if seq > expected + 3 || next(&mut rng).is_multiple_of(3) { expected } else { seq };
                let sent = seq.min(FRAMES - 1);
                let before: usize = writes[..sent].iter().map(Vec::len).sum();
                let message = |(i, &value): (usize, &u32)| {
                    [BUS_WRITE as u32 | 1 << 8 | (4 * (before + i) as u32) << 16, value]
                };
                words = frame(DATA, sent, &writes[sent].iter().enumerate().flat_map(message).collect::<Vec<_>>());
                (at, seq) = (0, sent + 1);
            }
        }
        prop_assert_eq!(got, writes.concat());
    }
}
