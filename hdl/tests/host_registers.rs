//! BAR0 decode, ENA registers, readless reads and the reset sequence, wired as in the card.

mod control_support;

use control_support::{model, set_all_inputs_low, Master};
use nitor_block::stream::{End, Ports, Sink, Stalls};
use nitor_block::{Block, Model};
use nitor_hdl::common::iface::*;
use nitor_hdl::host::{bar::BarDecode, readless::Readless, regs::EnaRegs, reset::ResetControl};
use nitor_hdl::pcie::inline::{self, InlineWrite, Recallable};
use nitor_rtl::prelude::*;
use proptest::prelude::*;
use rand::{rngs::StdRng, Rng, SeedableRng};
use std::collections::{BTreeMap, VecDeque};
use std::sync::LazyLock;

const QUEUES: u64 = 16;
const VECTORS: u64 = 17;

#[derive(LogicBlock)]
struct Host {
    clock: Signal<In, Clock>,
    reset: Signal<In, Bit>,
    target: RegBusSnk,
    msix: RegBusSrc,
    tx_doorbell: DoorbellSrc,
    rx_doorbell: DoorbellSrc,
    unmask: UnmaskSrc,
    /// Another client's writes go before answers.
    other: WriteReqSnk<128>,
    tx: TlpSrc<128>,
    flr: Signal<In, Bit>,
    read_busy: Signal<In, Bit>,
    tx_idle: Signal<In, Bit>,
    firmware_ack: Signal<In, Bit>,
    shadow_index: Signal<In, Bits<4>>,
    shadow: Signal<Out, Bits<32>>,
    reset_in_progress: Signal<Out, Bit>,
    wait_firmware: Signal<Out, Bit>,
    flush: Signal<Out, Bit>,
    core_reset: Signal<Out, Bit>,
    function_reset: Signal<Out, Bit>,
    irq_reset: Signal<Out, Bit>,
    irq_flr: Signal<Out, Bit>,
    aq_db_written: Signal<Out, Bit>,
    aenq_head_db_written: Signal<Out, Bit>,
    intr_mask_written: Signal<Out, Bit>,
    intr_masked: Signal<Out, Bit>,
    stat_doorbell: Signal<Out, Bit>,
    stat_doorbell_illegal: Signal<Out, Bit>,
    stat_dropped: Signal<Out, Bit>,
    privileged: Signal<Out, Bit>,
    bar: BarDecode,
    regs: EnaRegs,
    readless: Readless<128>,
    inline: InlineWrite<128>,
    control: ResetControl,
}

impl Host {
    fn new() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            target: Default::default(),
            msix: Default::default(),
            tx_doorbell: Default::default(),
            rx_doorbell: Default::default(),
            unmask: Default::default(),
            other: Default::default(),
            tx: Default::default(),
            flr: Default::default(),
            read_busy: Default::default(),
            tx_idle: Default::default(),
            firmware_ack: Default::default(),
            shadow_index: Default::default(),
            shadow: Default::default(),
            reset_in_progress: Default::default(),
            wait_firmware: Default::default(),
            flush: Default::default(),
            core_reset: Default::default(),
            function_reset: Default::default(),
            irq_reset: Default::default(),
            irq_flr: Default::default(),
            aq_db_written: Default::default(),
            aenq_head_db_written: Default::default(),
            intr_mask_written: Default::default(),
            intr_masked: Default::default(),
            stat_doorbell: Default::default(),
            stat_doorbell_illegal: Default::default(),
            stat_dropped: Default::default(),
            privileged: Default::default(),
            bar: BarDecode::new(QUEUES as usize, VECTORS as usize),
            regs: Default::default(),
            readless: Default::default(),
            inline: Default::default(),
            control: Default::default(),
        }
    }
}

impl Logic for Host {
    /// The host's registers, as wired in the card.
    #[kernel]
    fn update(&mut self) {
        clocked!(self, clock, reset; bar, regs, control, inline);
        clocked!(self, clock; readless);
        RegBusSnk::link(&mut self.target, &mut self.bar.target);
        RegBusSrc::link(&mut self.msix, &mut self.bar.msix);
        DoorbellSrc::link(&mut self.tx_doorbell, &mut self.bar.tx_doorbell);
        DoorbellSrc::link(&mut self.rx_doorbell, &mut self.bar.rx_doorbell);
        UnmaskSrc::link(&mut self.unmask, &mut self.bar.unmask);
        WriteReqSnk::<128>::link(&mut self.other, &mut self.inline.req[inline::COMPLETIONS]);
        WriteReqSrc::<128>::join(&mut self.readless.write, &mut self.inline.req[inline::READLESS]);
        for c in 0..2 {
            self.inline.req[2 * c + 1].valid.next = false;
            self.inline.req[2 * c + 1].addr.next = lit::<64>(0);
            self.inline.req[2 * c + 1].len.next = lit::<7>(0);
            self.inline.req[2 * c + 1].data.next = lit::<128>(0);
            self.inline.req[2 * c + 1].last.next = false;
        }
        TlpSrc::<128>::link(&mut self.tx, &mut self.inline.tx);
        self.inline.requester.next = lit::<16>(0);
        self.inline.core_reset.next = self.control.core_reset.val();
        let recall = self.readless.recall.val() || self.control.function_reset.val();
        self.inline.recall.next = Recallable { readless: recall, messages: false };
        self.readless.sent.next = self.inline.sent.val().readless;
        RegBusSrc::join(&mut self.bar.regs, &mut self.regs.bus);
        let control_function = self.control.function_reset.val();
        self.readless.reset.next = self.reset.val() || control_function;
        self.bar.core_reset.next = self.control.core_reset.val();
        self.bar.flush.next = self.control.flush.val();
        self.regs.regs_clear.next = self.control.regs_clear.val();
        self.regs.function_reset.next = control_function;
        self.regs.reset_in_progress.next = self.control.reset_in_progress.val();
        self.regs.peek_addr.next = self.readless.peek_addr.val();
        self.readless.peek_data.next = self.regs.peek_data.val();
        self.readless.req_valid.next = self.regs.readless_valid.val();
        self.readless.req.next = self.regs.readless_req.val();
        self.readless.mmio_resp.next = self.regs.mmio_resp.val();
        self.readless.mmio_resp_written.next = self.regs.mmio_resp_written.val();
        self.readless.mmio_resp_half.next = self.regs.mmio_resp_half.val();
        self.control.dev_ctl_written.next = self.regs.dev_ctl_written.val();
        self.control.dev_reset.next = self.regs.dev_reset.val();
        self.control.flr.next = self.flr.val();
        self.control.read_busy.next = self.read_busy.val();
        self.control.tx_idle.next = self.tx_idle.val();
        self.control.firmware_ack.next = self.firmware_ack.val();
        self.regs.shadow_index.next = self.shadow_index.val();
        self.shadow.next = self.regs.shadow.val();
        self.reset_in_progress.next = self.control.reset_in_progress.val();
        self.wait_firmware.next = self.control.wait_firmware.val();
        self.flush.next = self.control.flush.val();
        self.core_reset.next = self.control.core_reset.val();
        self.function_reset.next = control_function;
        self.irq_reset.next = self.control.irq_reset.val();
        self.irq_flr.next = self.control.irq_flr.val();
        self.aq_db_written.next = self.regs.aq_db_written.val();
        self.aenq_head_db_written.next = self.regs.aenq_head_db_written.val();
        self.intr_mask_written.next = self.regs.intr_mask_written.val();
        self.intr_masked.next = self.regs.intr_masked.val();
        self.stat_doorbell.next = self.bar.stat_doorbell.val();
        self.stat_doorbell_illegal.next = self.bar.stat_doorbell_illegal.val();
        self.stat_dropped.next = self.readless.stat_dropped.val();
        self.privileged.next = self.inline.privileged.val();
    }
}

static MODEL: LazyLock<Model> = LazyLock::new(|| model("host", Host::new));

/// Offsets of the firmware's copies in the management bus's order.
const COPIES: [u16; 13] =
    [0x10, 0x14, 0x18, 0x20, 0x24, 0x28, 0x38, 0x3c, 0x34, 0x2c, 0x40, 0x4c, 0x54];
const COUNTED: [&str; 7] = [
    "aq_db_written",
    "aenq_head_db_written",
    "intr_mask_written",
    "stat_doorbell",
    "stat_doorbell_illegal",
    "irq_reset",
    "irq_flr",
];

struct Bench {
    block: Block,
    master: Master,
    tx: Sink<(u64, u64)>,
    rx: Sink<(u64, u64)>,
    unmask: Sink<(u64, u64)>,
    /// In a hundred cycles the link refuses so many.
    refuses: u32,
    rng: StdRng,
    /// Where answers went, and what they say.
    answers: Vec<(u64, Vec<u8>)>,
    /// The MSI-X table's stand-in: address to value.
    table: BTreeMap<u64, u32>,
    table_wait: u64,
    counts: BTreeMap<&'static str, u64>,
}

impl Bench {
    fn new(seed: u64) -> Bench {
        let mut block = MODEL.block(seed);
        set_all_inputs_low(&mut block);
        block.set("tx_idle", 1);
        block.reset(3);
        let ports = |name: &str, fields: &[&str]| Ports {
            valid: block.port(&format!("{name}_valid")),
            ready: block.port(&format!("{name}_ready")),
            payload: fields.iter().map(|f| block.port(&format!("{name}_{f}"))).collect(),
        };
        let stall = |n| Stalls::seeded(seed ^ n);
        let bell = ["queue", "tail"];
        let mut bench = Bench {
            master: Master::new(&block, "target"),
            tx: Sink::new(&block, ports("tx_doorbell", &bell), stall(1)),
            rx: Sink::new(&block, ports("rx_doorbell", &bell), stall(2)),
            unmask: Sink::new(&block, ports("unmask", &["vector", "value"]), stall(3)),
            refuses: 50,
            rng: StdRng::seed_from_u64(seed ^ 4),
            answers: vec![],
            block,
            table: BTreeMap::new(),
            table_wait: 0,
            counts: BTreeMap::new(),
        };
        for _ in 0..20 {
            bench.step(); // the core's reset outlasts the card's
        }
        bench
    }

    /// A cycle; the read data of an access that ends in it.
    fn step(&mut self) -> Option<u32> {
        let block = &mut self.block;
        self.master.drive(block);
        let mut ends: [&mut dyn End; 3] = [&mut self.tx, &mut self.rx, &mut self.unmask];
        for end in &mut ends {
            end.drive(block);
        }
        let ready = !self.rng.gen_ratio(self.refuses, 100);
        block.set("tx_ready", ready.into());
        block.set("msix_ready", 0);
        block.eval();
        if block.get("msix_valid") == 1 {
            self.table_wait += 1;
            if self.table_wait == 3 {
                self.table_wait = 0;
                let addr = block.get("msix_addr");
                block.set("msix_ready", 1);
                block.set("msix_rdata", u64::from(*self.table.get(&addr).unwrap_or(&0)));
                if block.get("msix_write") == 1 {
                    self.table.insert(addr, block.get("msix_wdata") as u32);
                }
            }
        }
        block.clock_low();
        for end in &mut ends {
            end.sample(block);
        }
        let done = self.master.sample(block);
        if block.get("tx_valid") == 1 && ready {
            let hdr = block.get_bytes("tx_hdr");
            let dw = |i: usize| u32::from_le_bytes(hdr[4 * i..4 * i + 4].try_into().unwrap());
            let wide = dw(0) >> 29 & 1 == 1;
            let addr = if wide { u64::from(dw(2)) << 32 | u64::from(dw(3)) } else { dw(2).into() };
            if block.get("privileged") == 1 {
                assert_eq!((block.get("tx_sop"), block.get("tx_eop"), dw(0) & 0x3ff), (1, 1, 2));
                self.answers.push((addr, block.get_bytes("tx_data")[..8].to_vec()));
            }
        }
        for name in COUNTED {
            *self.counts.entry(name).or_default() += block.get(name);
        }
        block.clock_high();
        done
    }

    fn access(&mut self, write: bool, addr: u16, wdata: u32, be: u8) -> u32 {
        self.master.start((write, addr, wdata, be));
        loop {
            if let Some(data) = self.step() {
                return data;
            }
        }
    }

    fn write(&mut self, addr: u16, wdata: u32) {
        self.access(true, addr, wdata, 0xf);
    }

    fn read(&mut self, addr: u16) -> u32 {
        self.access(false, addr, 0, 0xf)
    }

    fn steps(&mut self, n: u64) {
        for _ in 0..n {
            self.step();
        }
    }

    fn shadow(&mut self, index: u64) -> u32 {
        self.block.set("shadow_index", index);
        self.step();
        self.block.eval();
        self.block.get("shadow") as u32
    }

    fn count(&self, name: &str) -> u64 {
        self.counts[name]
    }
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

fn fixed(addr: u16) -> u32 {
    match addr {
        0x00 => 0x0a,
        0x04 => 0x0100_0001,
        0x08 => 0x3015,
        0x58 => 1,
        _ => 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_traffic_on_any_offset(seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut bench = Bench::new(seed);
        let mut copies = [0u32; 13];
        copies[11] = 1;
        let (mut tx, mut rx, mut unmask) = (vec![], vec![], vec![]);
        let mut table = BTreeMap::new();
        let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
        for _ in 0..400 {
            let addr = 4 * match rng.gen_range(0..6) {
                0 => rng.gen_range(0..0x4000),
                1 => rng.gen_range(0x1000 / 4..0x2000 / 4),
                2 => [0x1000, 0x1400, 0x1800][rng.gen_range(0..3)] / 4 + rng.gen_range(0..20),
                3 => rng.gen_range(0..0x100 / 4),
                4 => 0x2000 / 4 + rng.gen_range(0..16),
                _ => COPIES[rng.gen_range(0..13)] / 4,
            };
            let be: u8 = if rng.gen_ratio(2, 3) { 15 } else { rng.gen_range(0..16) };
            let data: u32 = rng.gen();
            let write = rng.gen_ratio(2, 3);
            if write && (addr == 0x54 || addr == 0x5c) {
                continue; // their own tests
            }
            let got = bench.access(write, addr, data, be);
            if !write {
                let value = match addr {
                    0x4c => copies[11],
                    0x2000..=0x3fff => *table.get(&addr).unwrap_or(&0),
                    _ => fixed(addr),
                };
                prop_assert_eq!(got, value, "{:#x}", addr);
                continue;
            }
            let number = u64::from(addr >> 2 & 0xff);
            let mut bump = |name| *expected.entry(name).or_default() += 1;
            match addr {
                0x1000..=0x17ff => {
                    if (be == 15 || be == 3) && number < QUEUES {
                        bump("stat_doorbell");
                        let bells = if addr < 0x1400 { &mut tx } else { &mut rx };
                        bells.push((number, u64::from(data as u16)));
                    } else {
                        bump("stat_doorbell_illegal");
                    }
                }
                0x1800..=0x1bff => {
                    if be == 15 && number < VECTORS {
                        unmask.push((number, u64::from(data)));
                    } else {
                        bump("stat_doorbell_illegal");
                    }
                }
                0x2000..=0x3fff => {
                    table.insert(addr, data);
                }
                _ => {
                    if let Some(i) = COPIES.iter().position(|&c| c == addr) {
                        copies[i] = merge(copies[i], data, be);
                        copies[11] &= 1;
                        match i {
                            9 if be != 0 => bump("aq_db_written"),
                            10 if be != 0 => bump("aenq_head_db_written"),
                            11 if be != 0 => bump("intr_mask_written"),
                            _ => {}
                        }
                    }
                }
            }
        }
        bench.steps(300);
        prop_assert_eq!(bench.tx.received(), tx.as_slice());
        prop_assert_eq!(bench.rx.received(), rx.as_slice());
        prop_assert_eq!(bench.unmask.received(), unmask.as_slice());
        for (i, copy) in copies.iter().enumerate() {
            prop_assert_eq!(bench.shadow(i as u64), *copy, "copy {}", i);
        }
        for name in COUNTED {
            prop_assert_eq!(bench.count(name), *expected.get(name).unwrap_or(&0), "{}", name);
        }
    }

    /// Against the rules of the sequence, not its cycles.
    #[test]
    fn resets_in_any_order(seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut bench = Bench::new(seed);
        for _ in 0..12 {
            for copy in COPIES {
                if copy != 0x54 {
                    bench.write(copy, rng.gen::<u32>() | 1);
                }
            }
            let resp: u64 = rng.gen::<u64>() & 0xffff_ffff_fff8 | 8;
            bench.write(0x60, resp as u32);
            bench.write(0x64, (resp >> 32) as u32);
            let resets = bench.count("irq_reset");
            let mut flr = false;
            let mut starts = 0;
            let mut restart = |bench: &mut Bench, rng: &mut StdRng, flr: &mut bool| {
                starts += 1;
                bench.block.set("read_busy", rng.gen_range(0..2));
                bench.block.set("tx_idle", rng.gen_range(0..2));
                if rng.gen_ratio(1, 3) {
                    *flr = true;
                    bench.block.set("flr", 1);
                    bench.step();
                    bench.block.set("flr", 0);
                } else {
                    bench.write(0x54, rng.gen::<u32>() | 1);
                }
            };
            restart(&mut bench, &mut rng, &mut flr);
            prop_assert_eq!(bench.read(0x58), 9);
            // Registers are clear at once, and stay so.
            bench.write(0x10, rng.gen());
            bench.write(0x2c, rng.gen());
            for i in 0..11 {
                prop_assert_eq!(bench.shadow(i), 0);
            }
            prop_assert_eq!(bench.read(0x4c), 1);
            bench.write(0x1000, 5); // a doorbell of the former life
            for _ in 0..rng.gen_range(0..4) {
                let wait = rng.gen_range(0..60);
                bench.steps(wait);
                match rng.gen_range(0..4) {
                    0 => bench.write(0x54, 0),
                    1 => restart(&mut bench, &mut rng, &mut flr),
                    2 => {
                        bench.block.set("firmware_ack", 1);
                        bench.step();
                        bench.block.set("firmware_ack", 0);
                    }
                    _ => {
                        bench.block.set("read_busy", rng.gen_range(0..2));
                        bench.block.set("tx_idle", rng.gen_range(0..2));
                    }
                }
            }
            bench.steps(40); // a start within the core's reset needs no second flush
            if bench.block.get("reset_in_progress") == 1 {
                // One condition after the other; the last one ends it.
                bench.block.set("read_busy", 1);
                bench.block.set("tx_idle", 0);
                bench.write(0x54, 1);
                starts += 1;
                let mut left = VecDeque::from([0, 1, 2, 3]);
                let turn = rng.gen_range(0..4);
                left.rotate_left(turn);
                let (mut busy, mut acked) = (true, false);
                while let Some(next) = left.pop_front() {
                    prop_assert_eq!(bench.read(0x58), 9);
                    match next {
                        0 => bench.write(0x54, 0),
                        1 => bench.block.set("read_busy", 0),
                        2 => bench.block.set("tx_idle", 1),
                        _ => {
                            bench.block.set("firmware_ack", 1);
                            bench.step();
                            bench.block.set("firmware_ack", 0);
                            acked = true;
                        }
                    }
                    let get = |name: &str| bench.block.get(name);
                    if get("read_busy") == 0 && get("tx_idle") == 1 && busy {
                        busy = false;
                        let mut cycles = 0;
                        for _ in 0..60 {
                            bench.step();
                            bench.block.eval();
                            cycles += bench.block.get("core_reset");
                            if bench.block.get("core_reset") == 1 {
                                prop_assert_eq!(bench.block.get("flush"), 1);
                            }
                        }
                        prop_assert_eq!(cycles, 16);
                        prop_assert_eq!(bench.block.get("flush"), 0);
                    } else {
                        bench.steps(40);
                    }
                    prop_assert_eq!(bench.block.get("wait_firmware"), u64::from(!acked));
                }
            }
            bench.block.set("read_busy", 0);
            bench.block.set("tx_idle", 1);
            bench.steps(80);
            prop_assert_eq!(bench.block.get("reset_in_progress"), 0);
            prop_assert_eq!(bench.read(0x58), 1);
            prop_assert_eq!(bench.count("irq_reset") - resets, starts);
            prop_assert!(bench.tx.take().is_empty());
            // MMIO_RESP survives a device reset, not a function-level one.
            bench.answers.clear();
            bench.write(0x5c, 0x0004_0001);
            bench.steps(600);
            let answers = std::mem::take(&mut bench.answers);
            if flr {
                prop_assert!(answers.is_empty());
            } else {
                prop_assert_eq!(answers.len(), 1);
                prop_assert_eq!(answers[0].0, resp);
            }
        }
    }

    #[test]
    fn readless_reads(seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut bench = Bench::new(seed);
        bench.write(0x5c, 0x0004_0001); // to nowhere
        bench.steps(100);
        prop_assert_eq!(bench.answers.len(), 0);
        let resp: u64 = rng.gen::<u64>() & 0xffff_ffff_ffc0 | 0x40;
        let low: u32 = rng.gen_range(0..8);
        bench.write(0x60, resp as u32 | low); // unaligned: the write is aligned all the same
        bench.write(0x64, (resp >> 32) as u32);
        let in_reset = rng.gen();
        if in_reset {
            bench.block.set("read_busy", 1);
            bench.write(0x54, 1);
            bench.write(0x60, resp as u32);
            bench.write(0x64, (resp >> 32) as u32);
        }
        let mut expected = vec![];
        for _ in 0..8 {
            // Up to 16 in flight are all answered, in order.
            for _ in 0..rng.gen_range(0..17) {
                let id: u16 = rng.gen();
                let offset = [0, 4, 8, 0x58, 0x4c, 0x10, rng.gen()][rng.gen_range(0..7)];
                bench.access(true, 0x5c, u32::from(offset) << 16 | 0x1234, rng.gen_range(0..15));
                bench.write(0x5c, u32::from(offset) << 16 | u32::from(id));
                let value = match offset {
                    0x58 if in_reset => 9,
                    0x4c => 1,
                    _ => fixed(offset),
                };
                expected.push((id, offset, value));
            }
            bench.steps(600);
        }
        let got = std::mem::take(&mut bench.answers);
        prop_assert_eq!(got.len(), expected.len());
        for ((addr, data), (id, offset, value)) in got.iter().zip(expected) {
            prop_assert_eq!(*addr, resp);
            let mut want = id.to_le_bytes().to_vec();
            want.extend(offset.to_le_bytes());
            want.extend(value.to_le_bytes());
            prop_assert_eq!(data, &want);
        }
    }
}

#[test]
fn a_blocked_link_does_not_block_the_host() {
    let mut bench = Bench::new(1);
    bench.refuses = 99;
    bench.write(0x60, 64);
    bench.write(0x64, 0);
    let start = bench.block.cycles();
    for i in 0..100 {
        bench.write(0x5c, i);
    }
    assert!(bench.block.cycles() - start < 700);
}

const RESP: u64 = 0x12_3400_0040;

fn set_resp(bench: &mut Bench, address: u64) {
    bench.write(0x60, address as u32);
    bench.write(0x64, (address >> 32) as u32);
}

/// An answer asked for while the link refuses everything, perhaps behind another client's write, a
/// request before `wait` cycles passed.
fn waiting_answer(wait: u64, other: bool) -> Bench {
    let mut bench = Bench::new(wait);
    bench.refuses = 100;
    set_resp(&mut bench, RESP);
    if other {
        bench.block.set("other_len", 4);
        bench.block.set("other_last", 1);
        bench.block.set("other_valid", 1);
        bench.steps(2);
        bench.block.set("other_valid", 0);
    }
    bench.write(0x5c, 0x0004_0001);
    bench.steps(wait);
    bench
}

/// From when it is asked for until long after it waits for the link: nothing of it is sent once the
/// function was reset.
#[test]
fn an_answer_that_waits_does_not_outlive_a_function_level_reset() {
    for (wait, other) in (0..20).flat_map(|wait| [(wait, false), (wait, true)]) {
        let mut bench = waiting_answer(wait, other);
        bench.block.set("flr", 1);
        bench.step();
        bench.block.set("flr", 0);
        // Function reset and what follows from it are registers.
        bench.steps(2);
        bench.refuses = 0;
        bench.steps(100);
        assert_eq!(bench.answers, [], "after {wait} cycles");
        // Nor does it come to where the next one's are to go.
        bench.block.set("firmware_ack", 1);
        bench.step();
        bench.block.set("firmware_ack", 0);
        bench.steps(20);
        set_resp(&mut bench, RESP + 64);
        bench.steps(100);
        assert_eq!(bench.answers, []);
        bench.write(0x5c, 0x0000_0002);
        bench.steps(100);
        assert_eq!(bench.answers, [(RESP + 64, vec![2, 0, 0, 0, 0xa, 0, 0, 0])]);
    }
}

/// An answer that waits goes to the address that there is when it goes, once, and to none while
/// that is half written.
#[test]
fn an_answer_that_waits_goes_where_the_address_is_now() {
    const NEXT: u64 = 0x45_6700_1080;
    let answer = vec![1, 0, 4, 0, 1, 0, 0, 1];
    for (wait, other) in (0..20).flat_map(|wait| [(wait, false), (wait, true)]) {
        for between in [0, 3, 30] {
            let mut bench = waiting_answer(wait, other);
            bench.write(0x60, NEXT as u32);
            bench.steps(between);
            bench.refuses = 0;
            bench.steps(if between > 0 { 40 } else { 0 });
            assert_eq!(bench.answers, [], "half an address, after {wait} cycles");
            bench.write(0x64, (NEXT >> 32) as u32);
            bench.steps(40);
            assert_eq!(bench.answers, [(NEXT, answer.clone())], "after {wait} cycles");
        }
        // Switched off it is dropped, and the next is answered.
        let mut bench = waiting_answer(wait, other);
        set_resp(&mut bench, 0);
        bench.refuses = 0;
        bench.steps(60);
        assert_eq!(bench.answers, []);
        set_resp(&mut bench, RESP);
        bench.write(0x5c, 0x0004_0001);
        bench.steps(60);
        assert_eq!(bench.answers, [(RESP, answer.clone())]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// However the address moves: each request is answered once at most, in order, at an address
    /// that was whole within the last few cycles.
    #[test]
    fn answers_follow_the_address(seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut bench = Bench::new(seed);
        bench.refuses = rng.gen_range(0..100);
        let mut resp = RESP;
        set_resp(&mut bench, resp);
        let (mut asked, mut seen) = (0u16, 0);
        for _ in 0..300 {
            match rng.gen_range(0..4) {
                0 => {
                    let old = resp;
                    resp = RESP + 0x1_0000_0040 * rng.gen_range(1u64..100);
                    bench.write(0x60, resp as u32);
                    // What went before the halves met is of the old one.
                    for (addr, _) in &bench.answers[seen..] {
                        prop_assert_eq!(*addr, old);
                    }
                    bench.write(0x64, (resp >> 32) as u32);
                    for (addr, _) in &bench.answers[seen..] {
                        prop_assert!([old, resp].contains(addr));
                    }
                    seen = bench.answers.len();
                }
                1 if usize::from(asked) < seen + 12 => {
                    asked += 1;
                    bench.write(0x5c, u32::from(asked));
                }
                _ => {
                    let wait = rng.gen_range(0..30);
                    bench.steps(wait);
                }
            }
            for (addr, _) in &bench.answers[seen..] {
                prop_assert_eq!(*addr, resp);
            }
            seen = bench.answers.len();
        }
        bench.refuses = 0;
        bench.steps(400);
        let ids: Vec<_> =
            bench.answers.iter().map(|(_, data)| u16::from_le_bytes([data[0], data[1]])).collect();
        prop_assert_eq!(ids, (1..=asked).collect::<Vec<_>>());
    }
}
