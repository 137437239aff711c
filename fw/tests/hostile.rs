//! A host that does anything at all: the firmware neither panics nor wedges, gives the hardware nothing it can't take, and works
//! after a reset.

mod card;

use card::*;
use nitor_abi::admin::{ControlBuffer, CreateCq, CreateSq, Opcode, Status};
use nitor_abi::bar::QueueCaps;
use nitor_abi::feature::{AenqConfig, Feature, Mtu};
use nitor_abi::mgmt::{self, CtxKind};
use proptest::prelude::*;

const GET: u8 = Opcode::GetFeature as u8;
/// Behind the last address that there is.
const END: u64 = 1 << 48;

#[derive(Clone, Debug)]
enum Act {
    /// Writes a register.
    Register(usize, u32),
    /// Fills a ring's slot.
    Memory(u8, [u8; 32]),
    Doorbell(u16),
    Poll,
    Pass(u32),
    Reset,
    BusMaster(bool),
    FailDma(usize),
    Command(u8, [u8; 32]),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => (0usize..13, prop_oneof![any::<u32>(), Just(0x40_0020), Just(0)])
            .prop_map(|(register, value)| Act::Register(register, value)),
        2 => (any::<u8>(), any::<[u8; 32]>()).prop_map(|(slot, bytes)| Act::Memory(slot, bytes)),
        2 => any::<u16>().prop_map(Act::Doorbell),
        4 => Just(Act::Poll),
        1 => (0u32..3_000_000).prop_map(Act::Pass),
        1 => Just(Act::Reset),
        1 => any::<bool>().prop_map(Act::BusMaster),
        1 => (0usize..8).prop_map(Act::FailDma),
        8 => (prop_oneof![1u8..12, any::<u8>()], any::<[u8; 32]>())
            .prop_map(|(opcode, bytes)| Act::Command(opcode, bytes)),
    ]
}

proptest! {
    #[test]
    fn survives_anything(acts in prop::collection::vec(act(), 1..60)) {
        let mut bench = Bench::new();
        for act in acts {
            match act {
                Act::Register(register, value) => {
                    bench.card.host_write(mgmt::AQ_BASE_LO + 4 * register as u16, value);
                }
                Act::Memory(slot, bytes) => {
                    let at = AQ + u64::from(slot % 32) * 64;
                    bench.card.bytes(at, 32).copy_from_slice(&bytes);
                }
                Act::Doorbell(tail) => bench.card.host_write(mgmt::AQ_DB, tail.into()),
                Act::Poll => bench.poll(),
                Act::Pass(micros) => bench.card.pass(micros),
                Act::Reset => bench.reset(),
                Act::BusMaster(on) => bench.card.bus_master = on,
                Act::FailDma(times) => bench.card.dma_failures = times,
                Act::Command(opcode, bytes) => {
                    let mut body = [0; 64];
                    body[..32].copy_from_slice(&bytes);
                    bench.submit(opcode, &body, 64);
                    bench.ring();
                }
            }
            for context in &bench.card.contexts {
                let count = if context.kind == CtxKind::Cq as u8 { 2 * PAIRS } else { PAIRS };
                prop_assert!(context.index < count);
                prop_assert!(context.destroy || (1..=12).contains(&context.param.log_depth));
            }
        }
        bench.card.bus_master = true;
        bench.card.dma_failures = 0;
        bench.reset();
        prop_assert!(bench.get(1).is_ok());
    }
}

/// Numbers at which something ends: of so many bits, a little before and behind.
fn edge(bits: u32) -> impl Strategy<Value = u64> {
    let all = u64::MAX >> (64 - bits);
    prop_oneof![
        4 => (0..=bits, -130i64..130)
            .prop_map(move |(bit, off)| (1u128 << bit).wrapping_add(off as u128) as u64 & all),
        1 => any::<u64>().prop_map(move |value| value & all),
    ]
}

fn attributes() -> [u8; 64] {
    let mut body = [0; 64];
    body[17] = Feature::DeviceAttributes as u8;
    body
}

impl Bench {
    fn set_address(&mut self, low: u16, address: u64) {
        self.card.host_write(low, address as u32);
        self.card.host_write(low + 4, (address >> 32) as u32);
    }

    /// Commands of which nobody expects an answer.
    fn shout(&mut self, count: u16) {
        for _ in 0..count {
            self.submit(GET, &attributes(), 64);
        }
        self.ring();
    }

    /// The last command so far is answered, `lost` answers behind the ones that came.
    fn answered_behind(&mut self, lost: u16) -> Result<[u8; 56], Status> {
        self.completed += lost;
        self.answer().expect("an answer").1
    }

    /// Every transfer was of addresses that exist.
    fn in_range(&self) {
        for &(_, address, len) in &self.card.dmas {
            assert!(address + len as u64 <= END, "{len} bytes at {address:#x}");
        }
    }
}

/// The last entries of all addresses, and of those that the card has. What lies behind is lost, and nothing goes to address 0.
#[test]
fn rings_at_the_end_of_all_addresses() {
    for base in [0u64.wrapping_sub(64), 0u64.wrapping_sub(68), END - 64, END - 32] {
        for ring in [mgmt::AQ_BASE_LO, mgmt::ACQ_BASE_LO] {
            let mut bench = Bench::new();
            bench.card.dmas.clear();
            bench.set_address(ring, base);
            bench.shout(2);
            bench.shout(3);
            assert!(bench.card.dmas.iter().all(|dma| dma.1 >= base || dma.1 >= MEMORY));
            bench.in_range();
            bench.set_address(ring, if ring == mgmt::AQ_BASE_LO { AQ } else { ACQ });
            bench.shout(1);
            // A command that was done leaves its place among the answers, one that was not fetched none.
            let lost = if ring == mgmt::AQ_BASE_LO { 0 } else { 5 };
            assert!(bench.answered_behind(lost).is_ok(), "{base:#x}");
        }
        let mut bench = Bench::new();
        bench.set_address(mgmt::AENQ_BASE_LO, base);
        bench.card.host_write(mgmt::AENQ_HEAD_DB, 16);
        let groups = AenqConfig { enabled_groups: 0x11, ..Default::default() };
        bench.set(Feature::AenqConfig as u8, &groups.to_bytes()).unwrap();
        bench.card.dmas.clear();
        for _ in 0..3 {
            bench.card.link_up ^= true;
            bench.card.pass(1_000_000);
            bench.poll();
        }
        assert!(bench.card.dmas.iter().all(|dma| dma.1 >= base));
        bench.in_range();
        assert!(bench.get(1).is_ok());
        // Nothing was posted, so the first event is in the first place.
        bench.set_address(mgmt::AENQ_BASE_LO, AENQ);
        bench.card.pass(1000);
        bench.poll();
        assert_eq!(bench.card.bytes(AENQ, 5)[4], 1);
    }
}

/// A ring that leaves the addresses half way: what can be fetched is done.
#[test]
fn only_the_commands_that_cannot_be_fetched_are_lost() {
    let mut bench = Bench::new();
    // The memory ends three commands behind this.
    let base = MEMORY + MEMORY_LEN as u64 - 3 * 64;
    bench.set_address(mgmt::AQ_BASE_LO, base);
    for id in 0..3u16 {
        let mut command = attributes();
        command[..4].copy_from_slice(&[id as u8, 0, GET, 1]);
        bench.card.bytes(base + 64 * u64::from(id), 64).copy_from_slice(&command);
    }
    bench.card.host_write(mgmt::AQ_DB, 5);
    bench.poll();
    let faults = *bench.fw.faults();
    assert_eq!((faults.commands_lost, faults.answers_lost), (2, 0));
    for _ in 0..3 {
        assert!(bench.answer().unwrap().1.is_ok());
    }
    assert!(bench.answer().is_none());
}

#[derive(Clone, Debug)]
enum Number {
    Ring { which: usize, base: u64, caps: u32, doorbell: u16 },
    Control { opcode: u8, feature: u8, address: u64, length: u32 },
    Cq(CreateCq),
    Sq(CreateSq),
    Mtu(u32),
}

fn number() -> impl Strategy<Value = Number> {
    let ring =
        (0usize..3, edge(64), edge(32), edge(16)).prop_map(|(which, base, caps, doorbell)| {
            Number::Ring { which, base, caps: caps as u32, doorbell: doorbell as u16 }
        });
    let control = (8u8..12, edge(5), edge(48), edge(32)).prop_map(|(opcode, feature, to, len)| {
        Number::Control { opcode, feature: feature as u8, address: to, length: len as u32 }
    });
    let cq = (edge(48), edge(16), edge(32), 0u8..16).prop_map(|(base, depth, vector, words)| {
        let (depth, vector) = (depth as u16, vector as u32);
        Number::Cq(CreateCq { interrupt_mode: true, entry_words: words, depth, vector, base })
    });
    let sq = (edge(48), edge(16), edge(16), 0u8..4).prop_map(|(base, depth, cq, direction)| {
        let placement = if direction == 3 { 3 } else { 1 };
        Number::Sq(CreateSq {
            direction: direction.min(2),
            placement,
            contiguous: true,
            cq_idx: cq as u16,
            depth: depth as u16,
            base,
            ..Default::default()
        })
    });
    let mtu = edge(32).prop_map(|mtu| Number::Mtu(mtu as u32));
    prop_oneof![3 => ring, 2 => control, 2 => cq, 2 => sq, 1 => mtu]
}

proptest! {
    /// Whatever numbers it is told, the firmware's own stay right: it goes on, and no transfer leaves the ring it is for or
    /// the addresses there are.
    #[test]
    fn numbers_at_their_edges_cost_one_command(numbers in prop::collection::vec(number(), 1..40)) {
        let mut bench = Bench::new();
        bench.card.log_lines = Some(9);
        bench.reset();
        let groups = AenqConfig { enabled_groups: 0x11, ..Default::default() };
        bench.set(Feature::AenqConfig as u8, &groups.to_bytes()).unwrap();
        for number in numbers {
            bench.card.dmas.clear();
            match number {
                Number::Ring { which, base, caps, doorbell } => {
                    let registers = [
                        (mgmt::AQ_BASE_LO, mgmt::AQ_CAPS, mgmt::AQ_DB),
                        (mgmt::ACQ_BASE_LO, mgmt::ACQ_CAPS, mgmt::AQ_DB),
                        (mgmt::AENQ_BASE_LO, mgmt::AENQ_CAPS, mgmt::AENQ_HEAD_DB),
                    ];
                    let (low, size, bell) = registers[which];
                    let right = u32::from(QueueCaps { depth: 64, entry_size: 64 });
                    bench.set_address(low, base);
                    bench.card.host_write(size, if caps & 1 == 0 { right } else { caps });
                    bench.card.host_write(bell, doorbell.into());
                    bench.card.pass(1_000_000);
                    bench.poll();
                    for &(_, at, _) in &bench.card.dmas {
                        prop_assert!(at >= base || at >= MEMORY, "{:#x} of a ring at {:#x}", at, base);
                    }
                    bench.in_range();
                    bench.reset();
                    bench.set(Feature::AenqConfig as u8, &groups.to_bytes()).unwrap();
                    continue;
                }
                Number::Control { opcode, feature, address, length } => {
                    let mut body = [0; 64];
                    // The features that have a buffer, mostly.
                    body[17] = [10, 12, 18].get(usize::from(feature)).copied().unwrap_or(feature);
                    body[16] = if opcode == 11 { 1 } else { 0 };
                    body[20..24].copy_from_slice(&[7, 7, 2, 0]);
                    bench.control = Some(ControlBuffer { address, length });
                    bench.submit(opcode, &body, 64);
                }
                Number::Cq(create) => {
                    bench.submit(Opcode::CreateCq as u8, &create.to_bytes(), 20);
                }
                Number::Sq(create) => {
                    bench.submit(Opcode::CreateSq as u8, &create.to_bytes(), 36);
                }
                Number::Mtu(mtu) => {
                    let mut body = [0; 64];
                    body[17] = Feature::Mtu as u8;
                    body[20..24].copy_from_slice(&Mtu { mtu }.to_bytes());
                    bench.submit(Opcode::SetFeature as u8, &body, 64);
                }
            }
            bench.ring();
            bench.in_range();
            // Taken or refused, but answered.
            let answer = bench.answer();
            prop_assert!(answer.is_some());
            prop_assert!(bench.get(1).is_ok());
            for context in bench.card.contexts.iter().filter(|context| !context.destroy) {
                let cq = context.kind == CtxKind::Cq as u8;
                let bytes = if cq { 8 << context.param.log_entry } else { 16u64 };
                prop_assert!((1..=12).contains(&context.param.log_depth));
                prop_assert!(context.base + (bytes << context.param.log_depth) <= END);
            }
            let frame = bench.card.register(mgmt::MAX_FRAME);
            prop_assert!((68 + 22..=9216 + 22).contains(&frame));
        }
    }
}
