//! The whole transmit path against [Bench]: every stream stalls, everything is checked.

mod tx_support;

use nitor_block::Model;
use proptest::prelude::*;
use tx_support::bench::{Bench, Fate, Packet, Setup};
use tx_support::dma::DmaSetup;
use tx_support::offload::{Wish, DF, IP_CSUM, L4_CSUM, PARTIAL, TCP, TSO, UDP, V4, V6};
use tx_support::{Rng, PATH128, PATH512, PLAIN128, SMALL128};

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
        offloads: true,
        batches: 32,
        mac_stall: stall(rng),
        done_stall: stall(rng),
        fetch_stall: stall(rng),
        data_stall: stall(rng),
    }
}

/// Offloads that make sense for a packet that is long enough.
fn wish(rng: &mut Rng) -> Wish {
    let v6 = rng.percent(50);
    let l3_len = if v6 { 40 + 8 * rng.below(3) } else { 20 + 4 * rng.below(3) };
    let l3_off = [14, 18, 22, 0, rng.below(100)][rng.below(5) as usize];
    let l3 = if v6 { V6 } else { V4 };
    let mut wish = Wish {
        word1: l3 | (DF * rng.below(2) as u32),
        l3_len: l3_len as u16,
        l3_off: l3_off as u16,
        ..Wish::default()
    };
    if rng.percent(40) {
        wish.word1 |= TSO | (TCP * rng.below(2) as u32);
        wish.word1 |= (rng.next() as u32) & (IP_CSUM | L4_CSUM | PARTIAL);
        wish.l4_words = rng.range(5, 15) as u16;
        let least = if rng.percent(10) { 5 } else { 200 };
        let most = [300, 1460, 9000][rng.below(3) as usize];
        wish.mss = rng.range(least, most) as u16;
        return wish;
    }
    wish.word1 |= [TCP, UDP][rng.below(2) as usize];
    wish.word1 |= [L4_CSUM, L4_CSUM | PARTIAL, L4_CSUM | IP_CSUM, IP_CSUM][rng.below(4) as usize];
    wish
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
    let mut flags = rng.next() as u32 & !(TSO | IP_CSUM | L4_CSUM);
    let mut meta = rng.percent(10).then(|| {
        let values = [rng.below(1 << 14), rng.below(256), rng.below(256), rng.below(64)];
        (values.map(|v| v as u16), rng.percent(70))
    });
    match rng.below(10) {
        0 => flags = rng.next() as u32,
        1..5 => {
            let wish = wish(rng);
            flags = wish.word1;
            // Else with what is remembered.
            if rng.percent(90) {
                let values = [wish.mss, wish.l3_len, wish.l3_off, wish.l4_words];
                meta = Some((values, rng.percent(70)));
            }
            if wish.tso() && wish.mss >= 100 && rng.percent(60) {
                bufs = (0..rng.range(1, 19))
                    .map(|_| (rng.range(1, 60_000 / 19) as u16, rng.below(64)))
                    .collect();
            }
        }
        _ => {}
    }
    let poison_at =
        rng.percent(if odd { 6 } else { 0 }).then(|| rng.below(bufs.len() as u64) as usize);
    let mut packet = Packet {
        req_id: rng.next() as u16,
        bufs,
        meta,
        flags,
        poison_at,
        header_len: if rng.percent(70) { rng.below(97) } else { rng.below(256) } as u8,
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
            if left == 0 || bench.places(queue, &next) + 1 > bench.room(queue) {
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

/// A queue in host memory, or one that is pushed.
fn create(bench: &mut Bench, queue: usize, rng: &mut Rng) {
    // A small card has no lines.
    match if bench.setup.batches == 16 { 2 } else { rng.below(4) } {
        0 => bench.create_pushed(queue, rng.range(3, 5) as u32, false),
        1 => bench.create_pushed(queue, rng.range(3, 4) as u32, true),
        _ => bench.create(queue, rng.range(6, 9) as u32),
    }
}

fn any_traffic(model: &Model, k: usize, slots: u64, seed: u64, offloads: bool, batches: u64) {
    let mut rng = Rng(seed);
    let setup = Setup { offloads, batches, ..rough(&mut rng, k) };
    let mut bench = Bench::new(model, setup, slots);
    let queues: Vec<usize> = (0..1 + rng.below(4) as usize).collect();
    for &queue in &queues {
        create(&mut bench, queue, &mut rng);
    }
    traffic(&mut bench, &queues, 150, true);
    // Again over the same queues, and over one that was created anew.
    bench.destroy(queues[0]);
    create(&mut bench, queues[0], &mut rng);
    traffic(&mut bench, &queues, 50, true);
    for &queue in &queues {
        bench.destroy(queue);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_traffic_128(seed: u64) {
        any_traffic(&PATH128, 16, 5, seed, true, 32);
    }

    #[test]
    fn any_traffic_512(seed: u64) {
        any_traffic(&PATH512, 64, 7, seed, true, 32);
    }

    /// Without offloads nobody asks for any.
    #[test]
    fn any_traffic_plain(seed: u64) {
        any_traffic(&PLAIN128, 16, 5, seed, false, 32);
    }

    #[test]
    fn any_traffic_small(seed: u64) {
        any_traffic(&SMALL128, 16, 5, seed, false, 16);
    }
}

/// Pushed whole, in part, and not at all; and one after the other in the same lines.
#[test]
fn pushed() {
    for (model, k, slots) in [(&*PATH128, 16, 5), (&*PATH512, 64, 7)] {
        for wide in [false, true] {
            let mut bench = Bench::new(model, Setup::fast(k, 20), slots);
            bench.create_pushed(1, 3, wide);
            let most = if wide { 224 } else { 96 };
            for len in (1..=most).chain([0, most + 1, 255]) {
                for bufs in [vec![(0, 0)], vec![(100, 3)], vec![(9, 1); 19]] {
                    let packet =
                        Packet { req_id: len.into(), bufs, header_len: len, ..Packet::default() };
                    bench.post(1, &packet);
                    bench.ring(1);
                    bench.settle();
                }
            }
            bench.destroy(1);
        }
    }
}

/// Offloads of packets that are pushed whole, in part, up to any byte of their headers, and into
/// their payload as far as the first frame goes and farther.
#[test]
fn pushed_offloads() {
    let mut rng = Rng(11);
    for (model, k, slots) in [(&*PATH128, 16, 5), (&*PATH512, 64, 7)] {
        for wide in [false, true] {
            let mut bench = Bench::new(model, rough(&mut rng, k), slots);
            bench.create(0, 6);
            bench.create_pushed(1, 4, wide);
            let most: u16 = if wide { 224 } else { 96 };
            for push in 1..=most {
                // Headers of 54 bytes, of 94 to be longer than most lines, or anything.
                let (v4, v6) = ([20, 14, 5], [40, 14, 10]);
                let any = [20, rng.below(100) as u16, rng.range(5, 15) as u16];
                for (l3, [l3_len, l3_off, words]) in [(V4, v4), (V6, v6), (V4, any)] {
                    let header = l3_off + l3_len + 4 * words;
                    // The first frame ends before what is pushed, with it, or behind it.
                    let mss = (push + rng.below(3) as u16).saturating_sub(header + 1).max(7);
                    let mss = if rng.percent(70) { mss } else { rng.range(8, 1460) as u16 };
                    let behind = match rng.below(4) {
                        0 => 0,
                        1 => rng.range(1, 30),
                        _ => rng.range(1, 20 * u64::from(mss).min(200)),
                    } as u16;
                    let flags = match rng.below(4) {
                        0 => l3 | TCP | L4_CSUM | IP_CSUM,
                        1 => l3 | UDP | L4_CSUM | PARTIAL,
                        _ => l3 | TSO,
                    };
                    let bufs = match behind {
                        0..4 => vec![(behind, rng.below(64))],
                        _ => vec![(behind / 4, rng.below(64)), (behind - behind / 4, 1)],
                    };
                    let packet = Packet {
                        req_id: push,
                        poison_at: rng.percent(5).then(|| bufs.len() - 1),
                        bufs,
                        meta: Some(([mss, l3_len, l3_off, words], false)),
                        flags,
                        header_len: push as u8,
                        ..Packet::default()
                    };
                    while bench.room(1) < 2 || bench.room(0) < 4 {
                        bench.step();
                    }
                    bench.post(1, &packet);
                    bench.ring(1);
                    if rng.percent(20) {
                        let packet = Packet { bufs: vec![(700, 9)], ..packet };
                        bench.post(0, &packet);
                        bench.ring(0);
                    }
                }
            }
            bench.settle();
        }
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
}

/// Both counts run free through 65536, over rings from 1 descriptor to 32768.
#[test]
fn counts_wrap() {
    for log in [0, 1, 3, 8, 13, 15] {
        let mut bench = Bench::new(&PATH512, Setup::fast(64, 12), 7);
        bench.create(3, log);
        let packet = Packet { req_id: 5, bufs: vec![(1, 0)], ..Packet::default() };
        let total = if log < 8 { 300 } else { 70_000 };
        let batch = 1 << log.min(6);
        while bench.completions.len() < total {
            if bench.room(3) >= batch {
                for _ in 0..batch {
                    bench.post(3, &packet);
                }
                bench.ring(3);
            }
            bench.step();
        }
        bench.settle();
        bench.destroy(3);
    }
}

/// Doorbells that are refused change nothing, and are counted.
#[test]
fn doorbells_refused() {
    let mut bench = Bench::new(&PATH128, Setup::fast(16, 60), 5);
    bench.create(1, 4);
    let packet = Packet { req_id: 1, bufs: vec![(80, 9)], ..Packet::default() };
    for _ in 0..3 {
        for queue in [0, 2, 3, 4, 17, 255] {
            bench.bad_bell(queue, 1);
        }
        let tail = bench.tail(1);
        for beyond in [17, 100, 0x8000, 0xfff0, 0xffff] {
            bench.bad_bell(1, tail.wrapping_add(beyond));
        }
        for _ in 0..16 {
            bench.post(1, &packet);
        }
        bench.ring(1);
        // The same again is legal.
        bench.ring(1);
        bench.settle();
    }
    bench.destroy(1);
    bench.bad_bell(1, 49);
    bench.settle();
    // Nothing to destroy: answered at once, also beyond the last queue.
    for queue in [1, 0, 200] {
        bench.command(true, queue);
    }
}

/// The same of lines.
#[test]
fn doorbells_refused_of_lines() {
    let mut bench = Bench::new(&PATH128, Setup::fast(16, 60), 5);
    bench.create_pushed(1, 4, false);
    let packet = Packet { bufs: vec![(0, 0)], header_len: 70, ..Packet::default() };
    for _ in 0..5 {
        let tail = bench.tail(1);
        for beyond in [17, 100, 0x8000, 0xfff0, 0xffff] {
            bench.bad_bell(1, tail.wrapping_add(beyond));
        }
        bench.bad_bell(0, 1);
        for _ in 0..13 {
            bench.post(1, &packet);
        }
        bench.ring(1);
        bench.ring(1);
        bench.settle();
    }
    bench.destroy(1);
    bench.bad_bell(1, 66);
    bench.settle();
}

/// Headers get their turn among payload that fills the buffer's write port, and payload waits for
/// none.
#[test]
fn headers_among_payload() {
    for (model, k, slots) in [(&*PATH128, 16, 5), (&*PATH512, 64, 7)] {
        let mut bench = Bench::new(model, Setup::fast(k, 30), slots);
        bench.create(0, 8);
        bench.create_pushed(1, 5, false);
        let payload = Packet { bufs: vec![(4096, 1), (4000, 2)], ..Packet::default() };
        let pushed = Packet { bufs: vec![(1000, 7)], header_len: 96, ..Packet::default() };
        let begin = bench.block.cycles();
        while bench.completions.len() < 400 {
            for (queue, packet) in [(0, &payload), (1, &pushed)] {
                if bench.room(queue) > 2 {
                    bench.post(queue, packet);
                    bench.ring(queue);
                }
            }
            bench.step();
        }
        let bytes = 8096 * bench.done_of[&0] + 1096 * bench.done_of[&1];
        let rate = bytes as f64 / (bench.block.cycles() - begin) as f64;
        println!("{rate:.1} bytes a cycle");
        assert!(bench.done_of[&1] > 50 && rate > 0.7 * k as f64, "{rate} {:?}", bench.done_of);
        bench.settle();
    }
}

/// A tail cannot be taken back, even if nothing behind it was read yet.
#[test]
fn doorbell_backwards() {
    let mut bench = Bench::new(&PATH128, Setup::fast(16, 60), 5);
    bench.create(2, 8);
    bench.setup.fetch_stall = 100;
    for _ in 0..200 {
        bench.post(2, &Packet { bufs: vec![(64, 0)], ..Packet::default() });
    }
    bench.ring(2);
    for _ in 0..100 {
        bench.step();
    }
    for back in [1, 30, 199] {
        bench.bad_bell(2, bench.tail(2).wrapping_sub(back));
    }
    for _ in 0..100 {
        bench.step();
    }
    bench.setup.fetch_stall = 0;
    bench.settle();
    assert_eq!(bench.completions.len(), 200);
}

/// Descriptors that can't be read break their queue only.
#[test]
fn broken_queue() {
    let mut bench = Bench::new(&PATH512, Setup::fast(64, 100), 7);
    for queue in [0, 1, 2] {
        bench.create(queue, 8);
    }
    traffic(&mut bench, &[0, 1, 2], 60, false);
    bench.poison = Some(1);
    traffic(&mut bench, &[0, 2, 1], 60, false);
    // By chance they may all be of the others.
    if !bench.is_broken(1) {
        traffic(&mut bench, &[1, 0, 1], 10, false);
        traffic(&mut bench, &[1], 10, false);
    }
    assert!(bench.is_broken(1));
    // The doorbell is taken and nothing follows.
    let before = bench.fetches();
    bench.post(1, &Packet { bufs: vec![(60, 0)], ..Packet::default() });
    bench.ring(1);
    bench.settle();
    assert_eq!(bench.fetches(), before);
    bench.poison = None;
    bench.destroy(1);
    bench.create(1, 6);
    traffic(&mut bench, &[0, 1, 2], 100, true);
}

/// Queues come and go at any moment under load; their neighbours notice nothing.
#[test]
fn destroyed_under_load() {
    for seed in 0..12 {
        let mut rng = Rng(seed);
        let mut bench = Bench::new(&PATH128, rough(&mut rng, 16), 5);
        for queue in 0..4 {
            create(&mut bench, queue, &mut rng);
        }
        for _ in 0..12 {
            for queue in 0..4 {
                while bench.room(queue) > if bench.is_pushed(queue) { 5 } else { 40 } {
                    let packet = packet(&mut rng, true);
                    bench.post(queue, &packet);
                }
                bench.ring(queue);
            }
            for _ in 0..rng.below(2000) {
                bench.step();
            }
            let queue = rng.below(4) as usize;
            bench.destroy(queue);
            create(&mut bench, queue, &mut rng);
        }
        bench.settle();
    }
}

/// A reset at any moment leaves nothing of what was before.
#[test]
fn reset_under_load() {
    let mut rng = Rng(5);
    let mut bench = Bench::new(&PATH128, rough(&mut rng, 16), 5);
    for _ in 0..30 {
        let queues = [0, 1, 2, 3];
        for queue in queues {
            create(&mut bench, queue, &mut rng);
            while bench.room(queue) > if bench.is_pushed(queue) { 5 } else { 40 } {
                let packet = packet(&mut rng, true);
                bench.post(queue, &packet);
            }
            bench.ring(queue);
        }
        bench.poison = rng.percent(30).then_some(2);
        for _ in 0..rng.below(3000) {
            bench.step();
        }
        bench.poison = None;
        bench.core_reset();
    }
    bench.create(0, 8);
    bench.create(2, 8);
    traffic(&mut bench, &[0, 2], 100, true);
}

/// With the wire, the completions or the reads standing still, doorbells are taken all the same;
/// then everything goes on.
#[test]
fn standstill() {
    for stop in 0..4 {
        let mut bench = Bench::new(&PATH512, Setup::fast(64, 50), 7);
        let percent = match stop {
            0 => &mut bench.setup.mac_stall,
            1 => &mut bench.setup.done_stall,
            2 => &mut bench.setup.fetch_stall,
            _ => &mut bench.setup.data_stall,
        };
        *percent = 100;
        let queues: Vec<usize> = (0..16).collect();
        for &queue in &queues {
            bench.create(queue, 6);
        }
        for &queue in &queues {
            for _ in 0..64 {
                bench.post(queue, &Packet { bufs: vec![(70, 1)], ..Packet::default() });
                let tail = bench.tail(queue);
                bench.ring_at(queue, tail);
            }
        }
        for _ in 0..16 * 64 * 12 {
            bench.step();
        }
        assert_eq!(bench.bells_waiting(), 0);
        // As many as have their beat in `tx/offload` or after it.
        assert!(bench.completions.len() < 540);
        bench.setup.mac_stall = 0;
        bench.setup.done_stall = 0;
        bench.setup.fetch_stall = 0;
        bench.setup.data_stall = 0;
        bench.settle();
        assert_eq!(bench.completions.len(), 16 * 64);
    }
}

/// Each queue gets its turn, whatever the others post.
#[test]
fn fair() {
    let mut bench = Bench::new(&PATH512, Setup::fast(64, 100), 7);
    for queue in 0..16 {
        bench.create(queue, 9);
    }
    let packet = Packet { bufs: vec![(60, 0)], ..Packet::default() };
    while bench.completions.len() < 4000 {
        for queue in 0..16 {
            if bench.room(queue) >= 16 {
                for _ in 0..16 {
                    bench.post(queue, &packet);
                }
                bench.ring(queue);
            }
        }
        bench.step();
    }
    let (low, high) =
        (bench.done_of.values().min().unwrap(), bench.done_of.values().max().unwrap());
    assert!(high - low <= 64, "{:?}", bench.done_of);
}

/// `first` inside a packet, and packets without end: the model of their fates is written out here.
#[test]
fn cut_packets() {
    let mut bench = Bench::new(&PATH128, Setup::fast(16, 30), 5);
    bench.create(0, 6);
    let data = |first: bool, last: bool, id: u32| {
        [16 | id >> 10 << 16 | u32::from(first) << 26 | u32::from(last) << 27, id << 22, 0, 0x8765]
    };
    let meta = [1 << 20 | 1 << 23 | 1 << 26, 0, 0, 0];
    for _ in 0..40 {
        // Cut after data: completes as bad. Cut after a meta descriptor: has no req_id, completes
        // nothing.
        bench.post_words(0, &[data(true, false, 7), data(false, false, 0)], 7, Fate::Bad, vec![]);
        bench.post_words(0, &[meta], 0, Fate::Silent, vec![]);
        bench.post_words(0, &[meta], 0, Fate::Silent, vec![]);
        bench.post(0, &Packet { req_id: 9, bufs: vec![(30, 2), (40, 5)], ..Packet::default() });
        bench.post_words(0, &[data(true, false, 0x8001)], 0x8001, Fate::Bad, vec![]);
        bench.post(0, &Packet { req_id: 8, bufs: vec![(50, 2)], ..Packet::default() });
        bench.ring(0);
        bench.settle();
    }
    // 200 descriptors of a packet that never ends; another queue goes on; then the end comes.
    bench.create(1, 8);
    let mut words = vec![data(true, false, 3)];
    words.extend(vec![data(false, false, 0); 39]);
    bench.post_words(0, &words, 3, Fate::Bad, vec![]);
    bench.ring(0);
    for _ in 0..10 {
        traffic_open(&mut bench, 1);
    }
    bench.post_words(0, &[data(false, true, 0)], 3, Fate::Bad, vec![]);
    bench.join_last(0);
    bench.ring(0);
    bench.settle();
}

/// Some packets on a queue while another has an open one.
fn traffic_open(bench: &mut Bench, queue: usize) {
    for _ in 0..5 {
        let packet = Packet { req_id: 2, bufs: vec![(100, 3), (10, 1)], ..Packet::default() };
        bench.post(queue, &packet);
    }
    bench.ring(queue);
    let goal = bench.completions.len() + 5;
    for _ in 0..2000 {
        bench.step();
    }
    assert_eq!(bench.completions.len(), goal);
}
