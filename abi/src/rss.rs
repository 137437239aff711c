//! Receive-side scaling: payloads and control buffers of features 10, 12 and 18.

use crate::record::at;

/// log2 of the table's entries; the only size every driver takes.
pub const TABLE_LOG: u16 = 7;
pub const TABLE_ENTRIES: usize = 1 << TABLE_LOG;
/// Bytes of a table entry in a control buffer: the RX queue, a u16, then zero.
pub const TABLE_ENTRY_LEN: usize = 4;
pub const TABLE_LEN: usize = TABLE_ENTRIES * TABLE_ENTRY_LEN;
pub const KEY_LEN: usize = 40;
/// The key counted in dwords.
pub const KEY_PARTS: u32 = 10;
/// `inline_index` of a [Table] that comes as a control buffer.
pub const NOT_INLINE: u32 = u32::MAX;

record! {
    /// Feature 12.
    Table: 16 {
        min_size: u16 = at(0, 2);
        max_size: u16 = at(2, 2);
        size: u16 = at(4, 2);
        one_entry_update: bool = crate::record::byte(6, 0, 0);
        inline_index: u32 = at(8, 4);
        inline_queue: u16 = at(12, 2);
    }
}

/// Feature 10: [Function::selected] and [Function::supported] have bits `1 << id`.
pub mod function {
    pub const TOEPLITZ: u32 = 1 << 1;
    pub const CRC32: u32 = 1 << 2;
}

record! {
    /// Feature 10.
    Function: 12 {
        supported: u32 = at(0, 4);
        selected: u32 = at(4, 4);
        init_val: u32 = at(8, 4);
    }
}

record! {
    /// Control buffer of feature 10.
    KeyBuffer: 48 {
        parts: u32 = at(0, 4);
        /// Byte 39 is the first of the key as Toeplitz is defined.
        key: [u8; KEY_LEN] = at(8, KEY_LEN);
    }
}

record! {
    /// Feature 18.
    Input: 4 {
        supported_sort: u16 = at(0, 2);
        enabled_sort: u16 = at(2, 2);
    }
}

/// Feature 18's control buffer: what is hashed, by kind of packet.
pub mod input {
    pub const LEN: usize = 256;
    pub const KINDS: usize = 16;
    /// Bytes of a kind's entry: the fields, a u16, then zero.
    pub const ENTRY_LEN: usize = 4;
    /// Where the entries of what is supported begin.
    pub const SUPPORTED: usize = 0;
    /// Where the entries of what is selected begin.
    pub const SELECTED: usize = 64;

    // Kinds.
    pub const TCP4: usize = 0;
    pub const UDP4: usize = 1;
    pub const TCP6: usize = 2;
    pub const UDP6: usize = 3;
    pub const IP4: usize = 4;
    pub const IP6: usize = 5;
    pub const IP4_FRAG: usize = 6;
    pub const NOT_IP: usize = 7;
    pub const TCP6_EX: usize = 8;
    pub const IP6_EX: usize = 9;

    // Fields.
    pub const L2_DA: u16 = 1 << 0;
    pub const L2_SA: u16 = 1 << 1;
    pub const L3_DA: u16 = 1 << 2;
    pub const L3_SA: u16 = 1 << 3;
    pub const L4_DP: u16 = 1 << 4;
    pub const L4_SP: u16 = 1 << 5;
    pub const L2: u16 = L2_DA | L2_SA;
    pub const L3: u16 = L3_DA | L3_SA;
    pub const L3_L4: u16 = L3 | L4_DP | L4_SP;
}
