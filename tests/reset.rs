//! Resets in the middle of traffic: the card uses no memory that was taken away, the driver gets
//! every packet back once, and everything works again.

mod support;

use nitor_driver::pci::PciFunction;
use nitor_driver::{Config, ResetReason, Segment};
use rand::RngExt;
use support::{run, seed, Rig, Traffic, INTERRUPTS};

const PACKETS: u64 = 60;

/// Takes what was on the wire during a reset and came in after it.
fn settle(rig: &mut Rig) {
    rig.world.borrow_mut().step(20_000);
    for pair in rig.nic.pairs_mut() {
        while pair.rx.receive().unwrap().is_some() {}
        pair.rx.refill();
    }
}

/// Leaves packets, buffers and interrupts under way, for some cycles.
fn upset(rig: &mut Rig) {
    let cycles = [0, 3, 200, 2000][rig.rng.random_range(0..4)];
    let cycles = cycles + rig.rng.random_range(0..300);
    let memory = rig.nic.function().alloc_dma(16_384, 4096).unwrap();
    for token in 0..PACKETS {
        let at = rig.rng.random_range(0..4096);
        let len = rig.rng.random_range(60..1500);
        let segment = Segment { iova: memory.iova() + at, len };
        let q = token as usize % rig.nic.pairs().len();
        rig.nic.pair(q).tx.send(&[segment], token).unwrap();
    }
    for pair in rig.nic.pairs_mut() {
        pair.tx.flush();
    }
    rig.world.borrow_mut().step(cycles);
    rig.nic.recover(ResetReason::UserTrigger).unwrap();
    // Its memory goes here, and with it the card's right to read it.
    drop(memory);
    let mut back = vec![0; PACKETS as usize];
    for pair in rig.nic.pairs_mut() {
        pair.tx.reap(usize::MAX, |sent| back[sent.token as usize] += 1).unwrap();
    }
    assert_eq!(back, [1; PACKETS as usize]);
    settle(rig);
    rig.assert_clean();
}

#[test]
fn resets_under_traffic() {
    for width in [128, 512] {
        for round in 0..2 {
            let config = Config { pairs: 2, tx_depth: 64, rx_depth: 64, ..Config::default() };
            let config = Config { mode: INTERRUPTS, ..config };
            let mut rig = Rig::new(width, seed(20 + round), config);
            for _ in 0..5 {
                upset(&mut rig);
                let lengths = 1..=1514;
                let traffic = Traffic { frames: 30, lengths, ..Traffic::default() };
                assert_eq!(run(&mut rig, &traffic, false).received, 30);
            }
            assert_eq!(rig.nic.device_stats().resets, 5);
            rig.assert_clean();
        }
    }
}

/// A driver goes without a word, with frames on the wire, in some rounds by a function-level reset; the next one finds the card as new.
#[test]
fn close_and_open_again() {
    let mut rig = Rig::new(128, seed(30), Config::default());
    for round in 0..4 {
        let pairs = 1 + round % 3;
        let function = rig.nic.function().clone();
        let memory = function.alloc_dma(4096, 4096).unwrap();
        for token in 0..50 {
            let segment = Segment { iova: memory.iova(), len: 1000 };
            // Until the ring is full.
            let _ = rig.nic.pair(0).tx.send(&[segment], token);
        }
        rig.nic.pair(0).tx.flush();
        let cycles = rig.rng.random_range(0..3000);
        rig.world.borrow_mut().step(cycles);
        if round % 2 == 0 {
            function.reset().unwrap();
        }
        let config = Config { pairs, tx_depth: 32, rx_depth: 128, ..Config::default() };
        let old = std::mem::replace(&mut rig.nic, {
            // The new driver resets what the old one left.
            nitor_driver::Ena::open(function, config).unwrap()
        });
        drop(memory);
        std::mem::forget(old);
        settle(&mut rig);
        let traffic = Traffic { frames: 30, lengths: 1..=1514, ..Traffic::default() };
        assert_eq!(run(&mut rig, &traffic, false).received, 30);
        rig.assert_clean();
    }
}
