//! `tx/sched`: its latency, its slots, and queues that are made anew.

mod tx_support;

use nitor_block::stream::{cycle, Sink, Source, Stalls};
use nitor_block::Model;
use nitor_hdl::tx::sched::TxSched;
use std::sync::LazyLock;
use tx_support::streams::{Ask, Batch, Bell, Command};
use tx_support::{model, start};

static SCHED: LazyLock<Model> = LazyLock::new(|| model::<TxSched<4, 0>>("tx_sched"));

/// From a doorbell to its request, and what both say.
#[test]
fn sched_latency() {
    let mut block = start(&SCHED, 1, 3);
    block.set("batch_ready", 1);
    block.set("fetch_ready", 1);
    let mut commands = Source::<Command>::new(&block, "ctx", Stalls::none());
    commands.push(Command { idx: 9, base: 0x1240, log_depth: 5, cq: 27, ..Command::default() });
    let mut bells = Source::<Bell>::new(&block, "doorbell", Stalls::none());
    let mut asks = Sink::<Ask>::new(&block, "fetch", Stalls::none());
    let mut batches = Sink::<Batch>::new(&block, "batch", Stalls::none());
    while !commands.is_empty() {
        cycle(&mut block, &mut [&mut commands]);
    }
    bells.push(Bell { queue: 9, tail: 20 });
    let mut cycles = 0;
    while asks.received().len() < 2 {
        cycle(&mut block, &mut [&mut commands, &mut bells, &mut asks, &mut batches]);
        cycles += u64::from(asks.received().is_empty());
        assert!(cycles < 50);
    }
    println!("{cycles} cycles");
    assert!(cycles <= 8, "{cycles}");
    let ask = |op: u64, addr, len| Ask { addr, len, dst: op * 256, op: 0x100 | op, last: 1 };
    assert_eq!(asks.take(), [ask(0, 0x1240, 256), ask(1, 0x1340, 64)]);
    let batch =
        |op: u64, count| Batch { queue: 9, cq: 27, op: 0x100 | op, count, lines: 0, marker: 0 };
    assert_eq!(batches.take(), [batch(0, 16), batch(1, 4)]);
}

/// No more than 32 batches are under way, whoever has work.
#[test]
fn sched_slots() {
    let mut block = start(&SCHED, 2, 3);
    let mut commands = Source::<Command>::new(&block, "ctx", Stalls::none());
    let mut bells = Source::<Bell>::new(&block, "doorbell", Stalls::none());
    let mut asks = Sink::<Ask>::new(&block, "fetch", Stalls::none());
    let mut batches = Sink::<Batch>::new(&block, "batch", Stalls::none());
    for idx in 0..16 {
        commands.push(Command { idx, base: idx << 20, log_depth: 12, ..Command::default() });
    }
    for _ in 0..400 {
        cycle(&mut block, &mut [&mut commands, &mut asks, &mut batches]);
    }
    bells.extend((0..16).map(|queue| Bell { queue, tail: 4096 }));
    for round in 1..4 {
        for _ in 0..400 {
            cycle(&mut block, &mut [&mut commands, &mut bells, &mut asks, &mut batches]);
        }
        assert!(bells.is_empty());
        assert_eq!((asks.received().len(), batches.received().len()), (32 * round, 32 * round));
        // All queues take turns.
        for (i, batch) in batches.received().iter().enumerate() {
            assert!(i < 64 || batches.received()[i - 16].queue == batch.queue);
        }
        block.set("slot_free", 1);
        for _ in 0..32 {
            cycle(&mut block, &mut [&mut commands, &mut bells, &mut asks, &mut batches]);
        }
        block.set("slot_free", 0);
    }
}

/// A queue that is destroyed and created again while it waits for its turn waits there once.
#[test]
fn sched_recreated() {
    let mut block = start(&SCHED, 3, 3);
    let mut commands = Source::<Command>::new(&block, "ctx", Stalls::none());
    let mut bells = Source::<Bell>::new(&block, "doorbell", Stalls::none());
    let mut asks = Sink::<Ask>::new(&block, "fetch", Stalls::none());
    let mut batches = Sink::<Batch>::new(&block, "batch", Stalls::none());
    let create = |idx| Command { idx, base: idx << 20, log_depth: 12, ..Command::default() };
    commands.extend((0..16).map(create));
    for _ in 0..200 {
        cycle(&mut block, &mut [&mut commands, &mut batches]);
    }
    // No request gets out, so that all queues but a few wait.
    block.set("fetch_ready", 0);
    for round in 0..20 {
        bells.extend(
            (0..16)
                .map(|queue| Bell { queue, tail: if round == 0 || queue == 15 { 7 } else { 0 } }),
        );
        for _ in 0..200 {
            cycle(&mut block, &mut [&mut bells, &mut batches]);
        }
        commands.push(Command { destroy: 1, ..create(15) });
        commands.push(create(15));
        block.set("marker_ack", 1);
        for _ in 0..30 {
            cycle(&mut block, &mut [&mut commands, &mut batches]);
        }
        block.set("marker_ack", 0);
    }
    bells.push(Bell { queue: 15, tail: 9 });
    for _ in 0..400 {
        cycle(&mut block, &mut [&mut bells, &mut asks, &mut batches]);
    }
    let mut counts = [0; 16];
    for batch in batches.take() {
        counts[batch.queue as usize] += if batch.marker == 1 { 0 } else { batch.count };
    }
    let mut want = [7; 16];
    want[15] = 9;
    assert_eq!(counts, want);
}
