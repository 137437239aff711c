//! Interrupt moderation, counted: with delays, fewer interrupts for the same packets.

mod support;

use std::time::Duration;

use nitor_driver::pci::PciFunction;
use nitor_driver::{Config, Mode, Segment};
use support::{run, seed, Rig, Traffic};

const US: Duration = Duration::from_micros(1);
const PACKETS: u32 = 40;

fn rig(width: u32, seed: u64, tx: u32, rx: u32) -> Rig {
    let mode = Mode::Interrupts { tx_delay: tx * US, rx_delay: rx * US };
    let config = Config { tx_depth: 128, rx_depth: 128, mode, ..Config::default() };
    Rig::new(width, seed, config)
}

/// Interrupts for packets that come, or go, one every 10 µs.
fn paced(rig: &mut Rig, rx: bool) -> u32 {
    // What is sent does not come back.
    rig.world.borrow_mut().set_link(0, rx);
    let memory = rig.nic.function().alloc_dma(4096, 4096).unwrap();
    let (mut interrupts, mut done) = (0, 0);
    // The last ones have the time their delay takes.
    for packet in 0..PACKETS + 25 {
        let end = rig.now() + 10 * US;
        if packet < PACKETS && rx {
            let host = rig.nic.function().host();
            rig.world.borrow_mut().inject(host, 64, &[0x55; 200], false);
        } else if packet < PACKETS {
            let segment = Segment { iova: memory.iova(), len: 200 };
            rig.nic.pair(0).tx.send(&[segment], 1).unwrap();
            rig.nic.pair(0).tx.flush();
        }
        while rig.now() < end {
            let left = end - rig.now();
            let fired = rig.nic.wait(left);
            let pair = rig.nic.pair(0);
            if pair.vector().is_some_and(|vector| fired.contains(vector)) {
                interrupts += 1;
                done += pair.tx.reap(usize::MAX, |_| ()).unwrap() as u32;
                while pair.rx.receive().unwrap().is_some() {
                    done += 1;
                }
                pair.rx.refill();
                pair.unmask();
            }
        }
    }
    assert_eq!(done, PACKETS, "every packet was told of by an interrupt");
    rig.world.borrow_mut().set_link(0, true);
    rig.assert_clean();
    interrupts
}

/// A delay of `d` µs takes what comes in `d` µs together, in each direction by its own.
#[test]
fn delays_gather_packets() {
    for width in [128, 512] {
        for (rx, other) in [(true, 1000), (false, 0)] {
            let count = |delay: u32| {
                let (tx, rx_delay) = if rx { (other, delay) } else { (delay, other) };
                paced(&mut rig(width, seed(80), tx, rx_delay), rx)
            };
            let counts = [0, 25, 200].map(count);
            println!("{width} bits, {}: {counts:?}", if rx { "RX" } else { "TX" });
            assert_eq!(counts[0], PACKETS, "one each");
            // Packets in the delay, and the one that begins it.
            for (count, delay) in counts.into_iter().zip([0, 25, 200]).skip(1) {
                let expected = PACKETS.div_ceil(delay / 10 + 1);
                assert!(
                    count.abs_diff(expected) <= 1 + expected / 10,
                    "{delay} µs: {count}, not {expected}"
                );
            }
        }
    }
}

/// As fast as it goes, both ways at once.
#[test]
fn fewer_interrupts_under_load() {
    for width in [128, 512] {
        let per_packet = |delay: u32| {
            let mut rig = rig(width, seed(81), delay, delay);
            let traffic = Traffic {
                frames: 400,
                lengths: 60..=300,
                max_segments: 1,
                window: (60, 20_000),
                ..Traffic::default()
            };
            let outcome = run(&mut rig, &traffic, false);
            assert_eq!(outcome.received, 400);
            rig.assert_clean();
            outcome.interrupts
        };
        let counts = [0, 4, 16].map(per_packet);
        println!("{width} bits: {counts:?} interrupts for 400 packets sent and received");
        assert!(counts[0] > 2 * counts[1] && counts[1] >= counts[2], "{counts:?}");
    }
}
