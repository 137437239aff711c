//! A host that does anything at all: the firmware neither panics nor wedges, gives the hardware nothing it can't take, and works
//! after a reset.

mod card;

use card::*;
use nitor_abi::mgmt::{self, CtxKind};
use proptest::prelude::*;

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
