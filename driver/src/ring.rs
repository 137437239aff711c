//! Rings in host memory: their head and tail pointers, and the phase bit that shows who owns an
//! entry.

use std::sync::atomic::{fence, Ordering};

use crate::dma::{self, DmaBuf};
use crate::error::Result;
use crate::pci::PciFunction;

/// Bytes of a descriptor.
pub(crate) const DESC_LEN: usize = 16;
/// The alignment of rings, which are whole pages.
const ALIGN: usize = 4096;

/// The ring of a submission queue. Its counts run freely. The card reads no descriptor before the
/// doorbell is rung.
pub(crate) struct Submission<P: PciFunction> {
    function: P,
    memory: DmaBuf<P::Memory>,
    mask: u16,
    doorbell: u64,
    /// Descriptors written.
    tail: u16,
    /// Descriptors that a doorbell has posted.
    told: u16,
    /// Descriptors that the card has finished with.
    done: u16,
    pub doorbells: u64,
}

impl<P: PciFunction + Clone> Submission<P> {
    /// Allocates memory for a ring of `depth` descriptors, a power of two.
    pub fn alloc(function: &P, depth: u16) -> Result<DmaBuf<P::Memory>> {
        dma::alloc(function, (usize::from(depth) * DESC_LEN).max(ALIGN), ALIGN)
    }

    pub fn new(function: &P, memory: DmaBuf<P::Memory>, depth: u16, doorbell: u32) -> Self {
        Submission {
            function: function.clone(),
            memory,
            mask: depth - 1,
            doorbell: doorbell.into(),
            tail: 0,
            told: 0,
            done: 0,
            doorbells: 0,
        }
    }

    /// The number of free places. One place is never used, so that a full ring differs from an
    /// empty one.
    pub fn free(&self) -> u16 {
        self.mask - self.tail.wrapping_sub(self.done)
    }

    /// The phase bit of the next descriptor.
    pub fn phase(&self) -> bool {
        self.tail & (self.mask + 1) == 0
    }

    /// Writes a descriptor. There must be a free place.
    pub fn push(&mut self, desc: [u8; DESC_LEN]) {
        debug_assert!(self.free() > 0);
        let at = usize::from(self.tail & self.mask) * DESC_LEN;
        let (words, _) = desc.as_chunks::<8>();
        self.memory.store(at + 8, u64::from_le_bytes(words[1]));
        self.memory.store(at, u64::from_le_bytes(words[0]));
        self.tail = self.tail.wrapping_add(1);
    }

    /// Rings the doorbell for what was pushed.
    pub fn ring(&mut self) {
        if self.told != self.tail {
            self.function.bar_write(0, self.doorbell, self.tail.into());
            self.told = self.tail;
            self.doorbells += 1;
        }
    }

    /// Frees `count` descriptors that the card has finished with.
    pub fn release(&mut self, count: u16) {
        self.done = self.done.wrapping_add(count);
    }
}

/// A completion queue's ring of entries of `N` bytes.
pub(crate) struct Completion<P: PciFunction, const N: usize> {
    memory: DmaBuf<P::Memory>,
    mask: u16,
    head: u16,
}

impl<P: PciFunction, const N: usize> Completion<P, N> {
    pub fn alloc(function: &P, depth: u16) -> Result<DmaBuf<P::Memory>> {
        dma::alloc(function, (usize::from(depth) * N).max(ALIGN), ALIGN)
    }

    pub fn new(memory: DmaBuf<P::Memory>, depth: u16) -> Self {
        Completion { memory, mask: depth - 1, head: 0 }
    }

    /// Takes the next entry, if the card has written it.
    pub fn take(&mut self) -> Option<[u8; N]> {
        let at = usize::from(self.head & self.mask) * N;
        let phase = self.head & (self.mask + 1) == 0;
        let mut entry = [0; N];
        let (words, _) = entry.as_chunks_mut::<8>();
        // Both directions have the phase in bit 24 of the first word.
        let first = self.memory.load::<u64>(at);
        if (first >> 24 & 1 == 1) != phase {
            return None;
        }
        fence(Ordering::Acquire);
        words[0] = first.to_le_bytes();
        for (word, offset) in words[1..].iter_mut().zip((at + 8..).step_by(8)) {
            *word = self.memory.load::<u64>(offset).to_le_bytes();
        }
        self.head = self.head.wrapping_add(1);
        Some(entry)
    }
}
