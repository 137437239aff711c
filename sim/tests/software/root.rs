//! The root complex against a card in software: reads return the memory's contents, however
//! completions are split, delayed and reordered; faults have the effect they name and no other.

use std::cell::RefCell;
use std::rc::Rc;

use crate::card::{End, Log, Op, SoftCard};
use nitor_sim::checker::Rule;
use nitor_sim::completer::{CompleterConfig, Latency};
use nitor_sim::faults::{self, Fault, When};
use nitor_sim::iommu::Permission;
use nitor_sim::memory::Block;
use nitor_sim::tlp::{ByteEnables, Header, Status};
use nitor_sim::{HostConfig, World, CARD_ID, REACTION};
use proptest::prelude::*;

/// Ends in the middle of a page.
const MEMORY: usize = (16 << 10) - 96;
/// Where [`Iommu`](nitor_sim::iommu::Iommu) begins.
const IOVA: u64 = 0x10_0000_0000;

/// A world with one software card and [`MEMORY`] bytes of memory for it at [`IOVA`].
fn world(
    plan: Vec<(u64, Op)>,
    tags: usize,
    seed: u64,
    config: HostConfig,
) -> (World, Rc<RefCell<Log>>, Rc<Block>) {
    let (card, log) = SoftCard::new(plan, tags);
    let mut world = World::new(seed);
    world.add_host_with(card, config).unwrap();
    let block = Block::new(MEMORY, 4096);
    block.write(0, &(0..MEMORY).map(|i| ((i * 31) >> 3) as u8).collect::<Vec<_>>());
    let root = &mut world.host_mut(0).root;
    assert_eq!(root.iommu.map(CARD_ID, &block, 4096, Permission::ReadWrite), IOVA);
    let limits = &mut root.checker.limits;
    (limits.bus_master_off, limits.extended_tags_off) = (None, None);
    (world, log, block)
}

fn contents(block: &Block) -> Vec<u8> {
    let mut bytes = vec![0; block.len()];
    block.read(0, &mut bytes);
    bytes
}

fn reads(count: u64, len: u32) -> Vec<(u64, Op)> {
    (0..count).map(|n| (0, Op::Read { iova: IOVA + n * u64::from(len), len })).collect()
}

/// A DMA operation that breaks no rule, within the memory.
fn op(max_payload: u32, max_read: u32) -> impl Strategy<Value = Op> {
    let place = |max: u32| {
        (0..MEMORY as u64, 1..=max).prop_map(move |(at, len)| {
            // Neither across a page nor over the largest payload counted in dwords.
            let room = (4096 - at % 4096).min(MEMORY as u64 - at) as u32;
            (IOVA + at, len.min(room).min(max - (at % 4) as u32))
        })
    };
    prop_oneof![
        place(max_read).prop_map(|(iova, len)| Op::Read { iova, len }),
        (place(max_payload), any::<u8>()).prop_map(|((iova, len), salt)| {
            let bytes = (0..len).map(|i| (i as u8).wrapping_mul(7) ^ salt).collect();
            Op::Write { iova, bytes }
        }),
    ]
}

fn completer() -> impl Strategy<Value = CompleterConfig> {
    (0u64..400, 0u64..400, any::<bool>(), 0.0..1.0, 0u64..40, any::<bool>()).prop_map(
        |(low, more, wide, split, gap, reorder)| CompleterConfig {
            latency: Latency::Uniform(low, low + more),
            boundary: if wide { 128 } else { 64 },
            split,
            gap,
            reorder,
            ..CompleterConfig::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn reads_see_memory_as_the_writes_before_them_left_it(
        ops in prop::collection::vec((0u64..500, op(256, 512)), 1..60),
        completer in completer(),
        tags in 1usize..64,
        seed: u64,
    ) {
        let boundary = u64::from(completer.boundary);
        let in_order = !completer.reorder;
        let mut plan = ops;
        plan.sort_by_key(|&(at, _)| at);
        let mut config = HostConfig::new(128);
        config.root.completer = completer;
        let (mut world, log, block) = world(plan.clone(), tags, seed, config);
        let mut model = contents(&block);
        world.step(200_000);
        world.assert_clean();
        let log = log.borrow();
        let mut number = 0;
        for (_, op) in plan {
            match op {
                Op::Write { iova, bytes } => {
                    model[(iova - IOVA) as usize..][..bytes.len()].copy_from_slice(&bytes);
                }
                Op::Read { iova, len } => {
                    let expected = &model[(iova - IOVA) as usize..][..len as usize];
                    prop_assert_eq!(&log.ends[&number], &End::Data(expected.to_vec()));
                    let mut at = iova;
                    for &(_, len) in &log.pieces[&number] {
                        at += u64::from(len);
                        prop_assert!(len <= 256);
                        prop_assert!(at % boundary == 0 || at == iova + u64::from(log.pieces[&number][0].0));
                    }
                    number += 1;
                }
                _ => unreachable!(),
            }
        }
        prop_assert_eq!(log.ends.len(), number);
        prop_assert_eq!(contents(&block), model);
        prop_assert_eq!(world.host(0).root.reads_outstanding(), 0);
        if in_order {
            prop_assert!(log.order.is_sorted());
        }
    }

    #[test]
    fn a_window_changes_nothing(
        ops in prop::collection::vec((0u64..500, op(256, 512)), 1..40),
        window in 1..=REACTION,
        seed: u64,
    ) {
        let run = |window| {
            let mut plan = ops.clone();
            plan.sort_by_key(|&(at, _)| at);
            let (mut world, log, _) = world(plan, 8, seed, HostConfig::new(128));
            world.host_mut(0).root.keep_stamps(true);
            world.set_window(window);
            world.step(20_000);
            let stamps = world.host_mut(0).root.take_stamps();
            let arrived = log.borrow().arrived.clone();
            (stamps, arrived, world.host(0).root.stats)
        };
        prop_assert_eq!(run(window), run(REACTION));
    }
}

#[test]
fn answers_come_out_of_order_between_tags_and_another_seed_gives_another_order() {
    let order = |seed| {
        let (mut world, log, _) = world(reads(64, 64), 64, seed, HostConfig::new(128));
        world.step(2_000);
        let order = log.borrow().order.clone();
        order
    };
    assert!(!order(1).is_sorted());
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
}

#[test]
fn reads_take_as_long_as_configured_and_are_split() {
    let mut config = HostConfig::new(128);
    config.root.completer =
        CompleterConfig { latency: Latency::Fixed(250), split: 1.0, ..CompleterConfig::default() };
    let (mut world, log, _) = world(reads(1, 512), 1, 3, config);
    world.step(1_000);
    let log = log.borrow();
    assert_eq!(log.arrived[0].0, 250);
    assert!(log.pieces[&0].len() > 2, "{:?}", log.pieces);
}

/// Runs 16 reads of 256 bytes with one fault in the sixth.
fn with_fault(fault: Fault) -> (World, Rc<RefCell<Log>>) {
    let mut config = HostConfig::new(128);
    config.root.completer.split = 1.0;
    let (mut world, log, _) = world(reads(16, 256), 32, 5, config);
    let root = &mut world.host_mut(0).root;
    let rule = root.faults.add(faults::Rule::new(fault, When::Nth(5)));
    world.step(20_000);
    assert_eq!(world.host(0).root.faults.usage(rule), faults::Use { seen: 16, used: 1 });
    world.assert_clean();
    (world, log)
}

#[test]
fn faults_hit_the_read_they_are_for_and_no_other() {
    for (fault, end) in [
        (Fault::Poison, Some(End::Poisoned)),
        (Fault::UnsupportedRequest, Some(End::Status(Status::UnsupportedRequest))),
        (Fault::CompleterAbort, Some(End::Status(Status::CompleterAbort))),
        (Fault::Drop, None),
    ] {
        let (_, log) = with_fault(fault);
        let log = log.borrow();
        assert_eq!(log.ends.get(&5), end.as_ref(), "{fault:?}");
        let good = log.ends.values().filter(|end| matches!(end, End::Data(_))).count();
        assert_eq!(good, 15, "{fault:?}");
        assert_eq!(log.unexpected, 0);
    }
}

#[test]
fn late_and_twice() {
    let (_, log) = with_fault(Fault::Delay(5_000));
    assert_eq!(log.borrow().order.last(), Some(&5));
    let (_, log) = with_fault(Fault::Duplicate);
    assert_eq!(log.borrow().ends.len(), 16);
    assert_eq!(log.borrow().unexpected, 1);
}

#[test]
fn the_iommu_answers_and_drops_what_is_not_mapped() {
    let outside = IOVA + MEMORY as u64;
    let plan = vec![
        (0, Op::Read { iova: outside - 4, len: 8 }),
        (0, Op::Write { iova: outside - 4, bytes: vec![1; 8] }),
        (0, Op::Read { iova: outside - 4, len: 4 }),
    ];
    let (mut world, log, block) = world(plan, 4, 1, HostConfig::new(128));
    let before = contents(&block);
    world.step(1_000);
    assert_eq!(log.borrow().ends[&0], End::Status(Status::UnsupportedRequest));
    assert_eq!(log.borrow().ends[&1], End::Data(before[MEMORY - 4..].to_vec()));
    assert_eq!(contents(&block), before);
    let stats = world.host(0).root.stats;
    assert_eq!((stats.iommu_read_faults, stats.iommu_write_faults), (1, 1));
    let rules: Vec<_> = world.violations().map(|(_, v)| v.rule).collect();
    assert_eq!(rules, [Rule::Unmapped, Rule::Unmapped]);
}

#[test]
fn a_card_that_does_not_answer_is_given_up() {
    use nitor_sim::requester::{Request, RequestError};
    let (mut world, _, _) = world(Vec::new(), 1, 1, HostConfig::new(128));
    let answer = world.request(0, &Request::ConfigRead { offset: 0 });
    assert_eq!(answer, Err(RequestError::Timeout));
    assert_eq!(world.now(), 12_500 + REACTION);
}

/// The specification has 0 there; a card can't but take it.
#[test]
fn a_read_of_nothing_may_be_answered_with_another_lower_address() {
    for empty_lower in [0, 3] {
        let nothing = ByteEnables { first: 0, last: 0 };
        let header = Header::mem_read(CARD_ID, 9, IOVA + 0x44, 1, nothing);
        let plan = vec![(0, Op::Raw { header, payload: vec![] })];
        let mut config = HostConfig::new(128);
        config.root.completer.empty_lower = empty_lower;
        let (mut world, log, _) = world(plan, 1, 1, config);
        world.step(1_000);
        world.assert_clean();
        let (_, answer) = log.borrow().arrived[0];
        assert_eq!(answer.completion_fields().lower_address, 0x44 | empty_lower);
        assert_eq!(answer.payload_len(), 4);
    }
}
