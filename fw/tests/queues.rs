//! Creating and destroying queues.

mod card;

use card::*;
use nitor_abi::admin::{
    CreateCq, CreateCqAnswer, CreateSq, CreateSqAnswer, DestroyCq, DestroySq, Direction, Opcode,
    Status, NO_VECTOR,
};
use nitor_abi::bar;
use nitor_abi::feature::Llq;
use nitor_abi::mgmt::{CtxKind, CtxParam};

const TX: u8 = Direction::Tx as u8;
const RX: u8 = Direction::Rx as u8;

fn cq(entry_words: u8, vector: u32) -> CreateCq {
    CreateCq { interrupt_mode: true, entry_words, depth: 1024, vector, base: RINGS }
}

fn sq(direction: u8, cq_idx: u16) -> CreateSq {
    CreateSq {
        direction,
        placement: 1,
        contiguous: true,
        cq_idx,
        depth: 1024,
        base: RINGS + 64,
        ..Default::default()
    }
}

trait Queues {
    fn create_cq(&mut self, create: CreateCq) -> Result<CreateCqAnswer, Status>;
    fn create_sq(&mut self, create: CreateSq) -> Result<CreateSqAnswer, Status>;
    fn destroy_cq(&mut self, cq_idx: u16) -> Result<(), Status>;
    fn destroy_sq(&mut self, direction: u8, sq_idx: u16) -> Result<(), Status>;
    fn pair(&mut self, direction: u8) -> (u16, u16);
}

impl Queues for Bench {
    fn create_cq(&mut self, create: CreateCq) -> Result<CreateCqAnswer, Status> {
        // As many bytes as drivers copy; what is behind is stale.
        self.submit(Opcode::CreateCq as u8, &create.to_bytes(), 20);
        self.ring();
        let answer = self.answer().unwrap().1?;
        Ok(CreateCqAnswer::from_bytes(answer.first_chunk().unwrap()))
    }

    fn create_sq(&mut self, create: CreateSq) -> Result<CreateSqAnswer, Status> {
        self.submit(Opcode::CreateSq as u8, &create.to_bytes(), 36);
        self.ring();
        let answer = self.answer().unwrap().1?;
        Ok(CreateSqAnswer::from_bytes(answer.first_chunk().unwrap()))
    }

    fn destroy_cq(&mut self, cq_idx: u16) -> Result<(), Status> {
        self.submit(Opcode::DestroyCq as u8, &DestroyCq { cq_idx }.to_bytes(), 8);
        self.ring();
        self.answer().unwrap().1.map(|_| ())
    }

    fn destroy_sq(&mut self, direction: u8, sq_idx: u16) -> Result<(), Status> {
        self.submit(Opcode::DestroySq as u8, &DestroySq { sq_idx, direction }.to_bytes(), 8);
        self.ring();
        self.answer().unwrap().1.map(|_| ())
    }

    fn pair(&mut self, direction: u8) -> (u16, u16) {
        let words = if direction == TX { 2 } else { 4 };
        let cq = self.create_cq(cq(words, 1)).unwrap().cq_idx;
        (self.create_sq(sq(direction, cq)).unwrap().sq_idx, cq)
    }
}

#[test]
fn queues_reach_the_hardware_as_commanded() {
    let mut bench = Bench::new();
    let answer = bench.create_cq(cq(4, 3)).unwrap();
    assert_eq!(
        answer,
        CreateCqAnswer {
            cq_idx: 0,
            actual_depth: 1024,
            numa_register: 0,
            head_doorbell: 0,
            interrupt_register: bar::interrupt(3)
        }
    );
    let answer = bench.create_sq(sq(RX, 0)).unwrap();
    assert_eq!(answer, CreateSqAnswer { doorbell: 0x1400, ..Default::default() });
    let answer =
        bench.create_cq(CreateCq { depth: 512, base: RINGS + 128, ..cq(2, NO_VECTOR) }).unwrap();
    assert_eq!((answer.cq_idx, answer.interrupt_register), (16, 0x1c00));
    let answer = bench.create_sq(CreateSq { depth: 512, ..sq(TX, 16) }).unwrap();
    assert_eq!(answer, CreateSqAnswer { doorbell: 0x1000, ..Default::default() });
    bench.destroy_sq(TX, 0).unwrap();

    let param = CtxParam::default();
    let context = |kind: CtxKind, index, base, param| Context {
        kind: kind as u8,
        index,
        destroy: false,
        base,
        param,
    };
    assert_eq!(
        bench.card.contexts,
        [
            context(
                CtxKind::Cq,
                0,
                RINGS,
                CtxParam { log_depth: 10, log_entry: 1, vector: 3, ..param }
            ),
            context(CtxKind::RxSq, 0, RINGS + 64, CtxParam { log_depth: 10, cq: 0, ..param }),
            context(
                CtxKind::Cq,
                16,
                RINGS + 128,
                CtxParam { log_depth: 9, no_vector: true, ..param }
            ),
            context(CtxKind::TxSq, 0, RINGS + 64, CtxParam { log_depth: 9, cq: 16, ..param }),
            Context { destroy: true, ..context(CtxKind::TxSq, 0, 0, param) },
        ]
    );
}

#[test]
fn every_pair_exists_in_either_order_of_creation() {
    for order in [[TX, RX], [RX, TX]] {
        let mut bench = Bench::new();
        for direction in order {
            for q in 0..u16::from(PAIRS) {
                let (sq_idx, cq_idx) = bench.pair(direction);
                assert_eq!(sq_idx, q);
                // Who takes one number for the other means the same RX queue.
                assert_eq!(cq_idx, if direction == RX { q } else { q + 16 });
            }
        }
        assert_eq!(bench.create_cq(cq(2, 1)), Err(Status::ResourceAllocationFailure));
        assert_eq!(bench.create_cq(cq(4, 1)), Err(Status::ResourceAllocationFailure));
        assert_eq!(bench.card.existing(CtxKind::Cq).len(), 32);
        for direction in order {
            for q in 0..16 {
                bench.destroy_sq(direction, q).unwrap();
                assert_eq!(bench.destroy_sq(direction, q), Err(Status::IllegalParameter));
            }
        }
        for cq in 0..32 {
            bench.destroy_cq(cq).unwrap();
            assert_eq!(bench.destroy_cq(cq), Err(Status::IllegalParameter));
        }
        for kind in [CtxKind::Cq, CtxKind::TxSq, CtxKind::RxSq] {
            assert!(bench.card.existing(kind).is_empty());
        }
    }
}

#[test]
fn no_more_submission_queues_than_there_are() {
    let mut bench = Bench::new();
    for _ in 0..16 {
        bench.pair(TX);
    }
    // A completion queue of a kind that either direction can use.
    let cq = bench.create_cq(cq(4, 1)).unwrap().cq_idx;
    assert_eq!(bench.create_sq(sq(TX, cq)), Err(Status::ResourceAllocationFailure));
    bench.destroy_sq(TX, 7).unwrap();
    assert_eq!(bench.create_sq(sq(TX, cq)).unwrap().sq_idx, 7);
}

#[test]
fn completion_queues_the_card_cannot_have_are_refused() {
    let mut bench = Bench::new();
    let good = cq(4, 1);
    for bad in [
        CreateCq { depth: 0, ..good },
        CreateCq { depth: 1, ..good },
        CreateCq { depth: 1000, ..good },
        CreateCq { depth: 8192, ..good },
        CreateCq { depth: 0x8000, ..good },
        CreateCq { entry_words: 0, ..good },
        CreateCq { entry_words: 3, ..good },
        CreateCq { entry_words: 16, ..good },
        CreateCq { base: RINGS + 32, ..good },
        CreateCq { base: (1 << 48) - 1024 * 8, ..good },
        CreateCq { vector: u32::from(LAST_VECTOR) + 1, ..good },
        CreateCq { vector: 0x0101, ..good },
        CreateCq { vector: NO_VECTOR - 1, ..good },
    ] {
        assert_eq!(bench.create_cq(bad), Err(Status::IllegalParameter), "{bad:?}");
    }
    assert!(bench.card.contexts.is_empty());
    for good in [
        CreateCq { depth: 2, ..good },
        CreateCq { depth: 4096, ..good },
        CreateCq { entry_words: 8, ..good },
        CreateCq { base: (1 << 48) - 1024 * 16, ..good },
        CreateCq { vector: LAST_VECTOR.into(), ..good },
        // Without interrupts the vector does not count.
        CreateCq { interrupt_mode: false, vector: 0x1234_5678, ..good },
    ] {
        bench.create_cq(good).unwrap();
    }
    assert!(bench.card.contexts[5].param.no_vector);
}

#[test]
fn submission_queues_the_card_cannot_have_are_refused() {
    let mut bench = Bench::new();
    let rx = bench.create_cq(cq(4, 1)).unwrap().cq_idx;
    let tx = bench.create_cq(cq(2, 1)).unwrap().cq_idx;
    bench.card.contexts.clear();
    let good = sq(RX, rx);
    for bad in [
        CreateSq { direction: 0, ..good },
        CreateSq { direction: 3, ..good },
        CreateSq { placement: 0, ..good },
        CreateSq { placement: 3, base: 0, ..good },
        CreateSq { completion_policy: 1, ..good },
        CreateSq { contiguous: false, ..good },
        CreateSq { cq_idx: 5, ..good },
        CreateSq { cq_idx: 0x100, ..good },
        CreateSq { cq_idx: 0xffff, ..good },
        // Too short entries.
        CreateSq { cq_idx: tx, ..good },
        CreateSq { depth: 1, ..good },
        CreateSq { depth: 1023, ..good },
        // Could overflow.
        CreateSq { depth: 2048, ..good },
        CreateSq { base: RINGS + 16, ..good },
    ] {
        assert_eq!(bench.create_sq(bad), Err(Status::IllegalParameter), "{bad:?}");
    }
    assert!(bench.card.contexts.is_empty());
    bench.create_sq(good).unwrap();
    assert_eq!(bench.create_sq(good), Err(Status::IllegalParameter), "a queue in use");
    bench.create_sq(CreateSq { depth: 512, ..sq(TX, tx) }).unwrap();
}

/// A queue's lines are at its number's place; in host memory beside them, others.
#[test]
fn lines() {
    let mut bench = Bench::new();
    bench.card.log_lines = Some(9);
    bench.reset();
    let cqs: Vec<u16> = (0..6).map(|_| bench.create_cq(cq(2, 1)).unwrap().cq_idx).collect();
    let mut cqs = cqs.into_iter();
    let pushed = |cq_idx, depth| CreateSq { placement: 3, base: 0, depth, ..sq(TX, cq_idx) };
    let mut next = || cqs.next().unwrap();
    let first = next();
    // Not before it was chosen how.
    assert_eq!(bench.create_sq(pushed(first, 512)), Err(Status::IllegalParameter));
    let mut llq = Llq { header_location_enabled: 1, entry_size_enabled: 1, ..Llq::default() };
    (llq.descs_before_header_enabled, llq.stride_enabled) = (2, 2);
    bench.set(4, &llq.to_bytes()).unwrap();
    for bad in
        [pushed(first, 1024), pushed(first, 300), CreateSq { direction: RX, ..pushed(first, 512) }]
    {
        assert_eq!(bench.create_sq(bad), Err(Status::IllegalParameter), "{bad:?}");
    }
    bench.card.contexts.clear();
    let made = [
        bench.create_sq(pushed(first, 512)).unwrap(),
        bench.create_sq(sq(TX, next())).unwrap(),
        bench.create_sq(CreateSq { base: 0xdead_beef, ..pushed(next(), 256) }).unwrap(),
    ];
    assert_eq!(made.map(|m| (m.sq_idx, m.llq_descriptors)), [(0, 0), (1, 0), (2, 2 * 512 * 128)]);
    let contexts: Vec<_> = bench
        .card
        .contexts
        .iter()
        .map(|c| (c.base, c.param.log_entry, c.param.log_depth))
        .collect();
    assert_eq!(contexts, [(0, 1, 9), (RINGS + 64, 0, 10), (2 * 512 * 128, 1, 8)]);
    // Lines of 256 bytes are half as many.
    llq.entry_size_enabled = 4;
    bench.set(4, &llq.to_bytes()).unwrap();
    let wide = next();
    assert_eq!(bench.create_sq(pushed(wide, 512)), Err(Status::IllegalParameter));
    let made = bench.create_sq(pushed(wide, 256)).unwrap();
    assert_eq!((made.sq_idx, made.llq_descriptors), (3, 3 * 512 * 128));
    assert_eq!(bench.card.contexts.last().unwrap().param.log_entry, 2);
}

#[test]
fn a_completion_queue_takes_its_user_along() {
    let mut bench = Bench::new();
    let (sq_idx, cq_idx) = bench.pair(RX);
    bench.card.contexts.clear();
    bench.destroy_cq(cq_idx).unwrap();
    let kinds: Vec<_> = bench.card.contexts.iter().map(|c| (c.kind, c.destroy)).collect();
    assert_eq!(kinds, [(CtxKind::RxSq as u8, true), (CtxKind::Cq as u8, true)]);
    assert_eq!(bench.destroy_sq(RX, sq_idx), Err(Status::IllegalParameter));
}

#[test]
fn the_default_table_spreads_over_the_queues_there_are() {
    let mut bench = Bench::new();
    let table = |bench: &Bench| bench.card.rss_table();
    assert!(table(&bench).iter().all(Option::is_none));
    for n in 1..=3u8 {
        bench.pair(RX);
        bench.pair(TX);
        let spread: Vec<_> = (0..128).map(|i| Some(i % n)).collect();
        assert_eq!(table(&bench), spread);
    }
    bench.destroy_sq(RX, 1).unwrap();
    let spread: Vec<_> = (0..128).map(|i| Some(i % 2 * 2)).collect();
    assert_eq!(table(&bench), spread);
    bench.reset();
    assert!(table(&bench).iter().all(Option::is_none));
}

#[test]
fn a_context_command_that_never_ends_does_not_wedge() {
    let mut bench = Bench::new();
    bench.pair(TX);
    bench.card.context_stuck = true;
    assert_eq!(bench.destroy_sq(TX, 0), Err(Status::UnknownError));
    assert_eq!(bench.create_cq(cq(2, 1)), Err(Status::UnknownError));
    assert_eq!(bench.fw.faults().context_timeouts, 2);
    bench.reset();
    bench.pair(TX);
    // Numbers start anew.
    assert_eq!(bench.card.existing(CtxKind::TxSq), [0]);
}

/// The host hears that there is no queue, and the number is given away again: what the hardware made late goes before that.
#[test]
fn a_queue_that_is_created_too_late_is_destroyed() {
    let mut bench = Bench::new();
    let words = [(RX, 4), (TX, 2)];
    for (direction, words) in words {
        bench.card.context_takes = 1_500_000;
        assert_eq!(bench.create_cq(cq(words, NO_VECTOR)), Err(Status::UnknownError));
        bench.card.context_takes = 0;
        let (sq_idx, cq_idx) = bench.pair(direction);
        bench.destroy_cq(cq_idx).unwrap();

        // The submission queue alone.
        let queue = bench.create_cq(cq(words, 1)).unwrap().cq_idx;
        assert_eq!(queue, cq_idx, "the number was free");
        bench.card.context_takes = 1_500_000;
        assert_eq!(bench.create_sq(sq(direction, queue)), Err(Status::UnknownError));
        bench.card.context_takes = 0;
        assert_eq!(bench.create_sq(sq(direction, queue)).unwrap().sq_idx, sq_idx);
        bench.destroy_cq(queue).unwrap();
    }
    for kind in [CtxKind::Cq, CtxKind::TxSq, CtxKind::RxSq] {
        assert!(bench.card.existing(kind).is_empty());
    }
    assert_eq!(bench.fw.faults().context_timeouts, 4);
}

/// Until then its number is nobody's.
#[test]
fn a_queue_that_is_destroyed_too_late_can_be_destroyed_again() {
    let mut bench = Bench::new();
    let (sq_idx, cq_idx) = bench.pair(TX);
    bench.card.context_takes = 1_500_000;
    assert_eq!(bench.destroy_sq(TX, sq_idx), Err(Status::UnknownError));
    bench.card.context_takes = 0;
    let (other, _) = bench.pair(TX);
    assert_ne!(other, sq_idx);
    bench.destroy_cq(cq_idx).unwrap();
    assert_eq!(bench.destroy_sq(TX, sq_idx), Err(Status::IllegalParameter));
    assert_eq!(bench.pair(TX).0, sq_idx);
}

/// A reset ends what the hardware was at, too.
#[test]
fn a_reset_forgets_a_late_command() {
    let mut bench = Bench::new();
    bench.card.context_takes = 1_500_000;
    assert_eq!(bench.create_cq(cq(2, NO_VECTOR)), Err(Status::UnknownError));
    bench.card.context_takes = 0;
    bench.reset();
    bench.pair(TX);
    assert!(bench.card.contexts.iter().all(|context| !context.destroy));
}

/// It ends with the last completion queue on it, and a queue begins with a vector that nobody has armed.
#[test]
fn a_vector_does_not_outlive_its_queues() {
    let mut bench = Bench::new();
    let first = bench.create_cq(cq(2, 5)).unwrap().cq_idx;
    assert_eq!(std::mem::take(&mut bench.card.ended), [5]);
    let second = bench.create_cq(cq(4, 5)).unwrap().cq_idx;
    let other = bench.create_cq(cq(4, 6)).unwrap().cq_idx;
    assert_eq!(std::mem::take(&mut bench.card.ended), [6]);
    bench.destroy_cq(first).unwrap();
    assert!(bench.card.ended.is_empty());
    bench.destroy_cq(second).unwrap();
    assert_eq!(std::mem::take(&mut bench.card.ended), [5]);
    bench.destroy_cq(other).unwrap();
    assert_eq!(std::mem::take(&mut bench.card.ended), [6]);
    // The management's vector goes on, and who has none has none.
    for create in [cq(2, 0), cq(2, NO_VECTOR), CreateCq { interrupt_mode: false, ..cq(2, 3) }] {
        let queue = bench.create_cq(create).unwrap().cq_idx;
        bench.destroy_cq(queue).unwrap();
    }
    assert!(bench.card.ended.is_empty());
}
