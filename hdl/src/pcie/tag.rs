//! What `pcie/read` and `pcie/settle` keep of each tag.
//!
//! A tag's life begins when a read is issued with it. Each life has the other epoch than the one
//! before, so that events of an earlier life are recognised and ignored.

use nitor_rtl::prelude::*;

/// What a read asked for, by its tag; written when the read is issued.
#[record]
pub struct TagRecord {
    pub len: Bits<13>,
    pub dst: Bits<20>,
    pub op: Bits<9>,
    pub client: Bits<2>,
    /// Bits 6:0 of the address.
    pub low: Bits<7>,
    pub epoch: Bit,
}

/// How far a read is, by its tag; written when a completion comes.
#[record]
pub struct Progress {
    pub left: Bits<13>,
    /// The life that `left`, `err` and `ended` belong to.
    pub epoch: Bit,
    pub err: Bit,
    /// Timed out: reported, its tag resting.
    pub ended: Bit,
    /// Epoch of the last life that is over.
    pub free: Bit,
}
