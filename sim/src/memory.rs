//! Host memory: blocks of real memory that the driver and the card's DMA both reach.
//!
//! A driver writes its descriptors through plain pointers, as it would on a machine. So DMA does
//! not own the bytes either: it copies through raw pointers, and only while the world steps, when
//! on this single thread no driver code runs.
//!
//! A block may also be a file that another process has mapped: the memory of a virtual machine,
//! whose CPUs run concurrently. So DMA copies aligned words of 8 bytes, and writes from the end to
//! the beginning: a completion's phase bit is in its first word, and so becomes visible last.

use std::alloc::{self, Layout};
use std::fs::File;
use std::io;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicU8, Ordering};

use memmap2::{MmapOptions, MmapRaw};

/// A block of host memory.
#[derive(Debug)]
pub struct Block {
    start: NonNull<u8>,
    len: usize,
    _backing: Backing,
}

#[derive(Debug)]
enum Backing {
    Heap { start: NonNull<u8>, layout: Layout },
    File { _map: MmapRaw },
}

impl Block {
    /// Allocates `len` zero bytes, aligned to `align`, a power of two.
    pub fn new(len: usize, align: usize) -> Rc<Self> {
        let layout = Layout::from_size_align(len.max(1), align.max(WORD))
            .expect("an alignment is a power of two");
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc::alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { alloc::handle_alloc_error(layout) };
        let len = layout.size();
        Rc::new(Block { start, len, _backing: Backing::Heap { start, layout } })
    }

    /// Maps all of `file`, shared with the other processes that map it. The file must not become
    /// shorter.
    pub fn map(file: &File) -> io::Result<Rc<Self>> {
        let map = MmapOptions::new().map_raw(file)?;
        let start = NonNull::new(map.as_mut_ptr()).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Rc::new(Block { start, len: map.len(), _backing: Backing::File { _map: map } }))
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first byte. Valid for as long as the block is.
    pub fn pointer(&self) -> NonNull<u8> {
        self.start
    }

    /// A pointer to byte `offset`. A caller that accesses a word ensures that the word is aligned
    /// and within the block.
    fn at(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset < self.len);
        // SAFETY: callers have checked that the offset is within the block.
        unsafe { self.start.as_ptr().add(offset) }
    }

    /// Copies bytes from `offset` on.
    pub fn read(&self, offset: usize, into: &mut [u8]) {
        assert!(offset.checked_add(into.len()).is_some_and(|end| end <= self.len()));
        let head = offset.wrapping_neg() % WORD;
        let (head, rest) = into.split_at_mut(head.min(into.len()));
        let (words, tail) = rest.as_chunks_mut::<WORD>();
        let mut from = offset;
        // SAFETY: the range is within the block, whose start is aligned to a word, and `from` is
        // aligned where words begin. Any other user of the memory is in another process or idle.
        unsafe {
            for byte in head {
                *byte = AtomicU8::from_ptr(self.at(from)).load(Ordering::Relaxed);
                from += 1;
            }
            for word in words {
                *word =
                    AtomicU64::from_ptr(self.at(from).cast()).load(Ordering::Relaxed).to_ne_bytes();
                from += WORD;
            }
            for byte in tail {
                *byte = AtomicU8::from_ptr(self.at(from)).load(Ordering::Relaxed);
                from += 1;
            }
        }
    }

    /// Copies `bytes` to `offset` on, from the last to the first.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset.checked_add(bytes.len()).is_some_and(|end| end <= self.len()));
        let head = offset.wrapping_neg() % WORD;
        let (head, rest) = bytes.split_at(head.min(bytes.len()));
        let (words, tail) = rest.as_chunks::<WORD>();
        let mut end = offset + bytes.len();
        // SAFETY: as for `read`. Release, so that no other process sees a later store before an
        // earlier one.
        unsafe {
            for byte in tail.iter().rev() {
                end -= 1;
                AtomicU8::from_ptr(self.at(end)).store(*byte, Ordering::Release);
            }
            for word in words.iter().rev() {
                end -= WORD;
                AtomicU64::from_ptr(self.at(end).cast())
                    .store(u64::from_ne_bytes(*word), Ordering::Release);
            }
            for byte in head.iter().rev() {
                end -= 1;
                AtomicU8::from_ptr(self.at(end)).store(*byte, Ordering::Release);
            }
        }
    }
}

const WORD: usize = 8;

impl Drop for Backing {
    fn drop(&mut self) {
        if let Backing::Heap { start, layout } = *self {
            // SAFETY: allocated in `Block::new` with this very layout.
            unsafe { alloc::dealloc(start.as_ptr(), layout) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    #[test]
    fn a_file_is_shared() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        let (one, other) = (Block::map(&file).unwrap(), Block::map(&file).unwrap());
        one.write(4093, b"across pages");
        let mut bytes = [0; 12];
        other.read(4093, &mut bytes);
        assert_eq!((&bytes, one.len()), (b"across pages", 8192));
    }

    proptest! {
        /// Copies by words and by bytes give the same result.
        #[test]
        fn copies_any_range(offset in 0..40usize, bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let block = Block::new(100, 1);
            block.write(offset, &bytes);
            let mut all = [0; 100];
            block.read(0, &mut all);
            let mut expected = [0; 100];
            expected[offset..offset + bytes.len()].copy_from_slice(&bytes);
            prop_assert_eq!(all, expected);
            let mut back = vec![0; bytes.len()];
            block.read(offset, &mut back);
            prop_assert_eq!(back, bytes);
        }
    }
}
