//! The PCI function that the driver drives: a simulated card, one of a virtual machine, or a real
//! one.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::dma::{DmaBuf, DmaMemory};

/// Why a PCI function cannot do what the driver asks for.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PciError {
    /// Reads return all ones: the card is off the bus, or does not decode the address.
    #[error("the device does not answer")]
    DeviceGone,
    #[error("no DMA memory for {len} bytes aligned to {align}")]
    NoMemory { len: usize, align: usize },
    #[error("{asked} interrupt vectors wanted, {available} available")]
    TooManyVectors { asked: u16, available: u16 },
    #[error("the function has no {0} capability")]
    NoCapability(&'static str),
    #[error("{0}")]
    Backend(String),
}

/// A PCI function: its registers, memory it can reach, and its interrupts.
///
/// Methods take `&self`, so that the queues of one card can be used independently. A handle that is
/// cloned, an [`Rc`] or an [`Arc`], is a function too.
///
/// Register accesses don't fail: as on any machine, a read of a card that does not answer returns
/// all ones, and a lost write is not reported.
pub trait PciFunction {
    type Memory: DmaMemory;

    /// Reads the dword at `offset` of configuration space.
    fn config_read(&self, offset: u16) -> u32;

    /// Writes the dword at `offset` of configuration space.
    fn config_write(&self, offset: u16, value: u32);

    /// Bytes of a memory BAR, 0 if there is none. (The upper half of a 64-bit BAR is none.)
    fn bar_len(&self, bar: u8) -> u64;

    /// Reads the dword at `offset` of a BAR. Later reads of DMA memory return data that is at least
    /// as new.
    fn bar_read(&self, bar: u8, offset: u64) -> u32;

    /// Writes the dword at `offset` of a BAR. Earlier writes to DMA memory are visible when the
    /// card receives it.
    fn bar_write(&self, bar: u8, offset: u64, value: u32);

    /// Writes bytes to a prefetchable BAR as a write-combining mapping does: in TLPs of any size
    /// and in any order, but before later writes of [bar_write](Self::bar_write). `offset` and the
    /// length are multiples of 8.
    fn bar_write_bytes(&self, bar: u8, offset: u64, bytes: &[u8]) {
        for (word, at) in bytes.as_chunks::<4>().0.iter().zip((offset..).step_by(4)) {
            self.bar_write(bar, at, u32::from_le_bytes(*word));
        }
    }

    /// Allocates `len` zeroed bytes that the card can read and write. `align`, a power of two,
    /// holds for the address in the driver as well as for the card's.
    fn alloc_dma(&self, len: usize, align: usize) -> Result<DmaBuf<Self::Memory>, PciError>;

    /// Enables MSI-X with vectors 0 to `vectors - 1`, as an operating system does it: programs and
    /// unmasks the table entries, masks the others, sets the enable bit. It replaces what was
    /// enabled before.
    fn enable_msix(&self, vectors: u16) -> Result<(), PciError>;

    /// Disables MSI-X and drops pending interrupts.
    fn disable_msix(&self) -> Result<(), PciError>;

    /// Takes the interrupts that arrived since the last call.
    fn take_interrupts(&self) -> VectorSet;

    /// Lets time pass until an interrupt is pending or `timeout` is over. However short the
    /// timeout, and even if an interrupt stays pending, the card makes progress in each call.
    fn wait(&self, timeout: Duration);

    /// The time since some fixed moment. It never decreases.
    fn now(&self) -> Duration;

    /// Performs a function-level reset. Afterwards the function is as found: addresses assigned,
    /// bus mastering and MSI-X off.
    fn reset(&self) -> Result<(), PciError>;
}

macro_rules! delegate {
    ($($pointer:ty),*) => {$(
        impl<P: PciFunction + ?Sized> PciFunction for $pointer {
            type Memory = P::Memory;

            fn config_read(&self, offset: u16) -> u32 {
                (**self).config_read(offset)
            }
            fn config_write(&self, offset: u16, value: u32) {
                (**self).config_write(offset, value);
            }
            fn bar_len(&self, bar: u8) -> u64 {
                (**self).bar_len(bar)
            }
            fn bar_read(&self, bar: u8, offset: u64) -> u32 {
                (**self).bar_read(bar, offset)
            }
            fn bar_write(&self, bar: u8, offset: u64, value: u32) {
                (**self).bar_write(bar, offset, value);
            }
            fn bar_write_bytes(&self, bar: u8, offset: u64, bytes: &[u8]) {
                (**self).bar_write_bytes(bar, offset, bytes);
            }
            fn alloc_dma(&self, len: usize, align: usize) -> Result<DmaBuf<P::Memory>, PciError> {
                (**self).alloc_dma(len, align)
            }
            fn enable_msix(&self, vectors: u16) -> Result<(), PciError> {
                (**self).enable_msix(vectors)
            }
            fn disable_msix(&self) -> Result<(), PciError> {
                (**self).disable_msix()
            }
            fn take_interrupts(&self) -> VectorSet {
                (**self).take_interrupts()
            }
            fn wait(&self, timeout: Duration) {
                (**self).wait(timeout);
            }
            fn now(&self) -> Duration {
                (**self).now()
            }
            fn reset(&self) -> Result<(), PciError> {
                (**self).reset()
            }
        }
    )*};
}

delegate!(&P, Rc<P>, Arc<P>);

/// A set of interrupt vectors.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct VectorSet([u64; VectorSet::CAPACITY as usize / 64]);

impl VectorSet {
    /// Vectors are below this.
    pub const CAPACITY: u16 = 256;

    pub const fn new() -> Self {
        VectorSet([0; Self::CAPACITY as usize / 64])
    }

    /// Adds `vector`, unless it is beyond the capacity: no driver asks for such a vector.
    pub fn insert(&mut self, vector: u16) {
        if let Some(word) = self.0.get_mut(usize::from(vector / 64)) {
            *word |= 1 << (vector % 64);
        }
    }

    /// Removes `vector`. Returns whether it was in the set.
    pub fn remove(&mut self, vector: u16) -> bool {
        let there = self.contains(vector);
        if there {
            self.0[usize::from(vector / 64)] &= !(1 << (vector % 64));
        }
        there
    }

    pub fn contains(&self, vector: u16) -> bool {
        self.0.get(usize::from(vector / 64)).is_some_and(|word| word >> (vector % 64) & 1 == 1)
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The vectors, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0..Self::CAPACITY).filter(|&vector| self.contains(vector))
    }
}

impl Extend<u16> for VectorSet {
    fn extend<I: IntoIterator<Item = u16>>(&mut self, vectors: I) {
        vectors.into_iter().for_each(|vector| self.insert(vector));
    }
}

impl FromIterator<u16> for VectorSet {
    fn from_iter<I: IntoIterator<Item = u16>>(vectors: I) -> Self {
        let mut set = VectorSet::new();
        set.extend(vectors);
        set
    }
}

impl fmt::Debug for VectorSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vector_sets_hold_every_vector_below_their_capacity() {
        let mut set: VectorSet = [255, 0, 64, 63, 256, 0].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 255]);
        assert_eq!(format!("{set:?}"), "{0, 63, 64, 255}");
        assert_eq!(set.len(), 4);
        assert!(set.remove(64) && !set.remove(64) && !set.remove(256));
        assert!(!set.contains(64) && set.contains(63) && !set.contains(1000));
        assert!(!set.is_empty() && VectorSet::new().is_empty());
    }
}
