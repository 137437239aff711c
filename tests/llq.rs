//! Low-latency queues through the whole card: lines into BAR 2, packets out, partly or fully
//! pushed.

mod support;

use nitor_driver::{Config, Mode, Push, ResetReason};
use nitor_sim::host::{Credits, Pressure};
use nitor_sim::wire::WireConfig;
use nitor_sim::HostConfig;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::{run, seed, Rig, Traffic, INTERRUPTS};

const WIDTHS: [u32; 2] = [128, 512];
const KINDS: [Push; 2] = [Push::Lines, Push::WideLines];

fn config(push: Push, depth: u16) -> Config {
    Config {
        push,
        tx_depth: depth,
        rx_depth: 64,
        rx_buffer_len: 2048,
        mtu: 9216,
        ..Config::default()
    }
}

fn all_back(rig: &mut Rig, traffic: &Traffic) {
    let before = rig.nic.card_stats().unwrap();
    let outcome = run(rig, traffic, false);
    let after = rig.nic.card_stats().unwrap();
    assert_eq!(outcome.received, traffic.frames);
    assert_eq!(after.tx_packets - before.tx_packets, traffic.frames as u64);
    assert_eq!((after.rx_drops, after.tx_drops), (0, 0));
    rig.assert_clean();
}

/// Every length around what a line holds.
#[test]
fn every_short_length() {
    for width in WIDTHS {
        for push in KINDS {
            let mut rig = Rig::new(width, seed(60), config(push, 32));
            assert!(rig.nic.pair(0).tx.max_push() >= 96);
            let in_turn: Vec<usize> = (1..=260).chain([1514, 9215, 9216]).collect();
            all_back(&mut rig, &Traffic { frames: in_turn.len(), in_turn, ..Traffic::default() });
        }
    }
}

/// Lines are used again and again, packets span up to four of them, queues with interrupts side by side.
#[test]
fn lines_wrap() {
    for width in WIDTHS {
        for (push, mode) in [(Push::Lines, INTERRUPTS), (Push::WideLines, Mode::Polling)] {
            let config = Config { pairs: 3, mode, ..config(push, 16) };
            let mut rig = Rig::new(width, seed(61), config);
            let max_segments = rig.nic.pair(0).tx.max_segments();
            let window = (12, 14_000);
            let short = Traffic { frames: 300, lengths: 1..=200, window, ..Traffic::default() };
            all_back(&mut rig, &short);
            let long = Traffic { lengths: 1..=1600, max_segments, ..short };
            all_back(&mut rig, &long);
        }
    }
}

/// As many lines as there are, and as many queues.
#[test]
fn all_lines() {
    for width in WIDTHS {
        // The driver asks for more than there are.
        let config = Config { pairs: 16, tx_depth: 1024, ..config(Push::Lines, 1024) };
        let mut rig = Rig::new(width, seed(62), config);
        let traffic = Traffic {
            frames: 1500,
            lengths: 40..=128,
            window: (200, 40_000),
            ..Traffic::default()
        };
        all_back(&mut rig, &traffic);
    }
}

/// The link stalls, credits are few: a doorbell never overtakes its lines.
#[test]
fn a_bad_link() {
    for width in WIDTHS {
        for round in 0..4 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed(160 + round));
            let host = |mut host: HostConfig| {
                host.root.completer.split = rng.random_range(0.0..1.0);
                host.credits = Credits {
                    posted_headers: Some(rng.random_range(1..8)),
                    posted_data: Some(rng.random_range(32..64)),
                    non_posted_headers: Some(rng.random_range(1..8)),
                    completion_headers: Some(rng.random_range(1..8)),
                    completion_data: None,
                    delay: (1, 100),
                };
                host.pressure = Pressure {
                    rx_gap: rng.random_range(0.0..0.5),
                    tx_stall: rng.random_range(0.0..0.5),
                    mac_rx_gap: rng.random_range(0.0..0.5),
                    mac_tx_stall: rng.random_range(0.0..0.5),
                };
                host
            };
            let push = KINDS[round as usize % 2];
            let config = Config { pairs: 3, mode: INTERRUPTS, ..config(push, 32) };
            let mut rig = Rig::with(width, seed(63 + round), config, WireConfig::default(), host);
            all_back(&mut rig, &Traffic { frames: 80, window: (12, 12_000), ..Traffic::default() });
        }
    }
}

/// A reset forgets lines and how they are made; the driver tells it again.
#[test]
fn after_a_reset() {
    for width in WIDTHS {
        let mut rig = Rig::new(width, seed(70), config(Push::Lines, 64));
        for _ in 0..5 {
            all_back(&mut rig, &Traffic { frames: 40, ..Traffic::default() });
            rig.nic.recover(ResetReason::UserTrigger).unwrap();
        }
        all_back(&mut rig, &Traffic { frames: 40, ..Traffic::default() });
    }
}

/// Some put 64-bit BARs at the other end of all addresses, and leave every vector unmasked: those
/// that nobody set up have no address.
#[test]
fn a_root_complex_with_ways_of_its_own() {
    for width in WIDTHS {
        let config = Config { pairs: 3, mode: INTERRUPTS, ..config(Push::Lines, 32) };
        let mut rig = Rig::with(width, seed(69), config, WireConfig::default(), |mut host| {
            (host.root.bars_64, host.root.unmask_all) = (1 << 63, true);
            host
        });
        let lines = rig.world.borrow().host(0).root.function.bars[2].unwrap();
        assert_eq!(lines.base, 1 << 63);
        let traffic =
            Traffic { frames: 200, lengths: 1..=600, window: (12, 7_000), ..Traffic::default() };
        all_back(&mut rig, &traffic);
    }
}
