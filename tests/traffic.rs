//! Random traffic through the whole card: driver, PCIe, RTL, wire and back.

mod support;

use nitor_driver::{Config, Mode};
use nitor_sim::host::{Credits, Pressure};
use nitor_sim::wire::WireConfig;
use nitor_sim::HostConfig;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::{run, seed, Outcome, Rig, Traffic, INTERRUPTS};

const WIDTHS: [u32; 2] = [128, 512];

fn small(depth: u16) -> Config {
    Config { tx_depth: depth, rx_depth: depth, rx_buffer_len: 2048, mtu: 9216, ..Config::default() }
}

/// All is received, and counted as such by the card.
fn all_back(rig: &mut Rig, traffic: &Traffic) -> Outcome {
    let before = rig.nic.card_stats().unwrap();
    let outcome = run(rig, traffic, false);
    let after = rig.nic.card_stats().unwrap();
    assert_eq!(outcome.received, traffic.frames);
    assert_eq!(after.tx_packets - before.tx_packets, traffic.frames as u64);
    assert_eq!(after.rx_packets - before.rx_packets, traffic.frames as u64);
    assert_eq!((after.rx_drops, after.rx_overruns, after.tx_drops), (0, 0, 0));
    rig.assert_clean();
    outcome
}

/// Every length from 1 to 200, then every power of two and its neighbours.
#[test]
fn every_short_length() {
    for width in WIDTHS {
        let mut rig = Rig::new(width, seed(1), small(64));
        let powers = (8..14).flat_map(|bit| (1 << bit) - 1..=(1 << bit) + 1);
        let powers = powers.filter(|&len| len <= 9216);
        let in_turn: Vec<usize> = (1..=200).chain(powers).chain([9215, 9216]).collect();
        all_back(&mut rig, &Traffic { frames: in_turn.len(), in_turn, ..Traffic::default() });
    }
}

/// Rings of 16 wrap many times, and are full most of the time.
#[test]
fn small_rings_wrap() {
    for width in WIDTHS {
        for mode in [Mode::Polling, INTERRUPTS] {
            let config = Config { mode, ..small(16) };
            let mut rig = Rig::new(width, seed(2), config);
            let window = (14, 14_000);
            let traffic = Traffic {
                frames: 400,
                lengths: 1..=1600,
                max_segments: 5,
                window,
                ..Traffic::default()
            };
            let outcome = all_back(&mut rig, &traffic);
            assert_eq!(outcome.interrupts > 0, mode == INTERRUPTS);
        }
    }
}

/// Frames in up to 16 buffers of a size that is no multiple of anything.
#[test]
fn many_buffers_a_frame() {
    for width in WIDTHS {
        let config = Config { rx_buffer_len: 601, ..small(64) };
        let mut rig = Rig::new(width, seed(3), config);
        let traffic = Traffic { frames: 80, window: (3, 20_000), ..Traffic::default() };
        let outcome = all_back(&mut rig, &traffic);
        assert!(outcome.buffers > 3 * outcome.received as u64);
    }
}

/// As many descriptors as the card takes for a packet.
#[test]
fn many_segments_a_packet() {
    for width in WIDTHS {
        let mut rig = Rig::new(width, seed(4), small(128));
        let max_segments = rig.nic.pair(0).tx.max_segments();
        assert!(max_segments >= 16, "{max_segments}");
        all_back(&mut rig, &Traffic { frames: 150, max_segments, ..Traffic::default() });
    }
}

/// 16 queue pairs with interrupts; RSS spreads what comes back.
#[test]
fn all_queues() {
    for width in WIDTHS {
        let config = Config { pairs: 16, mode: INTERRUPTS, ..small(64) };
        let mut rig = Rig::new(width, seed(5), config);
        all_back(&mut rig, &Traffic { frames: 500, window: (30, 20_000), ..Traffic::default() });
        let used = rig.nic.pairs().iter().filter(|pair| pair.rx.stats().packets > 0).count();
        assert!(used > 8, "{used} receive queues used");
    }
}

/// The deepest rings.
#[test]
fn deep_rings() {
    let mut rig = Rig::new(128, seed(6), small(1024));
    let features = rig.nic.features().max_depths();
    assert!(features.0 >= 1024 && features.1 >= 1024, "{features:?}");
    all_back(&mut rig, &Traffic { frames: 1500, lengths: 1..=200, ..Traffic::default() });
}

/// The link stalls at random in both directions, credits are few, completions late, split and out of order.
#[test]
fn a_bad_link() {
    for width in WIDTHS {
        for round in 0..6 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed(100 + round));
            let host = |mut host: HostConfig| {
                let root = &mut host.root;
                root.max_payload = 128 << rng.random_range(0..3);
                root.max_read_request = 128 << rng.random_range(0..6);
                root.completer.boundary = [64, 128][rng.random_range(0..2)];
                root.completer.split = rng.random_range(0.0..1.0);
                root.completer.gap = rng.random_range(0..60);
                host.credits = Credits {
                    posted_headers: Some(rng.random_range(1..8)),
                    posted_data: Some(rng.random_range(32..64)),
                    non_posted_headers: Some(rng.random_range(1..8)),
                    completion_headers: Some(rng.random_range(1..8)),
                    completion_data: Some(rng.random_range(8..32)),
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
            let config = Config { pairs: 3, mode: INTERRUPTS, ..small(32) };
            let mut rig = Rig::with(width, seed(7 + round), config, WireConfig::default(), host);
            all_back(&mut rig, &Traffic { frames: 80, window: (12, 12_000), ..Traffic::default() });
        }
    }
}

/// More than the receive side has buffers for: what arrives is right and in order, the rest is counted, and nothing sticks.
#[test]
fn overload_drops_whole_frames() {
    for width in WIDTHS {
        let mut rig = Rig::new(width, seed(8), Config { tx_depth: 256, ..small(16) });
        let heavy = Traffic {
            frames: 600,
            lengths: 60..=3000,
            max_segments: 1,
            window: (200, 400_000),
            ..Traffic::default()
        };
        let outcome = run(&mut rig, &heavy, true);
        let stats = rig.nic.card_stats().unwrap();
        assert_eq!(outcome.sent, 600);
        assert_eq!(stats.tx_packets, 600);
        assert_eq!(stats.rx_packets, outcome.received as u64);
        let lost = (outcome.sent - outcome.received) as u64;
        assert!(lost > 0, "this was to be too much");
        assert_eq!(stats.rx_drops, lost);
        assert!(stats.rx_overruns > 0 && stats.rx_overruns <= lost, "some found no buffer");
        rig.assert_clean();

        let gentle = Traffic { frames: 50, window: (4, 9216), ..Traffic::default() };
        assert_eq!(run(&mut rig, &gentle, false).received, 50);
    }
}
