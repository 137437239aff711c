//! The UART against a serial line that the test drives bit by bit.

mod tx_support;

use std::sync::LazyLock;

use nitor_block::Model;
use nitor_hdl::link::uart::Uart;
use proptest::prelude::*;
use tx_support::{model, start, Rng};

static UART: LazyLock<Model> = LazyLock::new(|| model::<Uart>("uart"));

/// Cycles of a bit: 3 Mbaud at 100 MHz.
const BIT: f64 = 100.0 / 3.0;

/// The line of a byte, a level a cycle, its bits `slow` times as long as they should be.
fn drawn(byte: u8, stop: bool, slow: f64) -> Vec<bool> {
    let bits = std::iter::once(false).chain((0..8).map(|i| byte >> i & 1 == 1)).chain([stop]);
    let mut line = vec![];
    for (i, bit) in bits.enumerate() {
        line.resize(((i + 1) as f64 * BIT * slow).round() as usize, bit);
    }
    line
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    /// Bytes at a rate within 3 %, some right behind each other; starts that are too short are
    /// none, and what has no stop bit is no byte.
    #[test]
    fn what_is_received(seed: u64, slow in 0.97f64..1.03) {
        let mut rng = Rng(seed);
        let mut line = vec![true; 500];
        let (mut expected, mut errors) = (vec![], 0);
        for _ in 0..60 {
            if rng.percent(20) {
                line.extend(vec![false; rng.range(1, 10) as usize]);
                line.extend(vec![true; 60]);
            }
            let (byte, stop) = (rng.next() as u8, !rng.percent(10));
            line.extend(drawn(byte, stop, slow));
            match stop {
                true => expected.push(byte),
                false => errors += 1,
            }
            let idle = if stop && rng.percent(50) { 0 } else { rng.range(80, 200) };
            line.extend(vec![true; idle as usize]);
        }
        line.extend(vec![true; 100]);
        let mut block = start(&UART, seed, 2);
        let (mut got, mut wrong) = (vec![], 0);
        for (i, level) in line.into_iter().enumerate() {
            block.set("rxd", level.into());
            block.clock_low();
            // The line was low as the reset ended.
            if i > 450 {
                got.extend((block.get("rx_valid") == 1).then(|| block.get("rx") as u8));
                wrong += block.get("rx_error");
            }
            block.clock_high();
        }
        prop_assert_eq!(got, expected);
        prop_assert_eq!(wrong, errors);
    }

    /// Bytes offered at any time are on the line, at the rate that is asked for.
    #[test]
    fn what_is_sent(seed: u64, pause in 0u64..2) {
        let mut rng = Rng(seed);
        let mut block = start(&UART, seed, 2);
        let bytes = rng.bytes(40);
        let mut waiting: std::collections::VecDeque<u8> = bytes.iter().copied().collect();
        let mut line = vec![];
        let mut rest = 0;
        while line.len() < 40 * 500 {
            let offered = waiting.front().filter(|_| rest == 0);
            block.set("tx_valid", offered.is_some().into());
            block.set("tx", offered.copied().unwrap_or(0).into());
            block.clock_low();
            rest = u64::saturating_sub(rest, 1);
            if offered.is_some() && block.get("tx_ready") == 1 {
                waiting.pop_front();
                rest = pause * rng.below(300);
            }
            line.push(block.get("txd") == 1);
            block.clock_high();
        }
        let mut got = vec![];
        let mut at = 0;
        while let Some(begin) = line[at..].iter().position(|level| !level) {
            let middle = |bit: usize| line[at + begin + (BIT * (bit as f64 + 0.5)) as usize];
            prop_assert!(!middle(0) && middle(9));
            got.push((0..8).fold(0, |byte, bit| byte | u8::from(middle(bit + 1)) << bit));
            at += begin + (BIT * 9.5) as usize;
        }
        prop_assert_eq!(got, bytes);
    }
}
