//! Submission and completion queues: the state of those that exist, and checks of what a command
//! may create.
//!
//! The firmware chooses the number of a queue. Completion queues with the short entries of TX get
//! numbers from the number of queue pairs on, others from 0. An RX queue has the number of its
//! completion queue, so that a driver that confuses the two still sets up RSS correctly.

use nitor_abi::admin::{
    placement, CreateCq, CreateCqAnswer, CreateSq, CreateSqAnswer, DestroyCq, DestroySq, Direction,
    Entry, Status, NO_VECTOR,
};
use nitor_abi::bar;
use nitor_abi::mgmt::{self, ring, CtxKind, CtxParam};

use crate::admin::{body, Body};
use crate::hw::{Hw, ADDRESS_BITS};
use crate::llq::Lines;
use crate::Life;

/// The most queue pairs: numbers of completion queues have 8 bits.
pub(crate) const MAX_PAIRS: usize = 128;
/// The alignment that the hardware needs of a ring.
const RING_ALIGN: u64 = 64;
/// The smallest depth of a ring, since a full ring has one free place.
const MIN_DEPTH: u16 = 2;
const TX_DESC_LEN: u32 = 16;

#[derive(Clone, Copy)]
struct Cq {
    depth: u16,
    /// Bytes of an entry.
    entry_len: u32,
    vector: Option<u8>,
    /// The submission queue that completes here.
    user: Option<(Direction, u8)>,
}

pub(crate) struct Queues {
    pub lines: Lines,
    pairs: usize,
    max_depth: u16,
    last_vector: u8,
    cqs: [Option<Cq>; 2 * MAX_PAIRS],
    /// Completion queue of each submission queue.
    tx: [Option<u8>; MAX_PAIRS],
    rx: [Option<u8>; MAX_PAIRS],
}

impl Queues {
    pub fn new(limits: &mgmt::Config, lines: &mgmt::Lines) -> Self {
        Queues {
            lines: Lines::new(limits, lines),
            pairs: usize::from(limits.queue_pairs).min(MAX_PAIRS),
            max_depth: 1 << limits.log_max_depth,
            last_vector: limits.last_vector,
            cqs: [None; _],
            tx: [None; _],
            rx: [None; _],
        }
    }

    pub fn pairs(&self) -> u32 {
        self.pairs as u32
    }

    pub fn max_depth(&self) -> u32 {
        self.max_depth.into()
    }

    /// The RX queues that exist.
    pub fn rx_queues(&self) -> impl Iterator<Item = u8> + Clone + '_ {
        (0..self.pairs as u8).filter(|&queue| self.rx[usize::from(queue)].is_some())
    }

    fn submission(&mut self, direction: Direction) -> &mut [Option<u8>] {
        let pairs = self.pairs;
        match direction {
            Direction::Tx => &mut self.tx[..pairs],
            Direction::Rx => &mut self.rx[..pairs],
        }
    }

    fn cq(&mut self, index: u16) -> Result<(u8, &mut Option<Cq>), Status> {
        let cq = self.cqs[..2 * self.pairs].get_mut(usize::from(index));
        match cq {
            Some(cq @ Some(_)) => Ok((index as u8, cq)),
            _ => Err(Status::IllegalParameter),
        }
    }

    /// Drops a vector's pending interrupts, unless a completion queue uses it. Vector 0 is that of
    /// management.
    fn end_vector(&self, hw: &mut Hw<'_>, vector: Option<u8>) -> Result<(), Status> {
        match vector {
            None | Some(0) => Ok(()),
            _ if self.cqs.iter().flatten().any(|cq| cq.vector == vector) => Ok(()),
            Some(vector) => hw.destroy(CtxKind::Vector, vector).map_err(|_| Status::UnknownError),
        }
    }

    /// log2 of the entries of a ring at `base`, if the hardware can use it.
    fn ring(&self, base: u64, depth: u16, entry_len: u32) -> Result<u8, Status> {
        let end = base.checked_add(u64::from(depth) * u64::from(entry_len));
        let good = depth.is_power_of_two()
            && (MIN_DEPTH..=self.max_depth).contains(&depth)
            && base.is_multiple_of(RING_ALIGN)
            && end.is_some_and(|end| end <= 1 << ADDRESS_BITS);
        if good {
            Ok(depth.trailing_zeros() as u8)
        } else {
            Err(Status::IllegalParameter)
        }
    }
}

fn kind(direction: Direction) -> CtxKind {
    match direction {
        Direction::Tx => CtxKind::TxSq,
        Direction::Rx => CtxKind::RxSq,
    }
}

impl Life {
    pub(crate) fn create_cq(&mut self, hw: &mut Hw<'_>, command: &Entry) -> Result<Body, Status> {
        let create = CreateCq::from_bytes(command);
        let queues = &mut self.queues;
        let log_entry = match create.entry_words {
            2 => 0,
            4 => 1,
            8 => 2,
            _ => return Err(Status::IllegalParameter),
        };
        let entry_len = 8 << log_entry;
        let log_depth = queues.ring(create.base, create.depth, entry_len)?;
        let vector = match create.vector {
            _ if !create.interrupt_mode => None,
            NO_VECTOR => None,
            vector if vector <= queues.last_vector.into() => Some(vector as u8),
            _ => return Err(Status::IllegalParameter),
        };

        let (rx_first, tx_first) = (0..queues.pairs, queues.pairs..2 * queues.pairs);
        let mut order = if create.entry_words == 2 {
            tx_first.chain(rx_first)
        } else {
            rx_first.chain(tx_first)
        };
        let index = order
            .find(|&index| queues.cqs[index].is_none())
            .ok_or(Status::ResourceAllocationFailure)?;
        let param = CtxParam {
            log_depth,
            log_entry,
            vector: vector.unwrap_or(0),
            no_vector: vector.is_none(),
            ..Default::default()
        };
        // Whatever the host did to the vector before, the queue does not interrupt before the host
        // unmasks it.
        queues.end_vector(hw, vector)?;
        hw.create(CtxKind::Cq, index as u8, create.base, param)
            .map_err(|_| Status::UnknownError)?;
        queues.cqs[index] = Some(Cq { depth: create.depth, entry_len, vector, user: None });
        Ok(body(
            CreateCqAnswer {
                cq_idx: index as u16,
                actual_depth: create.depth,
                numa_register: 0,
                head_doorbell: 0,
                interrupt_register: vector.map_or(bar::INTERRUPT_NONE, bar::interrupt),
            }
            .to_bytes(),
        ))
    }

    pub(crate) fn create_sq(&mut self, hw: &mut Hw<'_>, command: &Entry) -> Result<Body, Status> {
        let create = CreateSq::from_bytes(command);
        let queues = &mut self.queues;
        let direction =
            Direction::try_from(create.direction).map_err(|_| Status::IllegalParameter)?;
        let pushed = create.placement == placement::DEVICE && direction == Direction::Tx;
        // Lines have a fixed place in the card, so the address has no meaning.
        let base = if pushed { 0 } else { create.base };
        let log_depth = queues.ring(base, create.depth, TX_DESC_LEN)?;
        let (cq_index, cq) = queues.cq(create.cq_idx)?;
        // A completion queue that could overflow is refused, since the card does not learn its head
        // pointer.
        let fits = cq.is_some_and(|cq| {
            cq.user.is_none()
                && cq.depth >= create.depth
                && (direction == Direction::Tx || cq.entry_len >= 16)
        });
        let plain = (pushed || create.placement == placement::HOST)
            && create.completion_policy == 0
            && create.contiguous;
        if !fits || !plain {
            return Err(Status::IllegalParameter);
        }

        let pairs = queues.pairs;
        let own = match direction {
            Direction::Rx => Some(usize::from(cq_index)),
            Direction::Tx => usize::from(cq_index).checked_sub(pairs),
        };
        let submission = &queues.submission(direction);
        let index = own
            .into_iter()
            .chain(0..pairs)
            .find(|&index| submission.get(index) == Some(&None))
            .ok_or(Status::ResourceAllocationFailure)?;
        let (base, place) = if pushed {
            let (offset, kind) = queues.lines.place(index as u8, create.depth)?;
            (u64::from(offset), kind)
        } else {
            (create.base, ring::HOST)
        };
        let param = CtxParam { log_depth, cq: cq_index, log_entry: place, ..Default::default() };
        hw.create(kind(direction), index as u8, base, param).map_err(|_| Status::UnknownError)?;
        queues.submission(direction)[index] = Some(cq_index);
        if let Some(cq) = &mut queues.cqs[usize::from(cq_index)] {
            cq.user = Some((direction, index as u8));
        }
        self.rss.spread(hw, self.queues.rx_queues());
        let doorbell = match direction {
            Direction::Tx => bar::tx_doorbell(index as u8),
            Direction::Rx => bar::rx_doorbell(index as u8),
        };
        let llq_descriptors = if pushed { base as u32 } else { 0 };
        let sq_idx = index as u16;
        let answer = CreateSqAnswer { sq_idx, doorbell, llq_descriptors, llq_headers: 0 };
        Ok(body(answer.to_bytes()))
    }

    pub(crate) fn destroy_sq(&mut self, hw: &mut Hw<'_>, command: &Entry) -> Result<Body, Status> {
        let destroy = DestroySq::from_bytes(command);
        let direction =
            Direction::try_from(destroy.direction).map_err(|_| Status::IllegalParameter)?;
        let index = u8::try_from(destroy.sq_idx).map_err(|_| Status::IllegalParameter)?;
        self.end_sq(hw, direction, index)?;
        Ok([0; _])
    }

    pub(crate) fn destroy_cq(&mut self, hw: &mut Hw<'_>, command: &Entry) -> Result<Body, Status> {
        let destroy = DestroyCq::from_bytes(command);
        let (index, cq) = self.queues.cq(destroy.cq_idx)?;
        let (user, vector) = cq.map_or((None, None), |cq| (cq.user, cq.vector));
        // The driver frees the memory whatever the answer is, so a submission queue that still uses
        // the queue is destroyed first.
        if let Some((direction, user)) = user {
            self.end_sq(hw, direction, user)?;
        }
        hw.destroy(CtxKind::Cq, index).map_err(|_| Status::UnknownError)?;
        self.queues.cqs[usize::from(index)] = None;
        self.queues.end_vector(hw, vector)?;
        Ok([0; _])
    }

    fn end_sq(&mut self, hw: &mut Hw<'_>, direction: Direction, index: u8) -> Result<(), Status> {
        let there = self.queues.submission(direction).get(usize::from(index)).copied().flatten();
        let cq_index = there.ok_or(Status::IllegalParameter)?;
        hw.destroy(kind(direction), index).map_err(|_| Status::UnknownError)?;
        self.queues.submission(direction)[usize::from(index)] = None;
        if let Some(cq) = &mut self.queues.cqs[usize::from(cq_index)] {
            cq.user = None;
        }
        self.rss.spread(hw, self.queues.rx_queues());
        Ok(())
    }
}
