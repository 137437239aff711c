//! Queue pairs: creation, destruction, and the interrupt that both queues share.

use nitor_abi::admin::{
    placement, CreateCq, CreateCqAnswer, CreateSq, CreateSqAnswer, DestroyCq, DestroySq, Direction,
    Opcode, NO_VECTOR,
};
use nitor_abi::bar::Interrupt;
use nitor_abi::rx::RxCompletion;
use nitor_abi::tx::TxCompletion;

use crate::admin::AdminQueue;
use crate::dma::DmaBuf;
use crate::error::{Error, QueueFault, Result};
use crate::features::head;
use crate::lines::{self, LineRing, TxRing};
use crate::pci::PciFunction;
use crate::ring::{Completion, Submission};
use crate::rx::RxQueue;
use crate::tx::{TxLimits, TxQueue};

/// Longest interrupt delay, in the card's units.
pub(crate) const MAX_DELAY: u16 = 0x7fff;

/// The configuration of a queue pair.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PairConfig {
    pub tx_depth: u16,
    pub rx_depth: u16,
    pub rx_buffer_len: u16,
    pub max_rx_parts: u16,
    /// Whether the card verifies IPv4 headers.
    pub rx_verifies: bool,
    pub tx_limits: TxLimits,
    /// Bytes of an LLQ line; None if the transmit ring is in host memory.
    pub line_len: Option<usize>,
    /// The interrupt vector. None: polling.
    pub vector: Option<u16>,
    /// Interrupt delays, in the card's units.
    pub tx_delay: u16,
    pub rx_delay: u16,
}

/// The card's numbers for a queue.
#[derive(Clone, Copy, Debug)]
struct Ids {
    direction: Direction,
    sq: u16,
    cq: u16,
}

/// A transmit and a receive queue that share an interrupt.
pub struct QueuePair<P: PciFunction, T> {
    function: P,
    pub tx: TxQueue<P, T>,
    pub rx: RxQueue<P>,
    ids: [Ids; 2],
    /// The number of the receive queue in the indirection table.
    rx_id: u16,
    interrupt_register: u64,
    vector: Option<u16>,
    tx_delay: u16,
    rx_delay: u16,
    unmasks: u64,
}

impl<P: PciFunction + Clone, T> QueuePair<P, T> {
    pub(crate) fn create(
        function: &P,
        admin: &mut AdminQueue<P>,
        config: &PairConfig,
    ) -> Result<Self> {
        const TX_LEN: usize = TxCompletion::LEN;
        const RX_LEN: usize = RxCompletion::LEN;
        let (tx_depth, rx_depth) = (config.tx_depth, config.rx_depth);

        let completions = Completion::<P, TX_LEN>::alloc(function, tx_depth)?;
        let host_ring = match config.line_len {
            None => Some(Submission::alloc(function, tx_depth)?),
            Some(_) => None,
        };
        let base = host_ring.as_ref().map(DmaBuf::iova);
        let made =
            create_queue(function, admin, config, Direction::Tx, TX_LEN, &completions, base)?;
        let Made { ids: tx_ids, doorbell, interrupt_register, line_base } = made;
        let ring = match (host_ring, config.line_len) {
            (None, Some(len)) => {
                TxRing::Lines(LineRing::new(function, line_base, len, tx_depth, doorbell))
            }
            (memory, _) => {
                let memory = memory.expect("one of both");
                TxRing::Host(Submission::new(function, memory, tx_depth, doorbell))
            }
        };
        let tx = TxQueue::new(
            function,
            tx_depth,
            ring,
            Completion::new(completions, tx_depth),
            config.tx_limits,
        );

        let completions = Completion::<P, RX_LEN>::alloc(function, rx_depth)?;
        let ring = Submission::alloc(function, rx_depth)?;
        let buffers = RxQueue::alloc(function, rx_depth, config.rx_buffer_len)?;
        let base = Some(ring.iova());
        let made =
            create_queue(function, admin, config, Direction::Rx, RX_LEN, &completions, base)?;
        let Made { ids: rx_ids, doorbell, .. } = made;
        let rx = RxQueue::new(
            rx_depth,
            Submission::new(function, ring, rx_depth, doorbell),
            Completion::new(completions, rx_depth),
            buffers,
            config.rx_buffer_len,
            config.max_rx_parts,
            config.rx_verifies,
        );
        Ok(QueuePair {
            function: function.clone(),
            tx,
            rx,
            ids: [tx_ids, rx_ids],
            rx_id: rx_ids.sq,
            // One register unmasks both queues: it acts on the vector that they share.
            interrupt_register: interrupt_register.into(),
            vector: config.vector,
            tx_delay: config.tx_delay,
            rx_delay: config.rx_delay,
            unmasks: 0,
        })
    }

    /// Destroys both queues. The card uses none of their memory afterwards.
    pub(crate) fn destroy(&self, admin: &mut AdminQueue<P>) -> Result<()> {
        for ids in self.ids {
            let sq = DestroySq { sq_idx: ids.sq, direction: ids.direction as u8 };
            admin.command("destroying a queue", Opcode::DestroySq, sq.to_bytes(), None)?;
            let cq = DestroyCq { cq_idx: ids.cq };
            admin.command("destroying a queue", Opcode::DestroyCq, cq.to_bytes(), None)?;
        }
        Ok(())
    }

    /// Takes over the state that the pair keeps across a reset.
    pub(crate) fn inherit(&mut self, old: Self) {
        let delays = (old.tx_delay, old.rx_delay);
        if delays != (self.tx_delay, self.rx_delay) {
            (self.tx_delay, self.rx_delay) = delays;
            // The vector was unmasked with the delays of the configuration.
            if self.vector.is_some() {
                self.unmask();
            }
        }
        self.unmasks = old.unmasks;
        self.rx.inherit(&old.rx);
        self.tx.inherit(old.tx);
    }

    pub(crate) fn rx_id(&self) -> u16 {
        self.rx_id
    }

    pub fn vector(&self) -> Option<u16> {
        self.vector
    }

    pub(crate) fn unmasks(&self) -> u64 {
        self.unmasks
    }

    /// Unmasks the pair's interrupt for one interrupt. The caller does this again after that
    /// interrupt, when there is nothing left to do. If something has completed in between, the
    /// interrupt follows at once.
    pub fn unmask(&mut self) {
        let value = Interrupt {
            tx_delay: self.tx_delay,
            rx_delay: self.rx_delay,
            unmask: true,
            keep_delays: false,
        };
        self.function.bar_write(0, self.interrupt_register, value.into());
        self.unmasks += 1;
    }

    /// Masks the pair's interrupt.
    pub fn mask(&mut self) {
        let value = Interrupt { keep_delays: true, ..Default::default() };
        self.function.bar_write(0, self.interrupt_register, value.into());
    }

    /// Sets how long completions may wait for others before they interrupt, in the card's units.
    /// The delays hold from the next [unmask](Self::unmask) on, and survive a reset. The longest is
    /// 32,767 units.
    pub fn set_delays(&mut self, tx: u16, rx: u16) -> Result<()> {
        let wanted = Interrupt { tx_delay: tx, rx_delay: rx, ..Default::default() };
        if !wanted.fits() {
            let text = format!("interrupt delays of {tx} and {rx} units: {MAX_DELAY} at most");
            return Err(Error::Config(text));
        }
        self.tx_delay = tx;
        self.rx_delay = rx;
        Ok(())
    }

    /// The fault that has stopped the pair, if there is one.
    pub fn fault(&self) -> Option<QueueFault> {
        self.tx.fault().or(self.rx.fault())
    }
}

/// A queue that was created.
struct Made {
    ids: Ids,
    doorbell: u32,
    interrupt_register: u32,
    /// The offset of the queue's lines.
    line_base: u32,
}

/// Creates a completion queue and the submission queue that uses it. Without `ring`, the submission
/// queue is made of lines in the card.
fn create_queue<P: PciFunction + Clone>(
    function: &P,
    admin: &mut AdminQueue<P>,
    config: &PairConfig,
    direction: Direction,
    entry_len: usize,
    completions: &DmaBuf<P::Memory>,
    ring: Option<u64>,
) -> Result<Made> {
    let depth = match direction {
        Direction::Tx => config.tx_depth,
        Direction::Rx => config.rx_depth,
    };
    let cq = CreateCq {
        interrupt_mode: config.vector.is_some(),
        entry_words: (entry_len / 4) as u8,
        depth,
        vector: config.vector.map_or(NO_VECTOR, u32::from),
        base: completions.iova(),
    };
    let answer =
        admin.command("creating a completion queue", Opcode::CreateCq, cq.to_bytes(), None)?;
    let cq = CreateCqAnswer::from_bytes(&head(&answer));
    let sq = CreateSq {
        direction: direction as u8,
        placement: if ring.is_some() { placement::HOST } else { placement::DEVICE },
        contiguous: true,
        cq_idx: cq.cq_idx,
        depth,
        base: ring.unwrap_or(0),
        ..Default::default()
    };
    let answer =
        admin.command("creating a submission queue", Opcode::CreateSq, sq.to_bytes(), None)?;
    let sq = CreateSqAnswer::from_bytes(&head(&answer));
    for offset in [cq.interrupt_register, sq.doorbell] {
        if !offset.is_multiple_of(4) || u64::from(offset) + 4 > function.bar_len(0) {
            return Err(Error::Nonsense("a register outside its BAR"));
        }
    }
    if let (None, Some(len)) = (ring, config.line_len) {
        let end = u64::from(sq.llq_descriptors) + u64::from(depth) * len as u64;
        if !sq.llq_descriptors.is_multiple_of(64) || end > function.bar_len(lines::BAR) {
            return Err(Error::Nonsense("lines outside their BAR"));
        }
    }
    Ok(Made {
        ids: Ids { direction, sq: sq.sq_idx, cq: cq.cq_idx },
        doorbell: sq.doorbell,
        interrupt_register: cq.interrupt_register,
        line_base: sq.llq_descriptors,
    })
}
