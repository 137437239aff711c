//! Proofs of blocks: each wraps a block of the card, watches its ports, and says whether the claims
//! about the block hold.
//!
//! A proof is a block of its own beside the block that it is about (`*_proof.rs`), in the same
//! language. Its inputs take any value in any cycle, except that those whose name begins with
//! `any_` never change. `given` is high while the proof's assumptions about the inputs hold, `ok`
//! while its claims hold. `hdl/tests/proofs` proves that `ok` is never low while `given` was always
//! high.

pub use crate::common::async_fifo_proof::CrossingOrder;
pub use crate::common::block_fifo_proof::BlockFifoOrder;
pub use crate::common::fifo_proof::{FifoCounts, FifoDeepCounts, FifoOrder, FifoWrong};
pub use crate::common::op_tracker_proof::TrackerCounts;
pub use crate::common::skid_proof::{SkidCounts, SkidOrder};
pub use crate::guard::first_proof::FirstLowest;
pub use crate::guard::ranges_proof::RangesCount;
pub use crate::host::readless_proof::ReadlessLife;
pub use crate::host::reset_proof::LifeEnds;
pub use crate::irq::moderation_proof::MessageRules;
pub use crate::pcie::inline_proof::{InlineFair, InlineGrant};
pub use crate::pcie::order_proof::OrderFree;
pub use crate::pcie::read_proof::{ReadLate, ReadTags};
pub use crate::pcie::rx_proof::RxOrder;
pub use crate::tx::sched_proof::RingPointers;
