//! Interrupts: the MSI-X table and the moderation of each vector.

pub mod moderation;
pub mod moderation_proof;
pub mod msix;
