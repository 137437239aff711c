//! How fast the whole transmit path is, and how long a packet takes.

mod tx_support;

use nitor_block::Model;
use tx_support::bench::{Bench, Packet, Setup};
use tx_support::offload::{Wish, IP_CSUM, L4_CSUM, TCP, TSO, V4};
use tx_support::{Rng, PATH128, PATH512};

/// Cycles a packet of `len` bytes, in `bufs` buffers, takes with full rings and doorbells for
/// `batch` packets.
fn cycles_per_packet(
    model: &Model,
    setup: Setup,
    slots: u64,
    queues: usize,
    len: u16,
    bufs: u16,
    batch: usize,
) -> f64 {
    let mut bench = Bench::new(model, setup, slots);
    for queue in 0..queues {
        bench.create(queue, 10);
    }
    let descs = vec![(len / bufs, 0); usize::from(bufs)];
    rate(bench, queues, Packet { bufs: descs, ..Packet::default() }, len, batch)
}

fn rate(mut bench: Bench, queues: usize, packet: Packet, len: u16, batch: usize) -> f64 {
    let places = bench.places(0, &packet);
    let (warm, count) = if len < 1000 { (600, 3000) } else { (40, 160) };
    while bench.completions.len() < warm + count {
        for queue in 0..queues {
            if bench.room(queue) >= batch * places {
                for _ in 0..batch {
                    bench.post(queue, &packet);
                }
                bench.ring(queue);
            }
        }
        bench.step();
    }
    assert_eq!(bench.bad(), 0, "packets are refused, not sent");
    let cycles = bench.completions[warm + count - 1] - bench.completions[warm - 1];
    let rate = cycles as f64 / count as f64;
    println!(
        "{len} bytes in {places}, {queues} queues: {rate:.2} cycles, {:.1} bytes a cycle",
        f64::from(len) / rate
    );
    rate
}

/// The same packet with headers that offloads can be done for: none is refused.
fn dressed(packet: Packet) -> Packet {
    let Some(([mss, l3_len, l3_off, l4_words], _)) = packet.meta else { return packet };
    let len: usize = packet.bufs.iter().map(|&(len, _)| usize::from(len)).sum();
    let mut bytes = Rng(1).bytes(len);
    Wish { word1: packet.flags, mss, l3_len, l3_off, l4_words }.dress(&mut bytes, 0);
    Packet { bytes: Some(bytes), ..packet }
}

#[test]
fn speed_512() {
    for latency in [250, 500] {
        for queues in [1, 4, 16] {
            let setup = Setup::fast(64, latency);
            let rate = cycles_per_packet(&PATH512, setup.clone(), 7, queues, 60, 1, 32);
            assert!(rate <= 5.0, "{rate} cycles at {latency} over {queues} queues");
            let rate = cycles_per_packet(&PATH512, setup, 7, queues, 60, 2, 32);
            assert!(rate <= 6.0, "{rate} cycles at {latency} over {queues} queues");
        }
        let rate = cycles_per_packet(&PATH512, Setup::fast(64, latency), 7, 1, 9000, 3, 8);
        assert!(9000.0 / rate >= 55.0, "{} bytes a cycle at {latency}", 9000.0 / rate);
        cycles_per_packet(&PATH512, Setup::fast(64, latency), 7, 1, 1500, 1, 8);
    }
    // Without latency to hide, the pipeline itself.
    let rate = cycles_per_packet(&PATH512, Setup::fast(64, 10), 7, 1, 60, 1, 32);
    assert!(rate <= 2.6, "{rate} cycles");
    let rate = cycles_per_packet(&PATH512, Setup::fast(64, 10), 7, 16, 60, 1, 1);
    assert!(rate <= 6.5, "{rate} cycles with a doorbell for each");
}

/// With checksums nothing takes longer.
#[test]
fn speed_of_checksums() {
    // With offloads a frame takes half of the buffer at the most.
    for (model, k, slots, longest) in [(&*PATH128, 16, 5, 8000), (&*PATH512, 64, 7, 9000)] {
        for len in [60, 1514, longest] {
            let plain = Packet { bufs: vec![(len, 0)], ..Packet::default() };
            let sums = dressed(Packet {
                flags: V4 | TCP | L4_CSUM | IP_CSUM,
                meta: Some(([0, 20, 14, 0], true)),
                ..plain.clone()
            });
            let rates = [plain, sums].map(|mut packet| {
                let setup = Setup::fast(k, 10);
                let mut bench = Bench::new(model, setup, slots);
                bench.create(0, 10);
                // The meta descriptor once.
                bench.post(0, &packet);
                packet.meta = None;
                rate(bench, 1, packet, len, 32)
            });
            let most = if len < 1000 { 1.02 } else { 1.01 };
            assert!(rates[1] <= most * rates[0], "{len} bytes: {rates:?}");
        }
    }
}

/// Segments come a beat a cycle, but for the rows that their headers share with payload.
#[test]
fn speed_of_segmentation() {
    for (model, k, slots, longest) in [(&*PATH128, 16, 5, 3948), (&*PATH512, 64, 7, 8948)] {
        for mss in [1448, longest] {
            let mut bench = Bench::new(model, Setup::fast(k, 250), slots);
            bench.create(0, 10);
            let mut packet = dressed(Packet {
                bufs: vec![(66, 2), (32_000, 0), (32_000, 0)],
                flags: V4 | TSO,
                meta: Some(([mss, 20, 14, 8], true)),
                ..Packet::default()
            });
            bench.post(0, &packet);
            packet.meta = None;
            let cycles = rate(bench, 1, packet, 64_066, 4);
            let bytes = 64_066.0 / cycles;
            println!("mss {mss}: {bytes:.1} bytes a cycle");
            assert!(bytes >= 0.85 * k as f64, "{bytes} bytes a cycle of {k}");
        }
    }
}

#[test]
fn speed_128() {
    for latency in [250, 500] {
        cycles_per_packet(&PATH128, Setup::fast(16, latency), 5, 1, 60, 1, 32);
        cycles_per_packet(&PATH128, Setup::fast(16, latency), 5, 1, 9000, 3, 8);
    }
}

/// Cycles a packet of 60 bytes, all pushed, takes with a doorbell for `batch`.
fn pushed_speed(model: &Model, k: usize, slots: u64, batch: usize) -> f64 {
    let mut bench = Bench::new(model, Setup::fast(k, 10), slots);
    bench.beat_gap = 0;
    bench.whole_lines = false;
    bench.create_pushed(0, 5, false);
    let packet = Packet { bufs: vec![(0, 0)], header_len: 60, ..Packet::default() };
    while bench.completions.len() < 3600 {
        if bench.room(0) >= batch && bench.bells_waiting() < 4 {
            for _ in 0..batch {
                bench.post(0, &packet);
            }
            bench.ring(0);
        }
        bench.step();
    }
    let rate = (bench.completions[3599] - bench.completions[599]) as f64 / 3000.0;
    println!("60 bytes pushed, a doorbell for {batch}: {rate:.2} cycles");
    rate
}

#[test]
fn speed_pushed() {
    let rate = pushed_speed(&PATH512, 64, 7, 8);
    assert!(rate <= 4.0, "{rate} cycles");
    let rate = pushed_speed(&PATH512, 64, 7, 1);
    assert!(rate <= 8.0, "{rate} cycles with a doorbell for each");
    let rate = pushed_speed(&PATH128, 16, 5, 8);
    assert!(rate <= 8.0, "{rate} cycles");
    pushed_speed(&PATH128, 16, 5, 1);
}

/// From the doorbell to the wire nothing but the card.
#[test]
fn latency_pushed() {
    for (model, k, slots) in [(&*PATH128, 16, 5), (&*PATH512, 64, 7)] {
        let mut bench = Bench::new(model, Setup::fast(k, 20), slots);
        bench.beat_gap = 0;
        bench.create_pushed(0, 5, false);
        let packet = Packet { bufs: vec![(0, 0)], header_len: 60, ..Packet::default() };
        for _ in 0..4 {
            bench.post(0, &packet);
            bench.ring(0);
            bench.settle();
        }
        println!(
            "{k} bytes a beat: {} cycles from the doorbell to the first beat",
            bench.latency()
        );
        assert!(bench.latency() <= 46);
    }
}
