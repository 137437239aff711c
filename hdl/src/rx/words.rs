//! The words that go from one receive block to the next.

use nitor_rtl::prelude::*;

/// Protocols of a frame, numbered as in completions: [l3](nitor_abi::tx::l3),
/// [l4](nitor_abi::tx::l4).
#[record]
pub struct Kind {
    pub l3: Bits<4>,
    pub l4: Bits<5>,
    /// An IP fragment.
    pub frag: Bit,
}

/// What [checksum](super::checksum) finds.
#[record]
pub struct Sums {
    /// IPv4, and its header's sum is wrong.
    pub l3_err: Bit,
    /// With `l4_checked` alone: the sum is wrong, or left out in UDP over IPv6.
    pub l4_err: Bit,
    /// TCP or UDP that can be judged, and `l4_err` tells good from bad.
    pub l4_checked: Bit,
}

/// What is hashed of an IPv4 packet, bytes in the order of the wire.
#[record]
pub struct Tuple4 {
    pub addrs: Bits<64>,
    /// 0 if they are unknown.
    pub ports: Bits<32>,
    pub none: Bits<192>,
}

/// What is hashed of an IPv6 packet.
#[record]
pub struct Tuple6 {
    pub addrs: Bits<256>,
    pub ports: Bits<32>,
}

/// A frame's flow without its checksums, from `rx/steer` or `rx/classify`, in the order of the
/// frames.
#[record]
pub struct Flow {
    pub hash: Bits<32>,
    pub queue: Bits<8>,
    /// The table entry is valid.
    pub valid: Bit,
    pub kind: Kind,
}

/// A stored frame, from `rx/waiting` to `rx/assign`. Its rows begin where those of the frame before
/// it end.
#[record]
pub struct Frame {
    pub flow: Flow,
    pub sums: Sums,
    /// Bytes, no FCS.
    pub len: Bits<16>,
}

/// What a completion entry is made of, and the completion queue it goes to.
#[record]
pub struct Report {
    /// Bytes in the buffer.
    pub len: Bits<16>,
    pub req_id: Bits<16>,
    pub hash: Bits<32>,
    pub queue: Bits<8>,
    pub cq: Bits<8>,
    pub kind: Kind,
    pub sums: Sums,
    /// The frame's first buffer, and its last.
    pub first: Bit,
    pub last: Bit,
    /// End of a queue: writes and frees nothing, is answered by `host/cq`.
    pub marker: Bit,
}

/// A piece of a frame and the buffer it goes to, from `rx/assign` to `rx/write`.
#[record]
pub struct Segment {
    /// In the host's memory.
    pub addr: Bits<48>,
    /// Byte in the RX buffer: row << L + byte in the row.
    pub src: Bits<24>,
    /// First row behind the frame: with the last segment everything before it is free.
    pub free: Bits<16>,
    /// A dropped frame: writes nothing, frees its rows.
    pub drop: Bit,
    pub report: Report,
}

/// The stored beats of a frame, for the blocks that find its flow; valid for one cycle each.
#[stream(bus)]
pub struct Tap<const D: usize> {
    pub valid: Bit,
    /// The frame's last beat, also of a frame that is given up.
    pub end: Bit,
    /// With `end`: the frame is kept.
    pub keep: Bit,
    /// Bytes in this beat.
    pub bytes: Bits<7>,
    pub data: Bits<D>,
}

/// A [Frame] on its way to `rx/assign`.
#[stream]
pub struct Stored {
    pub data: Frame,
}

/// A [Segment] on its way to `rx/write`.
#[stream]
pub struct Piece {
    pub data: Segment,
}

/// The end of a queue, on its way through `rx/assign`, `rx/write` and `host/cq`.
#[stream]
pub struct Marker {
    pub queue: Bits<8>,
    pub cq: Bits<8>,
}

/// `head` of a queue changes, see [prefetch](super::prefetch).
#[stream(bus)]
pub struct Taken {
    pub valid: Bit,
    /// The queue is worth a look.
    pub hint: Bit,
    pub queue: Bits<8>,
    /// Descriptors assigned to frames so far.
    pub value: Bits<16>,
}

/// What `rx/assign` asks of `rx/prefetch` about a queue, answered in the same cycle.
#[derive(Clone, Debug, Default, LogicInterface)]
#[join = "LookSnk"]
pub struct LookSrc {
    pub queue: Signal<Out, Bits<8>>,
    pub exists: Signal<In, Bit>,
    pub broken: Signal<In, Bit>,
    /// Descriptors that have arrived.
    pub present: Signal<In, Bits<16>>,
    /// The doorbell has posted more than is present.
    pub pending: Signal<In, Bit>,
    pub cq: Signal<In, Bits<8>>,
}

/// The end of [LookSrc] that answers.
#[derive(Clone, Debug, Default, LogicInterface)]
#[join = "LookSrc"]
pub struct LookSnk {
    pub queue: Signal<In, Bits<8>>,
    pub exists: Signal<Out, Bit>,
    pub broken: Signal<Out, Bit>,
    pub present: Signal<Out, Bits<16>>,
    pub pending: Signal<Out, Bit>,
    pub cq: Signal<Out, Bits<8>>,
}

/// A posted buffer.
#[record(layout = nitor_abi::rx::RxDesc)]
pub struct RxDesc {
    /// 0: 64 KiB.
    pub length: Bits<16>,
    pub req_id: Bits<16>,
    pub address: Bits<48>,
}

/// A descriptor that `rx/assign` reads from the cache of `rx/prefetch`, there in the next cycle.
#[derive(Clone, Debug, Default, LogicInterface)]
#[join = "DescSnk"]
pub struct DescSrc {
    pub queue: Signal<Out, Bits<8>>,
    pub index: Signal<Out, Bits<16>>,
    pub data: Signal<In, RxDesc>,
}

/// The end of [DescSrc] that has the cache.
#[derive(Clone, Debug, Default, LogicInterface)]
#[join = "DescSrc"]
pub struct DescSnk {
    pub queue: Signal<In, Bits<8>>,
    pub index: Signal<In, Bits<16>>,
    pub data: Signal<Out, RxDesc>,
}

/// Buffers a frame may take; what firmware advertises as `max_per_packet_rx_descs`.
pub const MAX_DESCS: u64 = 16;
