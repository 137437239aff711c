//! The merge of everything the card sends: whole TLPs, in the order they were accepted, within the
//! link's credits.

mod pcie_support;

use std::collections::VecDeque;

use nitor_block::Model;
use pcie_support::streams::{Feed, Take};
use pcie_support::{cases, start, Rng, Tlp, TX128, TX512, TX_SMALL};
use proptest::prelude::*;

const INPUTS: [&str; 3] = ["cpl", "inline", "payload"];
const READ: usize = 3;

/// How the link and the card behave, in percent of cycles.
#[derive(Clone, Copy, Debug, Default)]
struct Setup {
    idle: u64,
    stall: u64,
    /// Credits are granted again this many cycles after they were used.
    delay: u64,
    /// Credits at first: posted headers, posted data, non-posted headers.
    credits: [u64; 3],
    /// Of completions headers and data; 0 is infinite.
    completions: [u64; 2],
    /// Flush and bus mastering change.
    switching: u64,
    /// The receive buffer fills.
    press: u64,
    /// There is an error to tell of.
    errors: u64,
}

/// TLP `n` of an input: numbered by tag and address.
fn tlp(rng: &mut Rng, input: usize, n: usize) -> Tlp {
    let dwords = match input {
        0 => *rng.pick(&[0, 1, 2, 32]),
        1 => rng.range(1, 16),
        2 => rng.range(1, 128),
        _ => 0,
    } as usize;
    let addr = (n as u64) << 12 | (input as u64) << 8;
    let mut tlp = Tlp::memory(true, 7, n as u8, 0xff, addr, rng.bytes(4 * dwords));
    match input {
        0 => tlp.hdr[0] = if dwords == 0 { 0x0a00_0000 } else { 0x4a00_0000 | dwords as u32 },
        READ => tlp.hdr[0] = rng.range(1, 1023) as u32,
        _ => {}
    }
    tlp
}

fn data_credits(tlp: &Tlp) -> u64 {
    tlp.data.len().div_ceil(16) as u64
}

struct Merged {
    cycles: u64,
    /// TLPs that came out.
    sent: usize,
    /// And error messages besides.
    messages: usize,
    /// Reads taken while `payload` had more.
    reads_meanwhile: usize,
}

/// Sends so many TLPs of each input.
fn merge(model: &Model, k: usize, seed: u64, counts: [usize; 4], setup: Setup) -> Merged {
    let mut rng = Rng(seed);
    let mut block = start(model, seed);
    let mut feeds = INPUTS.map(|prefix| Feed::new(prefix, k));
    let mut waiting: [VecDeque<Tlp>; 4] =
        std::array::from_fn(|i| (0..counts[i]).map(|n| tlp(&mut rng, i, n)).collect());
    for (feed, tlps) in feeds.iter_mut().zip(&waiting) {
        tlps.iter().for_each(|tlp| feed.push(tlp, &mut rng));
    }
    let mut link = Take::new("link");
    let mut offering = false;
    let mut privileged = rng.percent(50);
    let (mut flush, mut master) = (false, true);
    // Taken and to leave, in that order.
    let mut order: VecDeque<Tlp> = VecDeque::new();
    let (mut sent, mut reads_meanwhile) = (0, 0);
    let ([a, b, c], [d, e]) = (setup.credits, setup.completions);
    let mut granted = [a, b, c, d, e];
    let infinite = [d == 0, e == 0];
    let mut used = [0u64; 5];
    let mut returns: VecDeque<(u64, [u64; 5])> = VecDeque::new();
    let infinite_bits = u64::from(infinite[0]) | u64::from(infinite[1]) << 1;
    block.set("fc_cpl_infinite", infinite_bits);
    let mut expected_writes = 0;
    let mut writes = 0;
    // A message that is offered, and how many were sent.
    let mut message: Option<u32> = None;
    let mut messages = 0;
    block.set("requester", 0x4321);
    let begin = block.cycles();
    let mut last = begin;
    while waiting.iter().any(|tlps| !tlps.is_empty()) || !order.is_empty() {
        let now = block.cycles();
        assert!(
            now - last < 3000,
            "nothing moves: {:?} wait",
            waiting.each_ref().map(VecDeque::len)
        );
        while returns.front().is_some_and(|(at, _)| *at <= now) {
            let (_, back) = returns.pop_front().unwrap();
            granted.iter_mut().zip(back).for_each(|(limit, back)| *limit += back);
        }
        block.set("fc_ph", granted[0] & 0xff);
        block.set("fc_pd", granted[1] & 0xfff);
        block.set("fc_nph", granted[2] & 0xff);
        block.set("fc_cplh", granted[3] & 0xff);
        block.set("fc_cpld", granted[4] & 0xfff);
        // A grant is from the cycle before.
        let may = master || flush;
        flush ^= rng.percent(setup.switching);
        master ^= rng.percent(setup.switching);
        // Not for ever.
        if now - last > 200 {
            (flush, master) = (false, true);
        }
        block.set("flush", flush.into());
        block.set("bus_master", master.into());
        block.set("press", rng.percent(setup.press).into());
        for feed in &mut feeds {
            feed.drive(&mut block, !rng.percent(setup.idle));
        }
        block.set("inline_privileged", privileged.into());
        offering |= !waiting[READ].is_empty() && !rng.percent(setup.idle);
        block.set("np_valid", offering.into());
        if let Some(tlp) = waiting[READ].front() {
            let hdr: Vec<u8> = tlp.hdr.iter().flat_map(|dw| dw.to_le_bytes()).collect();
            block.set_bytes("np_hdr", &hdr);
        }
        if message.is_none() && rng.percent(setup.errors) {
            message = Some(*rng.pick(&[0, 1, 3]));
        } else if setup.switching > 0 && rng.percent(5) {
            // A function-level reset takes it back.
            message = None;
        }
        block.set("message_valid", message.is_some().into());
        block.set("message", message.unwrap_or(0).into());
        let stalled = rng.percent(setup.stall);
        link.drive(&mut block, !stalled);
        block.clock_low();
        writes += block.get("stat_write");
        for (i, feed) in feeds.iter_mut().enumerate() {
            let Some((sop, eop, ..)) = feed.sample(&block) else { continue };
            last = now;
            let tlp = waiting[i].front().unwrap();
            if sop {
                let keep = i == 0 || !flush || (i == 1 && privileged);
                if keep {
                    order.push_back(tlp.clone());
                }
                if keep && i > 0 {
                    assert!(master || may, "a write without leave");
                    expected_writes += 1;
                }
                if keep {
                    let needs = match i {
                        0 => [0, 0, 0, 1, data_credits(tlp)],
                        _ => [1, data_credits(tlp), 0, 0, 0],
                    };
                    used.iter_mut().zip(needs).for_each(|(used, needs)| *used += needs);
                    returns.push_back((now + setup.delay, needs));
                }
            }
            if eop {
                waiting[i].pop_front();
                if i == 1 {
                    privileged = rng.percent(50);
                }
            }
        }
        if let (Some(what), 1) = (message, block.get("message_ready")) {
            last = now;
            message = None;
            messages += 1;
            let hdr = [0x3000_0000, 0x4321_0030 | what, 0, 0];
            order.push_back(Tlp { hdr, data: vec![] });
            used[0] += 1;
            returns.push_back((now + setup.delay, [1, 0, 0, 0, 0]));
        }
        if offering && block.get("np_ready") == 1 {
            last = now;
            offering = false;
            let tlp = waiting[READ].pop_front().unwrap();
            reads_meanwhile += usize::from(!waiting[2].is_empty());
            if !flush && master {
                order.push_back(tlp);
                used[2] += 1;
                returns.push_back((now + setup.delay, [0, 0, 1, 0, 0]));
            }
        }
        let endless = [false, false, false, infinite[0], infinite[1]];
        assert!((0..5).all(|i| endless[i] || used[i] <= granted[i]), "{used:?} of {granted:?}");
        if let Some(tlp) = link.sample(&block) {
            last = now;
            let mut wanted = order.pop_front().expect("a TLP that was taken");
            wanted.data.truncate(wanted.length() * usize::from(wanted.kind() & 0x40 != 0));
            assert_eq!(tlp, wanted);
            sent += 1;
        }
        block.clock_high();
    }
    let cycles = block.cycles() - begin;
    block.set("message_valid", 0);
    for _ in 0..3 {
        block.clock_low();
        writes += block.get("stat_write");
        block.clock_high();
    }
    assert_eq!(writes, expected_writes);
    assert_eq!(block.get("idle"), 1);
    Merged { cycles, sent: sent - messages, messages, reads_meanwhile }
}

fn model(wide: bool) -> (&'static Model, usize) {
    if wide {
        (&TX512, 64)
    } else {
        (&TX128, 16)
    }
}

proptest! {
    #![proptest_config(cases(40))]

    /// Little of everything.
    #[test]
    fn few_credits(
        seed: u64,
        wide: bool,
        idle in 0u64..60,
        stall in 0u64..60,
        delay in 0u64..60,
        headers in 1u64..6,
        data in 32u64..80,
        reads in 1u64..6,
        completions in 0u64..6,
        completion_data in prop::sample::select(vec![0u64, 8, 9, 20, 30]),
        press in 0u64..=100,
        errors in 0u64..30,
    ) {
        let (model, k) = model(wide);
        let credits = [headers, data, reads];
        let completions = [completions, completion_data];
        let setup = Setup { idle, stall, delay, credits, completions, switching: 0, press, errors };
        let counts = [100, 200, 150, 300];
        let Merged { sent, messages, .. } = merge(model, k, seed, counts, setup);
        prop_assert_eq!(sent, 750);
        prop_assert!(errors < 3 || messages > 0);
    }

    /// With a narrower output.
    #[test]
    fn small(
        seed: u64, idle in 0u64..60, stall in 0u64..60, switching in 0u64..10,
        data in 32u64..80,
    ) {
        let completions = [data % 3, 8 * (data % 2)];
        let setup = Setup {
            idle,
            stall,
            delay: 20,
            credits: [8, data, 8],
            completions,
            switching,
            press: switching,
            errors: switching,
        };
        let Merged { sent, .. } = merge(&TX_SMALL, 16, seed, [60, 60, 60, 60], setup);
        prop_assert!((60..=240).contains(&sent) && (switching > 0 || sent == 240));
    }

    /// A flush drops what it is to drop, bus mastering holds back what it is to hold back.
    #[test]
    fn flush_and_bus_master(
        seed: u64, wide: bool, idle in 0u64..60, stall in 0u64..60, switching in 1u64..10,
    ) {
        let (model, k) = model(wide);
        let completions = [seed % 4, 8 * (seed % 5)];
        let setup = Setup {
            idle,
            stall,
            delay: 20,
            credits: [8, 64, 8],
            completions,
            switching,
            press: switching,
            errors: switching,
        };
        let Merged { sent, .. } = merge(model, k, seed, [60, 60, 60, 60], setup);
        prop_assert!((60..240).contains(&sent));
    }
}

/// Long enough that every count of credits wraps.
#[test]
fn counts_wrap() {
    for (wide, completions) in [(false, [3, 30]), (true, [1, 8]), (true, [0, 9]), (false, [2, 0])] {
        let (model, k) = model(wide);
        let credits = [3, 40, 2];
        let setup = Setup { delay: 3, credits, completions, errors: 2, ..Setup::default() };
        let Merged { sent, .. } = merge(model, k, 12, [2000, 300, 400, 600], setup);
        assert_eq!(sent, 3300);
    }
}

/// What the wire brought goes before reads when it piles up, and yet they are not forgotten.
#[test]
fn reads_yield_under_pressure() {
    for wide in [false, true] {
        let (model, k) = model(wide);
        let reads_meanwhile = |press| {
            let setup = Setup { delay: 10, credits: [100, 2000, 100], press, ..Setup::default() };
            merge(model, k, 9, [0, 0, 240, 240], setup).reads_meanwhile
        };
        assert!((235..=240).contains(&reads_meanwhile(0)), "else they take turns");
        let under_pressure = reads_meanwhile(100);
        assert!((28..=36).contains(&under_pressure), "{under_pressure} reads beside 240 writes");
    }
}

/// One beat a cycle, of one input or of all.
#[test]
fn full_speed() {
    for wide in [false, true] {
        let (model, k) = model(wide);
        let credits = [100, 2000, 100];
        let setup = Setup { delay: 10, credits, ..Setup::default() };
        for counts in [[300, 0, 0, 0], [0, 300, 0, 0], [0, 0, 300, 0], [0, 0, 0, 300], [300; 4]] {
            let mut rng = Rng(5);
            let mut beats = 0;
            for (input, count) in counts.into_iter().enumerate() {
                beats += (0..count)
                    .map(|n| tlp(&mut rng, input, n).data.len().div_ceil(k).max(1))
                    .sum::<usize>() as u64;
            }
            let Merged { cycles, .. } = merge(model, k, 5, counts, setup);
            assert!(cycles <= beats + 20, "{counts:?}: {cycles} cycles for {beats} beats");
        }
    }
}

/// Completions that wait for credits hold nobody up, and go when there are some.
#[test]
fn completions_without_credits() {
    for (model, k) in [(&*TX128, 16), (&*TX512, 64), (&*TX_SMALL, 16)] {
        for [headers, data] in [[0, 100], [100, 0], [0, 0]] {
            let mut rng = Rng(11);
            let mut block = start(model, 11);
            let mut feeds = INPUTS.map(|prefix| Feed::new(prefix, k));
            for (i, feed) in feeds.iter_mut().enumerate() {
                (0..20).for_each(|n| feed.push(&tlp(&mut rng, i.max(1), n), &mut rng));
            }
            // One dword each.
            feeds[0].beats.clear();
            for n in 0..20 {
                let mut completion = tlp(&mut rng, 2, n);
                completion.data.truncate(4);
                completion.hdr[0] = 0x4a00_0001;
                feeds[0].push(&completion, &mut rng);
            }
            let mut link = Take::new("link");
            for (port, value) in [("fc_ph", 100), ("fc_pd", 2000), ("fc_nph", 100)] {
                block.set(port, value);
            }
            block.set("bus_master", 1);
            let mut went = [0; 2];
            for cycle in 0..4000 {
                let granted = if cycle < 3000 { [headers, data] } else { [100, 100] };
                block.set("fc_cplh", granted[0]);
                block.set("fc_cpld", granted[1]);
                feeds.iter_mut().for_each(|feed| feed.drive(&mut block, true));
                link.drive(&mut block, true);
                block.clock_low();
                feeds.iter_mut().for_each(|feed| drop(feed.sample(&block)));
                if let Some(tlp) = link.sample(&block) {
                    went[usize::from(tlp.kind() == 0x4a)] += 1;
                }
                block.clock_high();
                assert!(cycle != 2999 || went == [40, 0], "{went:?} with {granted:?}");
            }
            assert_eq!(went, [40, 20]);
        }
    }
}
