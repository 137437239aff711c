//! `mgmt/bus`: registers, interrupt lines and the commands it gives, with slaves that wait at will.

mod control_support;

use control_support::{model, set_all_inputs_low, Master};
use nitor_abi::mgmt::{Config, Lines};
use nitor_block::{Block, Model};
use nitor_hdl::mgmt::bus::MgmtBus;
use proptest::prelude::*;
use rand::{rngs::StdRng, Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::LazyLock;

static BUS: LazyLock<Model> = LazyLock::new(|| {
    let config = Config {
        queue_pairs: 16,
        last_vector: 32,
        log_width: 4,
        log_max_depth: 13,
        tx_offloads: true,
        rx_checksums: true,
        llq: true,
    };
    model("mgmt_block", move || MgmtBus::new(config, Lines { log_depth: 9 }, 5))
});

type Context = (u64, u64, u64, u64, u64, u64, u64, u64);

struct BusBench {
    block: Block,
    master: Master,
    rng: StdRng,
    slave_log: Vec<(&'static str, bool, u16, u32, u8)>,
    ctx_log: Vec<Context>,
    /// Context commands get no answer.
    deaf: bool,
    raised: u32,
    acked: u32,
    shadow: u64,
    waits: BTreeMap<&'static str, u32>,
}

impl BusBench {
    fn new(seed: u64) -> BusBench {
        let mut block = BUS.block(seed);
        set_all_inputs_low(&mut block);
        block.reset(2);
        BusBench {
            master: Master::new(&block, "bus"),
            block,
            rng: StdRng::seed_from_u64(seed),
            slave_log: vec![],
            ctx_log: vec![],
            deaf: false,
            raised: 0,
            acked: 0,
            shadow: 0,
            waits: BTreeMap::new(),
        }
    }

    fn step(&mut self) -> Option<u32> {
        let block = &mut self.block;
        self.master.drive(block);
        block.set("shadow", self.shadow);
        block.eval();
        for slave in ["mailbox", "steer", "stats"] {
            let port = |name: &str| format!("{slave}_{name}");
            let wait = self.waits.entry(slave).or_default();
            let valid = block.get(port("valid")) == 1;
            let ready = valid && *wait == 0;
            *wait = if valid && !ready { *wait - 1 } else { self.rng.gen_range(0..4) };
            block.set(port("ready"), ready.into());
            if ready {
                let addr = block.get(port("addr"));
                block.set(port("rdata"), addr ^ 0xdead_beef);
                if block.get(port("write")) == 1 {
                    let data = block.get(port("wdata")) as u32;
                    self.slave_log.push((
                        slave,
                        true,
                        addr as u16,
                        data,
                        block.get(port("be")) as u8,
                    ));
                }
            }
        }
        for (kind, owner) in ["tx_sq", "rx_sq", "cq"].into_iter().enumerate() {
            let port = |name: &str| format!("{owner}_{name}");
            let ready = !self.deaf && block.get(port("valid")) == 1 && self.rng.gen_ratio(1, 4);
            block.set(port("ready"), ready.into());
            if ready {
                let get = |name: &str| block.get(port(name));
                assert_eq!(get("placement"), get("log_entry"));
                self.ctx_log.push((
                    kind as u64,
                    get("destroy"),
                    get("idx"),
                    get("base"),
                    get("log_depth"),
                    get("cq"),
                    get("log_entry"),
                    get("vector"),
                ));
            }
        }
        let ready = !self.deaf && block.get("vector_end_valid") == 1 && self.rng.gen_ratio(1, 4);
        block.set("vector_end_ready", ready.into());
        if ready {
            self.ctx_log.push((3, 0, block.get("vector_end_vector"), 0, 0, 0, 0, 0));
        }
        block.clock_low();
        let done = self.master.sample(block);
        self.raised += block.get("raise") as u32;
        self.acked += block.get("firmware_ack") as u32;
        // The register file answers a cycle later.
        self.shadow = 0x5000_0000 | block.get("shadow_index");
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

    fn read(&mut self, addr: u16) -> u32 {
        self.access(false, addr, 0, 0xf)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn management_bus(seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut bench = BusBench::new(seed);
        let mut max_frame = 9234;
        let mut ctx = [0u32; 3];
        for _ in 0..300 {
            let data: u32 = rng.gen();
            match rng.gen_range(0..12) {
                0 => prop_assert_eq!(bench.read(0x000), 0x4e49_5431),
                1 => {
                    prop_assert_eq!(bench.read(0x004), 16 | 32 << 8 | 4 << 16 | 13 << 20 | 7 << 24);
                    prop_assert_eq!(bench.read(0x018), 9);
                }
                2 => {
                    let index = rng.gen_range(0..13);
                    prop_assert_eq!(bench.read(0x20 + 4 * index), 0x5000_0000 | u32::from(index));
                }
                3 => {
                    let addr = 4 * [
                        rng.gen_range(0x40..0x45), 0x4c, rng.gen_range(0x80..0x8a),
                        rng.gen_range(0x100..0x180), rng.gen_range(0x180..0x1c0),
                        rng.gen_range(0x200..0x400),
                    ][rng.gen_range(0..6)];
                    let slave = match addr {
                        0x100..=0x110 | 0x800..=0xfff => "mailbox",
                        0x600..=0x6ff => "stats",
                        _ => "steer",
                    };
                    let be = rng.gen_range(0..16);
                    bench.slave_log.clear();
                    let got = bench.access(true, addr, data, be);
                    prop_assert_eq!(&bench.slave_log, &[(slave, true, addr, data, be)]);
                    prop_assert_eq!(got, u32::from(addr) ^ 0xdead_beef);
                    prop_assert_eq!(bench.read(addr), u32::from(addr) ^ 0xdead_beef);
                }
                4 => {
                    let unlisted =
                        [0x1a8, 0x1c, 0x54, 0x68, 0x114, 0x11c, 0x134, 0x228, 0x700, 0x1000];
                    prop_assert_eq!(bench.read(unlisted[rng.gen_range(0..10)]), 0);
                }
                5 => {
                    let be = if rng.gen() { 15 } else { rng.gen_range(0..15) };
                    bench.access(true, 0x64, data, be);
                    if be == 15 {
                        max_frame = data & 0xffff;
                    }
                    prop_assert_eq!(bench.read(0x64), max_frame);
                    prop_assert_eq!(bench.block.get("max_frame"), u64::from(max_frame));
                }
                6 => {
                    let i = rng.gen_range(0..3);
                    ctx[i] = data;
                    bench.access(true, 0x120 + 4 * i as u16, data, 15);
                    prop_assert_eq!(bench.read(0x120 + 4 * i as u16), data);
                }
                7 | 8 => {
                    bench.ctx_log.clear();
                    let stopped = rng.gen_ratio(1, 4);
                    let by = ["blocked", "flush"][rng.gen_range(0..2)];
                    bench.block.set(by, stopped.into());
                    bench.access(true, 0x12c, data, 15);
                    // Nothing changes under way.
                    bench.access(true, 0x120, !ctx[0], 15);
                    while bench.read(0x12c) & 1 == 1 {
                        bench.step();
                    }
                    let base = u64::from(ctx[1]) << 32 | u64::from(ctx[0]);
                    let p = ctx[2];
                    if stopped {
                        prop_assert!(bench.ctx_log.is_empty());
                        bench.access(true, 0x120, ctx[0], 15);
                    } else if data >> 8 & 3 == 3 {
                        let vector = u64::from(data & 0xff);
                        prop_assert_eq!(&bench.ctx_log, &[(3, 0, vector, 0, 0, 0, 0, 0)]);
                    } else {
                        prop_assert_eq!(&bench.ctx_log, &[(
                            u64::from(data >> 8 & 3), u64::from(data >> 16 & 1),
                            u64::from(data & 0xff), base, u64::from(p & 15),
                            u64::from(p >> 8 & 0xff), u64::from(p >> 16 & 3),
                            u64::from(p >> 18 & 0x1ff),
                        )]);
                    }
                    if bench.read(0x120) != ctx[0] {
                        bench.access(true, 0x120, ctx[0], 15); // it ended before the write
                    }
                    bench.block.set(by, 0);
                }
                9 => {
                    bench.raised = 0;
                    bench.acked = 0;
                    let stopped = rng.gen_ratio(1, 3);
                    bench.block.set("blocked", stopped.into());
                    bench.access(true, 0x60, data, 15);
                    bench.access(true, 0x10, data, 15);
                    bench.step();
                    bench.step();
                    let status = bench.read(0x0c);
                    prop_assert_eq!(status & 1, stopped.into());
                    bench.block.set("blocked", 0);
                    prop_assert_eq!(bench.raised, if stopped { 0 } else { data & 1 });
                    prop_assert_eq!(bench.acked, data & 1);
                }
                10 => {
                    // Every interrupt source, alone or together; the tick may join in.
                    bench.access(true, 0x08, 0x7f, 15);
                    let sources = ["irq_reset", "aq_db_written", "aenq_head_db_written",
                        "intr_mask_written", "", "link_up", "irq_flr"];
                    let mut expected = 0;
                    for (i, name) in sources.iter().enumerate() {
                        if i != 4 && rng.gen_ratio(1, 3) {
                            let value = if i == 5 { 1 - bench.block.get("link_up") } else { 1 };
                            bench.block.set(*name, value);
                            expected |= 1 << i;
                        }
                    }
                    bench.step();
                    for (i, name) in sources.iter().enumerate() {
                        if i != 4 && i != 5 {
                            bench.block.set(*name, 0);
                        }
                    }
                    bench.step();
                    let pending = bench.read(0x08);
                    prop_assert_eq!(pending & !0x10, expected);
                    prop_assert_eq!(bench.block.get("irq") == 1, pending != 0);
                    bench.access(true, 0x08, 1, 15);
                    prop_assert_eq!(bench.read(0x08) & !0x10, expected & !1);
                    bench.access(true, 0x08, 0x7f, 15);
                }
                _ => {
                    // A reset of the core ends a command that is under way.
                    bench.deaf = true;
                    bench.access(true, 0x12c, data & !0x300, 15);
                    prop_assert_eq!(bench.read(0x12c), 1);
                    bench.block.set("core_reset", 1);
                    bench.step();
                    bench.step();
                    bench.block.set("core_reset", 0);
                    prop_assert_eq!(bench.read(0x12c), 0);
                    bench.deaf = false;
                }
            }
        }
        // Time and tick: 5 cycles a microsecond, 1000 of them a tick.
        bench.access(true, 0x08, 0x7f, 15);
        let (from, start) = (bench.read(0x14), bench.block.cycles());
        let mut ticks = 0;
        while bench.block.cycles() - start < 11_000 {
            if bench.read(0x08) & 0x10 != 0 {
                ticks += 1;
                bench.access(true, 0x08, 0x10, 15);
            }
        }
        let micros = u64::from(bench.read(0x14) - from);
        prop_assert!(micros.abs_diff((bench.block.cycles() - start) / 5) <= 2);
        prop_assert!((2..=3).contains(&ticks));
    }
}
