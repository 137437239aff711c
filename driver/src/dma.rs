//! DMA memory, which driver and card share.

use std::fmt;
use std::ptr::NonNull;

use crate::error::{Error, Result};
use crate::pci::PciFunction;

/// Bits of an address in commands and descriptors.
const ADDRESS_BITS: u32 = 48;

/// Whether addresses in commands and descriptors reach these bytes.
pub(crate) fn reachable(iova: u64, len: usize) -> bool {
    iova.checked_add(len as u64).is_some_and(|end| end <= 1 << ADDRESS_BITS)
}

/// Allocates memory whose address fits into commands and descriptors.
pub(crate) fn alloc<P: PciFunction + ?Sized>(
    function: &P,
    len: usize,
    align: usize,
) -> Result<DmaBuf<P::Memory>> {
    let memory = function.alloc_dma(len, align)?;
    if !reachable(memory.iova(), len) {
        let at = memory.iova();
        let text = format!("DMA memory at {at:#x}: the card's addresses have {ADDRESS_BITS} bits");
        return Err(Error::Config(text));
    }
    Ok(memory)
}

/// DMA memory of some backend: unmapped and freed when dropped.
///
/// # Safety
/// `ptr` is valid for reads and writes of `len` bytes and aligned to 8 for as long as the value
/// lives, wherever it is moved, and no reference to those bytes exists but through this value.
pub unsafe trait DmaMemory {
    /// Address of the first byte for the card.
    fn iova(&self) -> u64;
    fn ptr(&self) -> NonNull<u8>;
    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A block of DMA memory. Dropping it unmaps it for the card; do so only when the card no longer
/// uses it.
///
/// Memory that the card may write at any time, such as a ring, is accessed with
/// [`load`](Self::load) and [`store`](Self::store). The slices are for memory that belongs to the
/// driver alone at the moment: a frame not yet sent, or one received.
pub struct DmaBuf<M> {
    memory: M,
}

impl<M: DmaMemory> DmaBuf<M> {
    pub fn new(memory: M) -> Self {
        DmaBuf { memory }
    }

    /// Address of the first byte for the card.
    pub fn iova(&self) -> u64 {
        self.memory.iova()
    }

    pub fn ptr(&self) -> NonNull<u8> {
        self.memory.ptr()
    }

    pub fn len(&self) -> usize {
        self.memory.len()
    }

    pub fn is_empty(&self) -> bool {
        self.memory.is_empty()
    }

    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the memory is valid by the contract of `DmaMemory`; the caller's obligations are
        // documented above.
        unsafe { std::slice::from_raw_parts(self.ptr().as_ptr(), self.len()) }
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as for `as_slice`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.ptr().as_ptr(), self.len()) }
    }

    /// Reads the naturally aligned value at `offset` as one access.
    pub fn load<T: Word>(&self, offset: usize) -> T {
        let place = self.place::<T>(offset);
        // SAFETY: `place` checked range and alignment, and any bits are a `T`.
        unsafe { place.read_volatile() }
    }

    /// Writes the naturally aligned value at `offset` as one access.
    pub fn store<T: Word>(&mut self, offset: usize, value: T) {
        let place = self.place::<T>(offset);
        // SAFETY: `place` checked range and alignment.
        unsafe { place.write_volatile(value) }
    }

    fn place<T: Word>(&self, offset: usize) -> *mut T {
        let size = size_of::<T>();
        assert!(
            offset.is_multiple_of(size)
                && offset.checked_add(size).is_some_and(|end| end <= self.len())
        );
        // SAFETY: the offset is within the block.
        unsafe { self.ptr().as_ptr().add(offset).cast() }
    }

    /// Frees the memory, as dropping it does.
    pub fn free(self) {}
}

impl<M: DmaMemory> fmt::Debug for DmaBuf<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DmaBuf({:#x}, {} bytes)", self.iova(), self.len())
    }
}

mod sealed {
    pub trait Sealed {}
}

/// An integer that is read and written in one access.
pub trait Word: Copy + sealed::Sealed {}

macro_rules! words {
    ($($int:ty),*) => {$(
        impl sealed::Sealed for $int {}
        impl Word for $int {}
    )*};
}

words!(u8, u16, u32, u64);
