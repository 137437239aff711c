//! The two ends of a ready/valid stream, for block tests: a [`Source`] drives one into the block, a
//! [`Sink`] collects one from it.
//!
//! ```no_run
//! # use nitor_block::stream::{Sink, Source, Stalls, cycle};
//! # let mut fifo: nitor_block::Block = unimplemented!();
//! let mut source = Source::new(&fifo, "input", Stalls::seeded(1));
//! let mut sink = Sink::<(u64, bool)>::new(&fifo, "output", Stalls::seeded(2));
//! source.extend([(1, false), (2, true)]);
//! while sink.received().len() < 2 {
//!     cycle(&mut fifo, &mut [&mut source, &mut sink]);
//! }
//! ```
//!
//! The sink checks the rules of the card's streams: a beat that is offered stays valid and
//! unchanged until it is accepted. The source keeps them, and drives noise as payload while it
//! offers nothing.

use crate::block::{Block, PortId};
use crate::rng::Rng;
use bitvec::prelude::*;
use std::collections::VecDeque;

/// The ports of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    pub valid: PortId,
    pub ready: PortId,
    pub payload: Vec<PortId>,
}

impl Ports {
    /// Ports by their names.
    pub fn named(block: &Block, valid: &str, ready: &str, payload: &[&str]) -> Ports {
        let payload = payload.iter().map(|name| block.port(name)).collect();
        Ports { valid: block.port(valid), ready: block.port(ready), payload }
    }

    /// All ports that begin with `prefix` and `$` or `_`: `valid`, `ready`, and the others, in the
    /// order of the block's ports, as payload.
    pub fn of(block: &Block, prefix: &str) -> Ports {
        let rest = |name: &str| {
            let rest = name.strip_prefix(prefix)?.strip_prefix(['$', '_'])?;
            Some(rest.to_owned())
        };
        let (mut valid, mut ready, mut payload) = (None, None, Vec::new());
        for port in block.ports() {
            let id = block.port(&port.name);
            match rest(&port.name).as_deref() {
                Some("valid") => valid = Some(id),
                Some("ready") => ready = Some(id),
                Some(_) => payload.push(id),
                None => {}
            }
        }
        let (Some(valid), Some(ready)) = (valid, ready) else {
            panic!("`{}` has no stream `{prefix}`", block.model().top());
        };
        Ports { valid, ready, payload }
    }
}

/// The ports of an end: a prefix, or [`Ports`] as they are.
pub trait AsPorts {
    fn ports(&self, block: &Block) -> Ports;
}

impl AsPorts for &str {
    fn ports(&self, block: &Block) -> Ports {
        Ports::of(block, self)
    }
}

impl AsPorts for Ports {
    fn ports(&self, _: &Block) -> Ports {
        self.clone()
    }
}

/// The value of one port.
pub trait Field: Sized {
    fn put(&self, block: &mut Block, port: PortId);
    fn take(block: &Block, port: PortId) -> Self;
}

impl Field for u64 {
    fn put(&self, block: &mut Block, port: PortId) {
        block.set(port, *self);
    }
    fn take(block: &Block, port: PortId) -> u64 {
        block.get(port)
    }
}

impl Field for bool {
    fn put(&self, block: &mut Block, port: PortId) {
        block.set(port, u64::from(*self));
    }
    fn take(block: &Block, port: PortId) -> bool {
        block.get(port) != 0
    }
}

impl Field for BitVec {
    fn put(&self, block: &mut Block, port: PortId) {
        block.set_bits(port, self);
    }
    fn take(block: &Block, port: PortId) -> BitVec {
        block.get_bits(port)
    }
}

/// Byte 0 in bits 7:0.
impl Field for Vec<u8> {
    fn put(&self, block: &mut Block, port: PortId) {
        block.set_bytes(port, self);
    }
    fn take(block: &Block, port: PortId) -> Vec<u8> {
        block.get_bytes(port)
    }
}

/// The payload of a beat: a [`Field`], or a tuple of them, or a test's own type.
pub trait Payload: Sized {
    fn drive(&self, block: &mut Block, ports: &[PortId]);
    fn collect(block: &Block, ports: &[PortId]) -> Self;
}

impl<F: Field> Payload for F {
    fn drive(&self, block: &mut Block, ports: &[PortId]) {
        let [port] = ports else { panic!("1 field for {} ports", ports.len()) };
        self.put(block, *port);
    }
    fn collect(block: &Block, ports: &[PortId]) -> F {
        let [port] = ports else { panic!("1 field for {} ports", ports.len()) };
        F::take(block, *port)
    }
}

macro_rules! tuple_payload {
    ($($field:ident . $index:tt),*) => {
        impl<$($field: Field),*> Payload for ($($field,)*) {
            fn drive(&self, block: &mut Block, ports: &[PortId]) {
                let count = [$($index),*].len();
                assert_eq!(ports.len(), count, "ports for {count} fields");
                $(self.$index.put(block, ports[$index]);)*
            }
            fn collect(block: &Block, ports: &[PortId]) -> Self {
                let count = [$($index),*].len();
                assert_eq!(ports.len(), count, "ports for {count} fields");
                ($($field::take(block, ports[$index]),)*)
            }
        }
    };
}

tuple_payload!(A.0);
tuple_payload!(A.0, B.1);
tuple_payload!(A.0, B.1, C.2);
tuple_payload!(A.0, B.1, C.2, D.3);
tuple_payload!(A.0, B.1, C.2, D.3, E.4);
tuple_payload!(A.0, B.1, C.2, D.3, E.4, F.5);
tuple_payload!(A.0, B.1, C.2, D.3, E.4, F.5, G.6);
tuple_payload!(A.0, B.1, C.2, D.3, E.4, F.5, G.6, H.7);

/// When an end stalls. Stalls come in runs, as do the times without any: a FIFO that fills up and
/// drains reaches both of its ends sooner than one that hovers.
#[derive(Clone, Debug)]
pub struct Stalls {
    random: Rng,
    percent: u64,
    stalled: bool,
    left: u64,
}

impl Stalls {
    /// No stalls: always ready, always valid.
    pub fn none() -> Stalls {
        Stalls::new(0, 0)
    }

    /// Stalls of random frequency and length.
    pub fn seeded(seed: u64) -> Stalls {
        let percent = Rng(seed).below(90);
        Stalls::new(seed, percent)
    }

    /// Stalls in `percent` of the cycles.
    pub fn new(seed: u64, percent: u64) -> Stalls {
        assert!(percent < 100, "an end that always stalls never ends");
        Stalls { random: Rng(seed), percent, stalled: false, left: 0 }
    }

    fn next(&mut self) -> bool {
        if self.left == 0 {
            self.stalled = self.random.below(100) < self.percent;
            self.left = 1 + self.random.below(8);
        }
        self.left -= 1;
        self.stalled
    }
}

/// One end of a stream, of any payload.
pub trait End {
    /// Sets this end's inputs of the block for a cycle.
    fn drive(&mut self, block: &mut Block);
    /// Samples the settled ports before the clock edge, and completes the handshake if there is
    /// one.
    fn sample(&mut self, block: &Block);
}

/// Runs one cycle, in which all `ends` drive and sample the block.
pub fn cycle(block: &mut Block, ends: &mut [&mut dyn End]) {
    for end in ends.iter_mut() {
        end.drive(block);
    }
    block.clock_low();
    for end in ends.iter_mut() {
        end.sample(block);
    }
    block.clock_high();
}

/// Drives a stream into the block.
pub struct Source<T> {
    ports: Ports,
    queue: VecDeque<T>,
    stalls: Stalls,
    offering: bool,
    sent: usize,
}

impl<T: Payload> Source<T> {
    pub fn new(block: &Block, ports: impl AsPorts, stalls: Stalls) -> Source<T> {
        let ports = ports.ports(block);
        Source { ports, queue: VecDeque::new(), stalls, offering: false, sent: 0 }
    }

    /// Queues a beat.
    pub fn push(&mut self, beat: T) {
        self.queue.push_back(beat);
    }

    /// Whether every beat has been accepted.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Beats accepted so far.
    pub fn sent(&self) -> usize {
        self.sent
    }
}

impl<T: Payload> Extend<T> for Source<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, beats: I) {
        self.queue.extend(beats);
    }
}

impl<T: Payload> End for Source<T> {
    fn drive(&mut self, block: &mut Block) {
        let stall = self.stalls.next();
        if !self.offering {
            self.offering = !stall && !self.queue.is_empty();
            block.set(self.ports.valid, u64::from(self.offering));
        }
        match self.queue.front() {
            Some(beat) if self.offering => beat.drive(block, &self.ports.payload),
            _ => {
                for &port in &self.ports.payload {
                    let noise = self.stalls.random.bits(block.width(port));
                    block.set_bits(port, &noise);
                }
            }
        }
    }

    fn sample(&mut self, block: &Block) {
        if self.offering && block.get(self.ports.ready) == 1 {
            self.queue.pop_front();
            self.offering = false;
            self.sent += 1;
        }
    }
}

/// Collects a stream from the block.
pub struct Sink<T> {
    ports: Ports,
    received: Vec<T>,
    stalls: Stalls,
    ready: bool,
    /// The payload that the block offered while this end was not ready: it must still be there.
    held: Option<Vec<BitVec>>,
}

impl<T: Payload> Sink<T> {
    pub fn new(block: &Block, ports: impl AsPorts, stalls: Stalls) -> Sink<T> {
        let ports = ports.ports(block);
        Sink { ports, received: Vec::new(), stalls, ready: false, held: None }
    }

    /// The beats so far.
    pub fn received(&self) -> &[T] {
        &self.received
    }

    /// Takes the beats since the last call.
    pub fn take(&mut self) -> Vec<T> {
        std::mem::take(&mut self.received)
    }
}

impl<T: Payload> End for Sink<T> {
    fn drive(&mut self, block: &mut Block) {
        self.ready = !self.stalls.next();
        block.set(self.ports.ready, u64::from(self.ready));
    }

    fn sample(&mut self, block: &Block) {
        let valid = block.get(self.ports.valid) == 1;
        if let Some(held) = &self.held {
            assert!(valid, "cycle {}: valid fell before ready", block.cycles());
            let now = self.payload(block);
            assert_eq!(&now, held, "cycle {}: payload changed before ready", block.cycles());
        }
        self.held = (valid && !self.ready).then(|| self.payload(block));
        if valid && self.ready {
            self.received.push(T::collect(block, &self.ports.payload));
        }
    }
}

impl<T: Payload> Sink<T> {
    fn payload(&self, block: &Block) -> Vec<BitVec> {
        self.ports.payload.iter().map(|&port| block.get_bits(port)).collect()
    }
}
