//! Host memory: blocks of real memory that the driver and the card's DMA both reach.
//!
//! A driver writes its descriptors through plain pointers, as it would on a machine. So DMA does
//! not own the bytes either: it copies through raw pointers, and only while the world steps, when
//! on this single thread no driver code runs.

use std::alloc::{self, Layout};
use std::ptr::NonNull;
use std::rc::Rc;

/// A block of zeroed host memory.
#[derive(Debug)]
pub struct Block {
    start: NonNull<u8>,
    layout: Layout,
}

impl Block {
    /// Allocates `len` zero bytes, aligned to `align`, a power of two.
    pub fn new(len: usize, align: usize) -> Rc<Self> {
        let layout =
            Layout::from_size_align(len.max(1), align).expect("an alignment is a power of two");
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc::alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { alloc::handle_alloc_error(layout) };
        Rc::new(Block { start, layout })
    }

    pub fn len(&self) -> usize {
        self.layout.size()
    }

    pub fn is_empty(&self) -> bool {
        false
    }

    /// The first byte. Valid for as long as the block is.
    pub fn pointer(&self) -> NonNull<u8> {
        self.start
    }

    /// Copies bytes from `offset` on.
    pub fn read(&self, offset: usize, into: &mut [u8]) {
        assert!(offset.checked_add(into.len()).is_some_and(|end| end <= self.len()));
        // SAFETY: the range is within the block, and `into` is not part of it, as nothing hands
        // out `&mut` to a block's bytes while the world steps.
        unsafe {
            self.start.as_ptr().add(offset).copy_to_nonoverlapping(into.as_mut_ptr(), into.len());
        }
    }

    /// Copies `bytes` to `offset` on.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset.checked_add(bytes.len()).is_some_and(|end| end <= self.len()));
        // SAFETY: as for `read`.
        unsafe {
            self.start.as_ptr().add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this very layout.
        unsafe { alloc::dealloc(self.start.as_ptr(), self.layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_zeroed_and_aligned_and_keeps_what_is_written() {
        let block = Block::new(100, 4096);
        assert_eq!(block.pointer().as_ptr() as usize % 4096, 0);
        block.write(97, &[1, 2, 3]);
        let mut bytes = [9; 4];
        block.read(96, &mut bytes);
        assert_eq!(bytes, [0, 1, 2, 3]);
    }

    #[test]
    #[should_panic]
    fn refuses_to_go_past_the_end() {
        Block::new(16, 16).write(15, &[0, 0]);
    }
}
