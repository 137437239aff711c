//! The MSI-X table, interrupt moderation and the path to the link, wired as in the card.

mod control_support;

use control_support::{model, set_all_inputs_low, Master};
use nitor_block::stream::{End, Ports, Source, Stalls};
use nitor_block::{Block, Model};
use nitor_hdl::common::iface::*;
use nitor_hdl::irq::{moderation::Irq, msix::MsixTable};
use nitor_hdl::pcie::inline::{self, InlineWrite, Recallable};
use nitor_rtl::prelude::*;
use proptest::prelude::*;
use rand::{rngs::StdRng, Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::LazyLock;

const VECTORS: usize = 20;
const PLACES: u64 = 32;
const CYCLES_PER_US: u64 = 8;
/// Where the other client writes.
const OTHER: u64 = 0x9990;
/// A visit of every vector.
const ROUND: u64 = 4 * PLACES;

#[derive(LogicBlock)]
struct Interrupts {
    clock: Signal<In, Clock>,
    reset: Signal<In, Bit>,
    core_reset: Signal<In, Bit>,
    bus: RegBusSnk,
    event: EventSnk,
    unmask: UnmaskSnk,
    end: VectorEndSnk,
    /// Another client's writes go before messages.
    other: WriteReqSnk<128>,
    tx: TlpSrc<128>,
    raise: Signal<In, Bit>,
    intr_masked: Signal<In, Bit>,
    enable: Signal<In, Bit>,
    function_mask: Signal<In, Bit>,
    stat_msix: Signal<Out, Bit>,
    table: MsixTable<5>,
    irq: Irq<128, 5>,
    inline: InlineWrite<128>,
}

impl Logic for Interrupts {
    /// Interrupts, as wired in the card.
    #[kernel]
    fn update(&mut self) {
        clocked!(self, clock, reset; table, inline);
        clocked!(self, clock; irq);
        self.irq.reset.next = self.reset.val() || self.core_reset.val();
        RegBusSnk::link(&mut self.bus, &mut self.table.bus);
        EventSnk::link(&mut self.event, &mut self.irq.event);
        UnmaskSnk::link(&mut self.unmask, &mut self.irq.unmask);
        VectorEndSnk::link(&mut self.end, &mut self.irq.end);
        WriteReqSnk::<128>::link(&mut self.other, &mut self.inline.req[inline::COMPLETIONS]);
        WriteReqSrc::<128>::join(&mut self.irq.write, &mut self.inline.req[inline::MESSAGES]);
        for c in 1..3 {
            self.inline.req[c].valid.next = false;
            self.inline.req[c].addr.next = lit::<64>(0);
            self.inline.req[c].len.next = lit::<7>(0);
            self.inline.req[c].data.next = lit::<128>(0);
            self.inline.req[c].last.next = false;
        }
        self.inline.core_reset.next = self.core_reset.val();
        self.inline.requester.next = lit::<16>(0);
        self.inline.recall.next = Recallable { readless: false, messages: self.irq.recall.val() };
        self.irq.sent.next = self.inline.sent.val().messages;
        TlpSrc::<128>::link(&mut self.tx, &mut self.inline.tx);
        self.irq.raise.next = self.raise.val();
        self.irq.intr_masked.next = self.intr_masked.val();
        self.irq.enable.next = self.enable.val();
        self.irq.function_mask.next = self.function_mask.val();
        self.table.lookup_vector.next = self.irq.lookup_vector.val();
        self.table.fetch.next = self.irq.fetch.val();
        self.table.fetch_vector.next = self.irq.fetch_vector.val();
        self.irq.fetched.next = self.table.fetched.val();
        self.irq.message_addr.next = self.table.message_addr.val();
        self.irq.message_data.next = self.table.message_data.val();
        self.irq.message_masked.next = self.table.message_masked.val();
        self.irq.lookup_masked.next = self.table.lookup_masked.val();
        self.irq.pba_word.next = self.table.pba_word.val();
        self.table.pba.next = self.irq.pba.val();
        self.table.pba_valid.next = self.irq.pba_valid.val();
        self.stat_msix.next = self.irq.stat_msix.val();
    }
}

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    model("interrupts", || Interrupts {
        clock: Default::default(),
        reset: Default::default(),
        core_reset: Default::default(),
        bus: Default::default(),
        event: Default::default(),
        unmask: Default::default(),
        end: Default::default(),
        other: Default::default(),
        tx: Default::default(),
        raise: Default::default(),
        intr_masked: Default::default(),
        enable: Default::default(),
        function_mask: Default::default(),
        stat_msix: Default::default(),
        table: MsixTable::new(VECTORS),
        irq: Irq::new(CYCLES_PER_US as usize),
        inline: Default::default(),
    })
});

struct Bench {
    block: Block,
    master: Master,
    event: Source<(u64, bool)>,
    unmask: Source<(u64, u64)>,
    /// In a hundred cycles the link refuses so many.
    refuses: u32,
    rng: StdRng,
    /// Messages with the cycle the link took them in.
    messages: Vec<(u64, u64, u32)>,
    counted: u64,
}

impl Bench {
    fn new(seed: u64, stalls: bool) -> Bench {
        let mut block = MODEL.block(seed);
        set_all_inputs_low(&mut block);
        block.set("intr_masked", 1);
        block.reset(3);
        let ports = |name: &str, fields: &[&str]| Ports {
            valid: block.port(&format!("{name}_valid")),
            ready: block.port(&format!("{name}_ready")),
            payload: fields.iter().map(|f| block.port(&format!("{name}_{f}"))).collect(),
        };
        let stall = |n| if stalls { Stalls::seeded(seed ^ n) } else { Stalls::none() };
        Bench {
            master: Master::new(&block, "bus"),
            event: Source::new(&block, ports("event", &["vector", "rx"]), stall(1)),
            unmask: Source::new(&block, ports("unmask", &["vector", "value"]), stall(2)),
            refuses: if stalls { 50 } else { 0 },
            rng: StdRng::seed_from_u64(seed ^ 3),
            block,
            messages: vec![],
            counted: 0,
        }
    }

    fn step(&mut self) -> Option<u32> {
        let block = &mut self.block;
        self.master.drive(block);
        let mut ends: [&mut dyn End; 2] = [&mut self.event, &mut self.unmask];
        for end in &mut ends {
            end.drive(block);
        }
        let ready = !self.rng.gen_ratio(self.refuses, 100);
        block.set("tx_ready", ready.into());
        block.clock_low();
        for end in &mut ends {
            end.sample(block);
        }
        let done = self.master.sample(block);
        self.counted += block.get("stat_msix");
        let sent = (block.get("tx_valid") == 1 && ready).then(|| {
            assert_eq!((block.get("tx_sop"), block.get("tx_eop")), (1, 1));
            let hdr = block.get_bytes("tx_hdr");
            let dw = |i: usize| u32::from_le_bytes(hdr[4 * i..4 * i + 4].try_into().unwrap());
            let wide = dw(0) >> 29 & 1 == 1;
            assert_eq!(dw(0) & 0x3ff, 1, "of one dword");
            let addr = if wide { u64::from(dw(2)) << 32 | u64::from(dw(3)) } else { dw(2).into() };
            let data = block.get_bytes("tx_data");
            (addr, u32::from_le_bytes(data[..4].try_into().unwrap()))
        });
        block.clock_high();
        if let Some((addr, data)) = sent.filter(|&(addr, _)| addr != OTHER) {
            self.messages.push((block.cycles(), addr, data));
        }
        done
    }

    fn steps(&mut self, n: u64) {
        for _ in 0..n {
            self.step();
        }
    }

    fn access(&mut self, write: bool, addr: u16, wdata: u32, be: u8) -> u32 {
        self.master.start((write, addr, wdata, be));
        loop {
            if let Some(data) = self.step() {
                return data;
            }
        }
    }

    fn settle(&mut self) {
        while !self.event.is_empty() || !self.unmask.is_empty() {
            self.step();
        }
        self.steps(8 * CYCLES_PER_US + 3 * ROUND + 100);
    }

    /// Programs and unmasks every vector: message data is the vector's number.
    fn program(&mut self) {
        for v in 0..VECTORS as u16 {
            self.access(true, 16 * v, 0xfee0_0003 + 64 * u32::from(v), 0xf);
            self.access(true, 16 * v + 4, 0x1234, 0xf);
            self.access(true, 16 * v + 8, v.into(), 0xf);
            self.access(true, 16 * v + 12, 0, 0xf);
        }
    }

    /// The vector's last queue is gone: the cycles that takes.
    fn end(&mut self, vector: u64) -> u64 {
        self.block.set("end_vector", vector);
        self.block.set("end_valid", 1);
        let start = self.block.cycles();
        loop {
            self.block.eval();
            let done = self.block.get("end_ready") == 1;
            self.step();
            if done {
                self.block.set("end_valid", 0);
                return self.block.cycles() - start;
            }
            assert!(self.block.cycles() - start < 1000, "vector {vector} does not end");
        }
    }

    fn arm(&mut self, vector: u64, tx_delay: u64, rx_delay: u64) {
        self.unmask.push((vector, 1 << 30 | tx_delay << 15 | rx_delay));
    }
}

#[derive(Clone, Copy, Default)]
struct Vector {
    pending: bool,
    armed: bool,
}

fn merge(old: u32, new: u32, be: u8) -> u32 {
    (0..4).fold(old, |word, i| {
        let mask = 0xff << (8 * i);
        if be >> i & 1 == 1 {
            word & !mask | new & mask
        } else {
            word
        }
    })
}

/// What must be true when everything has come to rest.
struct Rules {
    table: [[u32; 4]; VECTORS],
    vectors: [Vector; VECTORS],
    raised: bool,
    intr_masked: bool,
    enable: bool,
    function_mask: bool,
}

impl Rules {
    fn wanted(&self, v: usize) -> bool {
        match v {
            0 => self.raised && !self.intr_masked,
            _ => self.vectors[v].pending && self.vectors[v].armed,
        }
    }

    fn masked(&self, v: usize) -> bool {
        self.function_mask || self.table[v][3] & 1 == 1
    }

    fn rest(&mut self) -> Vec<(u64, u32)> {
        let mut sent = vec![];
        for v in 0..VECTORS {
            if self.wanted(v) && self.enable && !self.masked(v) {
                let row = self.table[v];
                sent.push((u64::from(row[1]) << 32 | u64::from(row[0]), row[2]));
                self.vectors[v] = Vector::default();
                if v == 0 {
                    self.raised = false;
                }
            }
        }
        sent
    }

    fn pba(&self) -> u32 {
        (0..VECTORS).fold(0, |bits, v| {
            bits | u32::from(self.enable && self.wanted(v) && self.masked(v)) << v
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn every_rule_once_at_rest(seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut bench = Bench::new(seed, rng.gen());
        let mut rules = Rules {
            table: [[0, 0, 0, 1]; VECTORS],
            vectors: Default::default(),
            raised: false,
            intr_masked: true,
            enable: false,
            function_mask: false,
        };
        for _ in 0..250 {
            let v = rng.gen_range(0..4) * rng.gen_range(0..7); // some often
            match rng.gen_range(0..16) {
                0..=4 => {
                    bench.event.push((v as u64, rng.gen()));
                    if v == 0 {
                        rules.raised = true;
                    } else {
                        rules.vectors[v].pending = true;
                    }
                }
                5..=8 => {
                    let mut value = rng.gen_range(0..7u64) << 15 | rng.gen_range(0..7u64);
                    let flags = rng.gen_range(0..4u64);
                    value |= flags << 30;
                    bench.unmask.push((v as u64, value));
                    let vector = &mut rules.vectors[v];
                    vector.armed = match flags {
                        0 => vector.armed && vector.pending, // the kick
                        2 => false,
                        _ => true,
                    };
                }
                9 => {
                    bench.block.set("raise", 1);
                    bench.step();
                    bench.block.set("raise", 0);
                    rules.raised = true;
                }
                10 => {
                    rules.intr_masked = rng.gen();
                    bench.block.set("intr_masked", rules.intr_masked.into());
                }
                11 => {
                    rules.enable = rng.gen_ratio(4, 5);
                    rules.function_mask = rng.gen_ratio(1, 4);
                    bench.block.set("enable", rules.enable.into());
                    bench.block.set("function_mask", rules.function_mask.into());
                }
                12 | 13 => {
                    let mask = rng.gen_range(0..2);
                    bench.access(true, 16 * v as u16 + 12, 0xa5a5_a5a4 | mask, 1);
                    rules.table[v][3] = mask;
                }
                14 if rules.table[v][3] == 1 => {
                    let (word, be) = (rng.gen_range(0..3), rng.gen_range(0..16));
                    let data: u32 = rng.gen();
                    bench.access(true, (16 * v + 4 * word) as u16, data, be);
                    rules.table[v][word] = merge(rules.table[v][word], data, be);
                    rules.table[v][0] &= !3;
                }
                _ => {
                    let addr = 4 * rng.gen_range(0..4 * VECTORS + 20);
                    let value = rules.table.get(addr / 16).map_or(0, |row| row[addr / 4 % 4]);
                    prop_assert_eq!(bench.access(false, addr as u16, 0, 0xf), value);
                    if addr / 16 >= VECTORS {
                        bench.access(true, addr as u16, rng.gen(), 0xf);
                    }
                }
            }
            bench.settle();
            let mut sent: Vec<_> = bench.messages.drain(..).map(|(_, a, d)| (a, d)).collect();
            let mut expected = rules.rest();
            sent.sort();
            expected.sort();
            prop_assert_eq!(sent, expected);
            prop_assert_eq!(bench.access(false, 0x1000, 0, 0xf), rules.pba());
            prop_assert_eq!(bench.access(false, 0x1000 + 4 * rng.gen_range(1..9), 0, 0xf), 0);
            if rng.gen_ratio(1, 100) {
                // A device reset forgets the vectors, not the table.
                bench.block.set("core_reset", 1);
                bench.steps(16);
                bench.block.set("core_reset", 0);
                bench.steps(PLACES + 4);
                rules.vectors = Default::default();
                rules.raised = false;
            }
        }
    }

    /// Whatever happens at the same time: an event is followed by a message, and a vector armed
    /// once sends once.
    #[test]
    fn no_interrupt_is_lost(seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut bench = Bench::new(seed, true);
        bench.program();
        bench.block.set("enable", 1);
        let busy = rng.gen_range(2..VECTORS as u64 + 1);
        let (mut last_event, mut arms) = ([0u64; VECTORS], [0u64; VECTORS]);
        let mut events: Vec<u64> = vec![];
        let mut raises = 0;
        for _ in 0..3000 {
            let v = rng.gen_range(1..busy.max(2));
            match rng.gen_range(0..12) {
                0..=2 => {
                    bench.event.push((v, rng.gen()));
                    events.push(v);
                }
                3 | 4 => {
                    let flags = [1, 1, 1, 0, 2, 3][rng.gen_range(0..6)];
                    let delays = rng.gen_range(0..4) << 15 | rng.gen_range(0..4);
                    bench.unmask.push((v, flags << 30 | delays));
                    arms[v as usize] += 1;
                }
                5 if rng.gen_ratio(1, 3) => {
                    bench.access(true, 16 * v as u16 + 12, rng.gen_range(0..2), 0xf);
                }
                6 if rng.gen_ratio(1, 20) => {
                    bench.block.set("function_mask", rng.gen_range(0..2));
                }
                7 if rng.gen_ratio(1, 20) => {
                    bench.block.set("intr_masked", rng.gen_range(0..2));
                }
                9 if rng.gen_ratio(1, 20) => {
                    bench.block.set("enable", rng.gen_range(0..2));
                }
                8 if rng.gen_ratio(1, 10) => {
                    bench.block.set("raise", 1);
                    raises += 1;
                }
                _ => {}
            }
            let before = bench.event.sent();
            bench.step();
            bench.block.set("raise", 0);
            if bench.event.sent() > before {
                last_event[events[before] as usize] = bench.block.cycles();
            }
        }
        while !bench.event.is_empty() || !bench.unmask.is_empty() {
            let before = bench.event.sent();
            bench.step();
            if bench.event.sent() > before {
                last_event[events[before] as usize] = bench.block.cycles();
            }
        }
        bench.block.set("function_mask", 0);
        bench.block.set("intr_masked", 0);
        bench.block.set("enable", 1);
        for v in 1..VECTORS as u64 {
            bench.access(true, 16 * v as u16 + 12, 0, 0xf);
            bench.arm(v, 0, 0);
            arms[v as usize] += 1;
        }
        bench.settle();
        bench.steps(2000);
        for v in 1..VECTORS {
            let sent: Vec<u64> =
                bench.messages.iter().filter(|m| m.2 == v as u32).map(|m| m.0).collect();
            prop_assert!(sent.len() as u64 <= arms[v]);
            if last_event[v] > 0 {
                prop_assert!(sent.last().is_some_and(|&at| at > last_event[v]), "vector {}", v);
            }
        }
        let zero = bench.messages.iter().filter(|m| m.2 == 0).count();
        prop_assert!(zero <= raises && (raises == 0 || zero > 0));
        prop_assert_eq!(bench.counted, bench.messages.len() as u64);
        for (_, addr, data) in &bench.messages {
            prop_assert_eq!(*addr, 0x1234_fee0_0000 + 64 * u64::from(*data));
        }
    }

    #[test]
    fn delays_are_kept(seed: u64, delay in 1u64..60, other in 1u64..60, rx: bool) {
        let mut bench = Bench::new(seed, false);
        bench.program();
        bench.block.set("enable", 1);
        let (tx_delay, rx_delay) = if rx { (other, delay) } else { (delay, other) };
        bench.arm(5, tx_delay, rx_delay);
        bench.steps(seed % 97 + 20);
        bench.event.push((5, rx));
        let start = bench.block.cycles();
        while bench.messages.is_empty() {
            bench.step();
            prop_assert!(bench.block.cycles() - start < 2000);
        }
        let took = bench.messages[0].0 - start;
        prop_assert!(took >= delay * CYCLES_PER_US, "{} after {}", took, delay);
        prop_assert!(took <= (delay + 1) * CYCLES_PER_US + ROUND + 12, "{} after {}", took, delay);
        // Bit 31 keeps the delays.
        bench.unmask.push((5, 3 << 30 | 0x3fff_ffff));
        bench.steps(20);
        bench.event.push((5, rx));
        bench.steps((delay + 1) * CYCLES_PER_US + ROUND + 20);
        prop_assert_eq!(bench.messages.len(), 2);
    }
}

#[test]
fn without_a_delay_at_once() {
    let mut worst = 0;
    for offset in 0..16 {
        let mut bench = Bench::new(offset, false);
        bench.program();
        bench.block.set("enable", 1);
        bench.arm(3, 0, 0);
        bench.steps(40 + offset);
        bench.event.push((3, true));
        let start = bench.block.cycles();
        while bench.messages.is_empty() {
            bench.step();
        }
        worst = worst.max(bench.messages[0].0 - start);
    }
    println!("{worst} cycles from event to message");
    assert!(worst <= 17);
}

#[test]
fn events_do_not_wait_for_the_link() {
    let mut bench = Bench::new(1, false);
    bench.program();
    bench.block.set("enable", 1);
    bench.refuses = 99;
    for v in 0..200 {
        bench.arm(1 + v % 19, 0, 0);
        bench.event.push((1 + v % 19, true));
    }
    let start = bench.block.cycles();
    while !bench.event.is_empty() || !bench.unmask.is_empty() {
        bench.step();
    }
    let took = bench.block.cycles() - start;
    println!("{took} cycles for 200 events and 200 unmasks");
    assert!(took <= 4 * 200 + 50);
    let per_vector = bench.messages.iter().fold(BTreeMap::new(), |mut map, m| {
        *map.entry(m.2).or_insert(0) += 1;
        map
    });
    assert!(per_vector.len() < 19);
}

/// A vector ends beside a stream of events and unmasks of others that never ends.
#[test]
fn an_end_does_not_wait_for_others() {
    let mut bench = Bench::new(1, false);
    bench.program();
    bench.block.set("enable", 1);
    for v in 0..2000 {
        bench.arm(2 + v % 18, 0, 0);
        bench.event.push((2 + v % 18, v % 2 == 0));
    }
    bench.steps(100);
    for _ in 0..10 {
        let took = bench.end(1);
        assert!(took <= 40, "{took} cycles");
    }
    assert!(!bench.event.is_empty() && !bench.unmask.is_empty());
}

/// What forbids a message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mask {
    Table,
    Function,
    Disable,
    /// INTR_MASK, of vector 0.
    Management,
}

impl Mask {
    fn set(self, bench: &mut Bench, vector: u16, on: bool) {
        match self {
            Mask::Table => {
                bench.access(true, 16 * vector + 12, on.into(), 1);
            }
            Mask::Function => bench.block.set("function_mask", on.into()),
            Mask::Disable => bench.block.set("enable", (!on).into()),
            Mask::Management => bench.block.set("intr_masked", on.into()),
        }
    }
}

/// A vector that is masked while its message waits for the link sends nothing more: it is pending,
/// and sent when it may be.
#[test]
fn a_message_that_waits_is_withdrawn() {
    for (mask, vector) in [
        (Mask::Table, 3),
        (Mask::Function, 3),
        (Mask::Disable, 3),
        (Mask::Table, 0),
        (Mask::Function, 0),
        (Mask::Disable, 0),
        (Mask::Management, 0),
    ] {
        // With another write on `tx` before it, which the link refuses too; and from before the
        // message is made until it has waited for long.
        for (other, wait) in [false, true].into_iter().flat_map(|o| (0..40).map(move |w| (o, w))) {
            let mut bench = Bench::new(wait, false);
            bench.program();
            bench.block.set("enable", 1);
            bench.block.set("intr_masked", 0);
            bench.refuses = 100;
            bench.arm(vector, 0, 0);
            bench.steps(40);
            if other {
                bench.block.set("other_addr", OTHER);
                bench.block.set("other_len", 4);
                bench.block.set("other_last", 1);
                bench.block.set("other_valid", 1);
                bench.steps(2);
                bench.block.set("other_valid", 0);
            }
            bench.event.push((vector, true));
            bench.steps(wait);
            mask.set(&mut bench, vector as u16, true);
            // Read back: from now on the host relies on it.
            let control = bench.access(false, 16 * vector as u16 + 12, 0, 15);
            assert_eq!(control, u32::from(mask == Mask::Table));
            // While the message is made, or waits, its pending bit is not read as 0 for long.
            let shows = !matches!(mask, Mask::Disable | Mask::Management);
            if wait > 20 {
                let pba = bench.access(false, 0x1000, 0, 15);
                assert_eq!(pba, u32::from(shows) << vector, "{mask:?} after {wait}");
            }
            bench.refuses = 0;
            bench.steps(3 * ROUND);
            assert_eq!(bench.messages, [], "{mask:?}, vector {vector}, after {wait} cycles");
            let pba = bench.access(false, 0x1000, 0, 15);
            assert_eq!(pba, u32::from(shows) << vector);
            mask.set(&mut bench, vector as u16, false);
            bench.steps(2 * ROUND);
            assert_eq!(bench.messages.len(), 1, "{mask:?}, vector {vector}, after {wait} cycles");
            assert_eq!(bench.messages[0].2, vector as u32);
            assert_eq!(bench.access(false, 0x1000, 0, 15), 0);
            assert_eq!(bench.counted, 1);
        }
    }
}

/// Nothing of a vector is left when its end is answered: not what is pending under a delay, not
/// that it is armed, not a message that waits, not its delays.
#[test]
fn a_vector_that_ended_is_as_after_a_reset() {
    for wait in 0..60 {
        for refuses in [0, 100] {
            let mut bench = Bench::new(wait, false);
            bench.program();
            bench.block.set("enable", 1);
            bench.refuses = refuses;
            bench.arm(7, 0, 0);
            bench.arm(5, 0, if wait < 30 { 0 } else { 40 });
            bench.steps(40);
            bench.event.push((5, true));
            bench.event.push((7, true));
            bench.steps(2 + wait);
            let took = bench.end(5);
            assert!(took < 60, "{took} cycles");
            let of_5 = |bench: &Bench| bench.messages.iter().filter(|m| m.2 == 5).count();
            let at_end = of_5(&bench);
            bench.refuses = 0;
            bench.steps(60 * CYCLES_PER_US + 3 * ROUND);
            assert_eq!(of_5(&bench), at_end, "after {wait}");
            let of_7 = bench.messages.iter().filter(|m| m.2 == 7).count();
            assert_eq!(of_7, 1, "the other vector's is not lost");
            assert_eq!(bench.access(false, 0x1000, 0, 15), 0);

            // A new queue: no message before the first unmask, and no delay that nobody set.
            bench.event.push((5, true));
            bench.steps(3 * ROUND);
            assert_eq!(of_5(&bench), at_end);
            bench.unmask.push((5, 3 << 30));
            bench.steps(3 * ROUND);
            assert_eq!(of_5(&bench), at_end + 1);
        }
    }
}

/// An event that came before the end is of the queue that ended.
#[test]
fn an_event_on_its_way_ends_with_its_vector() {
    for wait in 0..12 {
        let mut bench = Bench::new(wait, false);
        bench.program();
        bench.block.set("enable", 1);
        bench.arm(4, 0, 0);
        bench.arm(9, 0, 0);
        bench.steps(40 + wait);
        // One that is held behind another vector's, then the end with no cycle between.
        bench.event.push((9, true));
        bench.event.push((4, false));
        bench.event.push((4, true));
        while !bench.event.is_empty() {
            bench.step();
        }
        bench.end(4);
        let sent = bench.messages.iter().filter(|m| m.2 == 4).count();
        bench.arm(4, 0, 0);
        bench.steps(3 * ROUND);
        assert_eq!(bench.messages.iter().filter(|m| m.2 == 4).count(), sent, "after {wait}");
    }
}

/// Who masks by writing 0 is not interrupted by what was pending already; who has not been
/// interrupted yet is.
#[test]
fn a_write_of_0_does_not_wake_a_vector_that_has_interrupted() {
    let mut bench = Bench::new(1, false);
    bench.program();
    bench.block.set("enable", 1);
    bench.arm(3, 0, 0);
    bench.event.push((3, true));
    bench.settle();
    assert_eq!(bench.messages.len(), 1);
    bench.event.push((3, true));
    bench.settle();
    bench.unmask.push((3, 0));
    bench.settle();
    assert_eq!(bench.messages.len(), 1, "still silent");
    bench.arm(3, 0, 0);
    bench.settle();
    assert_eq!(bench.messages.len(), 2, "and nothing is lost");
    // Armed and under a long delay: what a driver takes for a lost interrupt comes at once.
    bench.arm(3, 0, 30_000);
    bench.settle();
    bench.event.push((3, true));
    bench.settle();
    assert_eq!(bench.messages.len(), 2);
    bench.unmask.push((3, 30_000));
    bench.settle();
    assert_eq!(bench.messages.len(), 3);
}
