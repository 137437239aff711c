//! Rings of 64-byte entries: the admin queue, and the rings that the card writes, of answers and of
//! events.

use super::Breach;
use crate::rules::Rule;

pub const ENTRY: usize = 64;

/// A ring of 64-byte entries.
#[derive(Clone, Copy, Debug)]
pub struct Answers {
    pub base: u64,
    pub depth: u16,
    /// The number of entries written so far, of which the host and the card count 16 bits.
    pub written: u64,
    /// The entry being written: its bytes, and a mask of those that have been written.
    entry: [u8; ENTRY],
    seen: u64,
}

impl Default for Answers {
    fn default() -> Self {
        Answers { base: 0, depth: 0, written: 0, entry: [0; ENTRY], seen: 0 }
    }
}

impl Answers {
    pub fn contains(&self, address: u64) -> bool {
        address.wrapping_sub(self.base) < u64::from(self.depth) * ENTRY as u64
    }

    /// Whether all bytes from `address` to `end` are in the ring, which may lie at the end of the
    /// address space.
    pub fn holds(&self, address: u64, end: u64) -> bool {
        let len = u64::from(self.depth) * ENTRY as u64;
        self.contains(address) && address.wrapping_sub(self.base) + (end - address) <= len
    }

    /// Checks a write into the ring. It must be the next entry with the right phase: whole, or, if
    /// the ring is not aligned, in pieces of which the last has the phase. Returns the entry once
    /// it is complete.
    pub fn take(
        &mut self,
        address: u64,
        bytes: &[u8],
        phase_at: usize,
        [place, phase_rule]: [Rule; 2],
    ) -> Result<Option<[u8; ENTRY]>, Breach> {
        let depth = u64::from(self.depth);
        let slot = self.written % depth;
        let expected = self.base.wrapping_add(slot * ENTRY as u64);
        let offset = address.wrapping_sub(expected);
        let len = bytes.len() as u64;
        let fits = offset < ENTRY as u64 && offset + len <= ENTRY as u64;
        let mask = if fits { (u64::MAX >> (ENTRY as u64 - len)) << offset } else { 0 };
        let seen = self.seen | mask;
        let has_phase = mask >> phase_at & 1 != 0;
        let whole = seen == u64::MAX;
        let pieces = !self.base.is_multiple_of(ENTRY as u64);
        if !fits || self.seen & mask != 0 || has_phase != whole || (!whole && !pieces) {
            let detail = format!("{len} bytes at {address:#x}, not the entry at {expected:#x}");
            return Err(Breach::new(place, detail));
        }
        self.seen = seen;
        self.entry[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        if !whole {
            return Ok(None);
        }
        let phase = u8::from((self.written / depth).is_multiple_of(2));
        self.written += 1;
        self.seen = 0;
        if self.entry[phase_at] & 1 != phase {
            return Err(Breach::new(phase_rule, format!("entry {slot} with phase {}", 1 - phase)));
        }
        Ok(Some(self.entry))
    }
}
