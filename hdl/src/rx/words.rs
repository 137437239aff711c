//! Layouts of the words queued between the receive blocks: bit offset of each field in its word.

/// Of a flow without its checksums, as `rx/steer` gives it.
pub const STEER_BITS: usize = 51;
pub const FLOW_BITS: usize = STEER_BITS + 3;
/// A frame's flow, from `rx/steer` and `rx/checksum`, in the order of the frames.
pub mod flow {
    pub const HASH: usize = 0;
    pub const QUEUE: usize = 32;
    /// The table entry is valid.
    pub const VALID: usize = 40;
    pub const L3: usize = 41;
    pub const L4: usize = 45;
    pub const FRAG: usize = 50;
    /// Three flags, see [checksum](crate::rx::checksum).
    pub const SUMS: usize = 51;
}

pub const FRAME_BITS: usize = FLOW_BITS + 16;
/// A stored frame, from `rx/waiting` to `rx/assign`: a [flow] and behind it what follows. Its rows begin where those of the one before end.
pub mod frame {
    /// Bytes, no FCS.
    pub const LEN: usize = super::FLOW_BITS;
}

pub const SEG_BITS: usize = 185;
/// A piece of a frame and the buffer it goes to, from `rx/assign` to `rx/write`.
pub mod seg {
    pub const ADDR: usize = 0;
    pub const LEN: usize = 48;
    /// Byte in the RX buffer: row << L + byte in the row.
    pub const SRC: usize = 64;
    /// First row behind the frame: with the last segment everything before it is free.
    pub const FREE: usize = 88;
    pub const REQ_ID: usize = 104;
    pub const HASH: usize = 120;
    pub const CQ: usize = 152;
    pub const L3: usize = 160;
    pub const L4: usize = 164;
    pub const FRAG: usize = 169;
    pub const FIRST: usize = 170;
    pub const LAST: usize = 171;
    /// A dropped frame: writes nothing, frees its rows.
    pub const DROP: usize = 172;
    /// End of a queue: writes and frees nothing, is answered by `host/cq`.
    pub const MARKER: usize = 173;
    pub const QUEUE: usize = 174;
    /// See [flow::SUMS](super::flow::SUMS).
    pub const SUMS: usize = 182;
}

/// Buffers a frame may take; what firmware advertises as `max_per_packet_rx_descs`.
pub const MAX_DESCS: u64 = 16;
