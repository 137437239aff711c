//! The whole transmit path against [Bench]: every stream stalls, everything is checked.

mod tx_support;

use nitor_block::Model;
use proptest::prelude::*;
use tx_support::bench::{Bench, Fate, Packet, Setup};
use tx_support::dma::DmaSetup;
use tx_support::{Rng, PATH128, PATH512};

/// Random stalls and latencies.
fn rough(rng: &mut Rng, k: usize) -> Setup {
    let stall = |rng: &mut Rng| [0, 0, 30, 80][rng.below(4) as usize];
    let low = rng.range(2, 200);
    Setup {
        dma: DmaSetup {
            seed: rng.next(),
            k,
            latency: (low, low + rng.range(1, 400)),
            max_read: 128 << rng.below(4),
            tags: [4, 32, 256][rng.below(3) as usize],
            issue_gap: stall(rng),
            data_gap: stall(rng),
        },
        max_frame: [1514, 9216, 16384][rng.below(3) as usize],
        mac_stall: stall(rng),
        done_stall: stall(rng),
        fetch_stall: stall(rng),
        data_stall: stall(rng),
    }
}

/// A packet of any kind that grammar has, and some that it has not.
fn packet(rng: &mut Rng, odd: bool) -> Packet {
    let many = match rng.below(10) {
        0..=4 => 1,
        5..=7 => rng.range(2, 4),
        8 => rng.range(5, 19),
        _ => 21,
    };
    let sizes = match rng.below(4) {
        0 => (1, 8),
        1 => (0, 100),
        2 => (40, 1514),
        _ => (1, 9216 / many),
    };
    let mut bufs: Vec<(u16, u64)> =
        (0..many).map(|_| (rng.range(sizes.0, sizes.1) as u16, rng.below(64))).collect();
    if rng.percent(10) {
        let at = rng.below(many) as usize;
        bufs[at].0 = 0;
    }
    let mut packet = Packet {
        req_id: rng.next() as u16,
        bufs,
        meta: rng.percent(20).then(|| {
            let values = [rng.below(1 << 14), rng.below(256), rng.below(256), rng.below(64)];
            (values.map(|v| v as u16), rng.percent(70))
        }),
        flags: rng.next() as u32,
        header_len: rng.next() as u8,
        ..Packet::default()
    };
    if odd {
        match rng.below(16) {
            0 => packet.poison = true,
            1 => packet.no_first = true,
            2 => packet.meta_inside = true,
            3 => packet.bufs = vec![(1, 0); 22 + rng.below(10) as usize],
            4 => packet.bufs = vec![(0, 0); 1 + rng.below(3) as usize],
            5 => packet.bufs = vec![(65535, 1); 1 + rng.below(3) as usize],
            6 => (packet.bufs, packet.meta) = (vec![], Some(([1, 2, 3, 4], true))),
            _ => {}
        }
    }
    packet
}

/// `count` packets over `queues` queues, posted as rings have room, told of in random steps.
fn traffic(bench: &mut Bench, queues: &[usize], count: usize, odd: bool) {
    let mut left = count;
    let mut next = packet(&mut bench.rng, odd);
    while left > 0 {
        let queue = queues[bench.rng.below(queues.len() as u64) as usize];
        let burst = bench.rng.range(1, 30);
        let before = bench.tail(queue);
        for _ in 0..burst {
            if left == 0 || Bench::descs(&next) + 1 > bench.room(queue) {
                break;
            }
            bench.post(queue, &next);
            next = packet(&mut bench.rng, odd);
            left -= 1;
        }
        if bench.tail(queue) != before {
            bench.ring(queue);
        }
        for _ in 0..bench.rng.below(300) {
            bench.step();
        }
    }
    bench.settle();
}

fn any_traffic(model: &Model, k: usize, slots: u64, seed: u64) {
    let mut rng = Rng(seed);
    let setup = rough(&mut rng, k);
    let mut bench = Bench::new(model, setup, slots);
    let queues: Vec<usize> = (0..1 + rng.below(4) as usize).collect();
    for &queue in &queues {
        bench.create(queue, rng.range(6, 9) as u32);
    }
    traffic(&mut bench, &queues, 150, true);
    // Again over the same queues, and over one that was created anew.
    bench.destroy(queues[0]);
    bench.create(queues[0], rng.range(6, 9) as u32);
    traffic(&mut bench, &queues, 50, true);
    for &queue in &queues {
        bench.destroy(queue);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_traffic_128(seed: u64) {
        any_traffic(&PATH128, 16, 5, seed);
    }

    #[test]
    fn any_traffic_512(seed: u64) {
        any_traffic(&PATH512, 64, 7, seed);
    }
}

#[test]
fn one_packet() {
    for (model, k, slots) in [(&*PATH128, 16, 5), (&*PATH512, 64, 7)] {
        let mut bench = Bench::new(model, Setup::fast(k, 20), slots);
        bench.create(0, 6);
        bench.post(0, &Packet { req_id: 0xffff, bufs: vec![(60, 3)], ..Packet::default() });
        bench.ring(0);
        bench.settle();
        assert_eq!(bench.completions.len(), 1);
        bench.destroy(0);
    }
    let _ = Fate::Bad;
}

/// Cycles a packet of `len` bytes, in `bufs` buffers, takes with full rings and doorbells for `batch` packets.
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
    let packet = Packet { bufs: descs, ..Packet::default() };
    let (warm, count) = if len < 1000 { (600, 3000) } else { (40, 160) };
    while bench.completions.len() < warm + count {
        for queue in 0..queues {
            if bench.room(queue) >= batch * usize::from(bufs) {
                for _ in 0..batch {
                    bench.post(queue, &packet);
                }
                bench.ring(queue);
            }
        }
        bench.step();
    }
    let cycles = bench.completions[warm + count - 1] - bench.completions[warm - 1];
    let rate = cycles as f64 / count as f64;
    println!(
        "{len} bytes in {bufs}, {queues} queues: {rate:.2} cycles, {:.1} bytes a cycle",
        f64::from(len) / rate
    );
    rate
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

#[test]
fn speed_128() {
    for latency in [250, 500] {
        cycles_per_packet(&PATH128, Setup::fast(16, latency), 5, 1, 60, 1, 32);
        cycles_per_packet(&PATH128, Setup::fast(16, latency), 5, 1, 9000, 3, 8);
    }
}
