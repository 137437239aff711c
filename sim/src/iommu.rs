//! An IOMMU: each requester sees only what is mapped for it, byte by byte.
//!
//! Real IOMMUs map pages. This one maps exactly the bytes that a driver asked for, and so catches a
//! card that reads or writes past a buffer's end within its last page.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::memory::Block;

/// What a requester may do with a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    Read,
    Write,
    ReadWrite,
}

impl Permission {
    fn allows(self, access: Access) -> bool {
        match access {
            Access::Read => self != Permission::Write,
            Access::Write => self != Permission::Read,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// Why an access is refused: no mapping, or one without the permission, at `iova`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied {
    pub iova: u64,
}

#[derive(Clone, Debug)]
struct Mapping {
    block: Rc<Block>,
    offset: usize,
    len: usize,
    permission: Permission,
}

/// A piece of an access within one block.
#[derive(Clone, Debug)]
pub struct Piece {
    pub block: Rc<Block>,
    pub offset: usize,
    pub len: usize,
}

/// First address handed out by [`Iommu::map`]: above 4 GiB, so that addresses need all their bits.
const FIRST_IOVA: u64 = 0x10_0000_0000;
/// Unmapped bytes left between neighbours, so that running past an end is always seen.
const GUARD: u64 = 4096;

/// The mappings of all requesters of one host.
#[derive(Debug)]
pub struct Iommu {
    domains: BTreeMap<u16, BTreeMap<u64, Mapping>>,
    next: u64,
}

impl Default for Iommu {
    fn default() -> Self {
        Iommu { domains: BTreeMap::new(), next: FIRST_IOVA }
    }
}

impl Iommu {
    /// Maps all of `block` for `requester` at an address that has never been used, aligned to
    /// `align`; returns the address.
    pub fn map(
        &mut self,
        requester: u16,
        block: &Rc<Block>,
        align: u64,
        permission: Permission,
    ) -> u64 {
        let iova = self.next.next_multiple_of(align.max(4));
        self.next = iova + block.len() as u64 + GUARD;
        let mapped = self.map_at(requester, iova, block, 0, block.len(), permission);
        debug_assert!(mapped);
        iova
    }

    /// Maps `len` bytes of `block` from `offset` on at `iova`; false if they overlap another
    /// mapping.
    pub fn map_at(
        &mut self,
        requester: u16,
        iova: u64,
        block: &Rc<Block>,
        offset: usize,
        len: usize,
        permission: Permission,
    ) -> bool {
        assert!(offset + len <= block.len(), "a mapping stays within its block");
        let domain = self.domains.entry(requester).or_default();
        let end = iova + len as u64;
        let overlaps =
            domain.range(..end).next_back().is_some_and(|(at, m)| at + m.len as u64 > iova);
        if !overlaps {
            domain.insert(iova, Mapping { block: block.clone(), offset, len, permission });
        }
        !overlaps
    }

    /// Removes the mapping that starts at `iova`; false if there is none.
    pub fn unmap(&mut self, requester: u16, iova: u64) -> bool {
        self.domains.get_mut(&requester).is_some_and(|domain| domain.remove(&iova).is_some())
    }

    /// Removes the mappings that begin within `len` bytes from `iova` on. Returns their number.
    pub fn unmap_range(&mut self, requester: u16, iova: u64, len: u64) -> usize {
        let Some(domain) = self.domains.get_mut(&requester) else { return 0 };
        let before = domain.len();
        domain.retain(|&start, _| start.wrapping_sub(iova) >= len);
        before - domain.len()
    }

    /// Calls `piece` for each piece of memory behind `len` bytes at `iova`. Returns the first byte
    /// that this access may not touch, if there is one; some pieces may have been passed on before
    /// it.
    pub fn translate(
        &self,
        requester: u16,
        iova: u64,
        len: usize,
        access: Access,
        mut piece: impl FnMut(Piece),
    ) -> Result<(), Denied> {
        let domain = self.domains.get(&requester).ok_or(Denied { iova })?;
        let (mut at, mut left) = (iova, len);
        while left > 0 {
            let (start, mapping) = domain.range(..=at).next_back().ok_or(Denied { iova: at })?;
            let skip = (at - start) as usize;
            if skip >= mapping.len || !mapping.permission.allows(access) {
                return Err(Denied { iova: at });
            }
            let len = left.min(mapping.len - skip);
            piece(Piece { block: mapping.block.clone(), offset: mapping.offset + skip, len });
            at += len as u64;
            left -= len;
        }
        Ok(())
    }

    /// Reads `into.len()` bytes at `iova` as `requester`; all or nothing.
    pub fn read(&self, requester: u16, iova: u64, into: &mut [u8]) -> Result<(), Denied> {
        self.translate(requester, iova, into.len(), Access::Read, |_| {})?;
        let mut done = 0;
        self.translate(requester, iova, into.len(), Access::Read, |piece| {
            piece.block.read(piece.offset, &mut into[done..done + piece.len]);
            done += piece.len;
        })
    }

    /// Writes `bytes` at `iova` as `requester`; all or nothing.
    pub fn write(&self, requester: u16, iova: u64, bytes: &[u8]) -> Result<(), Denied> {
        self.translate(requester, iova, bytes.len(), Access::Write, |_| {})?;
        let mut done = 0;
        self.translate(requester, iova, bytes.len(), Access::Write, |piece| {
            piece.block.write(piece.offset, &bytes[done..done + piece.len]);
            done += piece.len;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: u16 = 0x100;

    #[test]
    fn sees_only_what_is_mapped_for_the_requester() {
        let mut iommu = Iommu::default();
        let block = Block::new(100, 64);
        let iova = iommu.map(CARD, &block, 64, Permission::ReadWrite);
        assert_eq!(iommu.write(CARD, iova + 98, &[1, 2]), Ok(()));
        assert_eq!(iommu.write(CARD, iova + 98, &[7, 7, 7]), Err(Denied { iova: iova + 100 }));
        assert_eq!(iommu.read(CARD + 1, iova, &mut [0]), Err(Denied { iova }));
        let mut bytes = [0; 2];
        assert_eq!(iommu.read(CARD, iova + 98, &mut bytes), Ok(()));
        assert_eq!(bytes, [1, 2], "the refused write changed nothing");
        assert!(iommu.unmap(CARD, iova));
        assert_eq!(iommu.read(CARD, iova, &mut bytes), Err(Denied { iova }));
    }

    #[test]
    fn permissions_and_neighbours() {
        let mut iommu = Iommu::default();
        let block = Block::new(8192, 4096);
        assert!(iommu.map_at(CARD, 0x1000, &block, 0, 4096, Permission::Read));
        assert!(iommu.map_at(CARD, 0x2000, &block, 4096, 4096, Permission::ReadWrite));
        assert!(!iommu.map_at(CARD, 0x1800, &block, 0, 16, Permission::Read), "overlap");
        assert_eq!(iommu.read(CARD, 0x1ffe, &mut [0; 4]), Ok(()), "across two mappings");
        assert_eq!(iommu.write(CARD, 0x1ffe, &[0; 4]), Err(Denied { iova: 0x1ffe }));
        assert_eq!(iommu.unmap_range(CARD, 0x1001, 0xfff), 0);
        assert_eq!(iommu.unmap_range(CARD, 0x1000, u64::MAX), 2);
        assert_eq!(iommu.read(CARD, 0x2000, &mut [0; 4]), Err(Denied { iova: 0x2000 }));
    }
}
