//! Formal proofs of blocks. Yosys turns a block with its properties (see [nitor_hdl::proofs]) into
//! SMT, which z3 decides. Where induction on the properties alone is too weak, ABC's
//! property-directed reachability finds the invariant, on the same netlist.
//!
//! `make prove` runs them; they need `tools/setup --prove`.

mod engine;

use engine::{cells, emitted, equivalent, prove, Method};
use nitor_hdl::common::ram::{BankedRam, BlockRam, ByteRam, LutRam, RowPairRam};
use nitor_hdl::proofs::*;
use nitor_rtl::prelude::Bits;

macro_rules! proofs {
    ($($name:ident: $block:expr, $method:expr;)*) => {$(
        #[test]
        #[ignore = "run by make prove"]
        fn $name() {
            prove(stringify!($name), || $block, $method);
        }
    )*

    /// They keep up with the blocks they speak of, proved or not.
    #[test]
    fn all_are_emitted() {
        $(emitted(stringify!($name), || $block);)*
    }};
}

proofs! {
    fifo_counts: FifoCounts::default(), Method::Reachability { depth: 8 };
    fifo_order: FifoOrder::default(), Method::Reachability { depth: 8 };
    block_fifo_order: BlockFifoOrder::default(), Method::Reachability { depth: 8 };
    skid_counts: SkidCounts::default(), Method::Induction { depth: 3 };
    skid_order: SkidOrder::default(), Method::Reachability { depth: 8 };
    crossing_order: CrossingOrder::default(), Method::Reachability { depth: 8 };
    fifo_deep_counts: FifoDeepCounts::default(), Method::Reachability { depth: 8 };
    arbiter_inline_one_grant: InlineGrant::default(), Method::Reachability { depth: 8 };
    arbiter_inline_no_starvation: InlineFair::default(), Method::Reachability { depth: 8 };
    messages_masked_or_ended: MessageRules::new(false), Method::Bounded { depth: 27 };
    messages_masked_or_ended_small: MessageRules::new(true), Method::Bounded { depth: 27 };
    readless_life: ReadlessLife::new(false), Method::Reachability { depth: 8 };
    readless_life_small: ReadlessLife::new(true), Method::Reachability { depth: 8 };
    life_ends: LifeEnds::new(false), Method::Bounded { depth: 20 };
    life_ends_small: LifeEnds::new(true), Method::Bounded { depth: 20 };
    op_tracker_counts: TrackerCounts::default(), Method::Reachability { depth: 8 };
    read_late: ReadLate::new(), Method::Bounded { depth: 28 };
    read_tags: ReadTags::new(), Method::Bounded { depth: 22 };
    request_order: OrderFree::default(), Method::Induction { depth: 2 };
    rx_order: RxOrder::new(false), Method::Bounded { depth: 12 };
    guard_first: FirstLowest::default(), Method::Induction { depth: 5 };
    guard_ranges: RangesCount::default(), Method::Bounded { depth: 14 };
    ring_pointers: RingPointers::default(), Method::Bounded { depth: 24 };
}

/// What is claimed can fail: a FIFO that is said to hold one word less than it does.
#[test]
#[ignore = "run by make prove"]
fn a_wrong_claim_is_refuted() {
    let refuted = std::panic::catch_unwind(|| {
        prove("fifo_wrong", FifoWrong::default, Method::Reachability { depth: 8 });
    });
    assert!(refuted.is_err());
}

/// Yosys makes flip-flops of a memory that does not fit its rules, without a word.
#[test]
#[ignore = "run by make prove"]
fn memories_are_memories() {
    let check =
        |name: &str, cells: std::collections::BTreeMap<String, usize>, expected: [usize; 3]| {
            let count = |kind: &str| cells.get(kind).copied().unwrap_or(0);
            let found = ["DP16KD", "TRELLIS_DPR16X4", "TRELLIS_FF"].map(count);
            assert_eq!(found, expected, "{name}: {cells:?}");
        };
    check("lut", cells("lut_ram", LutRam::<Bits<32>, 4>::default), [0, 8, 0]);
    check("block", cells("block_ram", BlockRam::<Bits<32>, 9>::default), [1, 0, 0]);
    check("byte", cells("byte_ram", ByteRam::<32, 4, 9>::default), [1, 0, 0]);
    check("banked", cells("banked_ram", BankedRam::<128, 16, 9>::default), [8, 0, 1]);
    check("rows", cells("row_pair_ram", RowPairRam::<128, 9>::default), [8, 0, 1]);
}

macro_rules! equivalences {
    ($($name:ident: $block:expr;)*) => {$(
        #[test]
        #[ignore = "run by make prove"]
        fn $name() {
            equivalent(stringify!($name), || $block);
        }
    )*};
}

// Blocks without memories: Yosys' models of those are no part of this.
equivalences! {
    same_config: nitor_hdl::pcie::config::Config::new(17, 20, false);
    same_credit: nitor_hdl::link::credit::Credit::default();
    same_gmii_tx: nitor_hdl::eth::gmii_tx::GmiiTx::default();
    same_inline: nitor_hdl::pcie::inline::InlineWrite::<128>::default();
    same_narrow: nitor_hdl::eth::gear::Narrow::<128>::default();
    same_turn: nitor_hdl::eth::turn::Turn::default();
    same_widen: nitor_hdl::eth::gear::Widen::<128>::default();
    same_udp: nitor_hdl::link::udp::LinkUdp::default();
}
