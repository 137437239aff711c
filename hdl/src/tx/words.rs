//! The words of the transmit path: what its blocks send each other, from batches to frames.
//!
//! | word | from | to |
//! |---|---|---|
//! | [Batch] | `sched` | `parse` |
//! | [Ask] | `sched` | `llq/walk` |
//! | [Put], [Filled] | `llq/walk` | `parse` |
//! | [Packet], [Segment] | `parse` | `gather` |
//! | [Push] | `gather` | `llq/push` |
//! | [Inject] | `llq/push` | `out` |
//! | [Frame] | `gather` | `out` |
//! | [Beat] | `out` | `offload` |

use nitor_rtl::prelude::*;

/// The completion that a packet ends with.
#[record]
pub struct Owner {
    pub cq: Bits<8>,
    pub req_id: Bits<16>,
}

/// A batch of descriptors that is fetched, or the marker behind a queue's last batch.
#[stream]
pub struct Batch {
    pub queue: Bits<8>,
    pub cq: Bits<8>,
    /// 1..=16; of a batch of lines it means nothing.
    pub count: Bits<5>,
    pub marker: Bit,
    /// See [Op](crate::common::iface::Op); a marker has none.
    pub op: Bits<9>,
    /// The batch comes from lines in the card.
    pub lines: Bit,
}

/// Lines of a queue that make a batch.
#[stream]
pub struct Ask {
    /// See [Op](crate::common::iface::Op).
    pub op: Bits<9>,
    /// The batch is two lines, not one.
    pub two: Bit,
    /// The line has 256 bytes.
    pub wide: Bit,
    /// In units of 128 bytes, even if wide.
    pub line: Bits<16>,
}

/// A descriptor's place in the cache.
#[record]
pub struct Place {
    pub index: Bits<4>,
    pub slot: Bits<5>,
}

/// A descriptor from a line, to be written into the cache.
#[stream]
pub struct Put {
    pub place: Place,
    /// Bit [SECOND_LINE] says which line it is from.
    pub desc: Bits<128>,
}

/// Reserved bit of a descriptor, in which the cache remembers that it was in the second line of its
/// batch.
pub const SECOND_LINE: usize = 25;

/// What a batch of lines turned out to be.
#[record]
pub struct Lines {
    /// Descriptors.
    pub count: Bits<5>,
    /// The first line, in units of 128 bytes.
    pub line: Bits<16>,
    /// The line has 256 bytes.
    pub wide: Bit,
}

/// Goes with the last [Put] of a batch, and is taken with it.
#[stream(bus)]
pub struct Filled {
    pub valid: Bit,
    /// See [Op](crate::common::iface::Op).
    pub op: Bits<9>,
    pub lines: Lines,
}

/// A queue to stop: its descriptors could not be read.
#[stream(bus)]
pub struct Broken {
    pub valid: Bit,
    pub queue: Bits<8>,
}

/// Where a packet's headers are, as a meta descriptor says.
#[record]
pub struct Headers {
    pub l3_hdr_len: Bits<8>,
    pub l3_hdr_off: Bits<8>,
    pub l4_hdr_words: Bits<6>,
    pub mss: Bits<14>,
}

/// What a packet's first data descriptor asks for, and its headers.
#[record]
pub struct Meta {
    pub l3_proto: Bits<4>,
    pub tso_en: Bit,
    pub l4_proto: Bits<5>,
    pub l3_csum_en: Bit,
    pub l4_csum_en: Bit,
    pub l4_csum_partial: Bit,
    /// Bytes pushed, if any are.
    pub header_length: Bits<8>,
    pub headers: Headers,
}

/// A whole packet, or a marker, or what tells of a DMA error.
#[stream]
pub struct Packet {
    pub queue: Bits<8>,
    pub owner: Owner,
    /// Bytes of all segments, and those pushed.
    pub len: Bits<17>,
    /// Segments, none of length 0; a bad packet has none.
    pub count: Bits<5>,
    pub meta: Meta,
    pub bad: Bit,
    /// A DMA error lost the packet.
    pub dma: Bit,
    /// Completes nothing.
    pub silent: Bit,
    pub marker: Bit,
    /// The first `meta.header_length` bytes are pushed, in line `line`.
    pub pushed: Bit,
    pub line: Bits<16>,
}

/// A piece of a packet in host memory.
#[stream]
pub struct Segment {
    pub addr: Bits<48>,
    pub len: Bits<16>,
}

/// The pushed bytes of a packet, and where in the TX buffer they go.
#[stream]
pub struct Push {
    pub row: Bits<16>,
    /// In units of 128 bytes.
    pub line: Bits<16>,
    /// At least 1.
    pub len: Bits<8>,
}

/// A row of the line memory to be read.
#[stream]
pub struct LineRow {
    pub row: Bits<16>,
}

/// Pushed bytes for the TX buffer: `be_lo` of `row`, `be_hi` of the row behind it.
#[stream]
pub struct Inject<const D: usize, const K: usize> {
    pub row: Bits<16>,
    pub data: Bits<D>,
    pub be_lo: Bits<K>,
    pub be_hi: Bits<K>,
    /// The packet's last.
    pub last: Bit,
}

/// What a frame is to get. Of a frame without offloads all fields but `first` and `last` are 0.
#[record]
pub struct Offloads {
    /// IPv4 header checksum.
    pub ip: Bit,
    /// TCP or UDP checksum.
    pub l4: Bit,
    /// The pseudo header is to be added.
    pub full: Bit,
    pub udp: Bit,
    pub v6: Bit,
    /// A segment of a packet.
    pub tso: Bit,
    /// The packet's first frame.
    pub first: Bit,
    /// The packet's last frame.
    pub last: Bit,
    pub l3_off: Bits<8>,
    pub l3_len: Bits<8>,
    /// Bytes of a segment's headers; see also [sized].
    pub hdr: Bits<9>,
}

/// Of what is no segment: there is an IP header that says how long the packet is.
#[kernel]
pub fn sized(offloads: Offloads) -> Bit {
    offloads.hdr.get_bit(0)
}

/// The frame gets a checksum.
#[kernel]
pub fn summed(offloads: Offloads) -> Bit {
    offloads.ip || offloads.l4
}

/// [Offloads], and what a frame's place in its packet says.
#[record]
pub struct OffloadWord {
    pub offloads: Offloads,
    /// Bytes of the frame without padding.
    pub len: Bits<16>,
    /// Payload of the packet before this segment.
    pub seq: Bits<17>,
    /// Segments of the packet before this one.
    pub num: Bits<16>,
}

/// A frame in the TX buffer, or the end of a packet without one.
#[stream]
pub struct Frame {
    /// The frame has rows; no other flag but `slot` and `push` is set.
    pub read: Bit,
    pub bad: Bit,
    /// A DMA error lost the packet.
    pub dma: Bit,
    /// Completes nothing.
    pub silent: Bit,
    pub marker: Bit,
    pub owner: Owner,
    pub len: Bits<16>,
    pub row: Bits<16>,
    /// Of a packet without a frame too.
    pub word: Offloads,
    /// It has the next operation slot.
    pub slot: Bit,
    /// Its first bytes are pushed.
    pub push: Bit,
}

/// A frame's beat, padded already, and with each what the frame is to get.
#[stream]
pub struct Beat<const D: usize> {
    pub data: Bits<D>,
    pub last: Bit,
    /// 1..=K; counts on the `last` beat.
    pub bytes: Bits<7>,
    pub word: OffloadWord,
}

/// How a beat ends on its way through `offload`.
#[record]
pub struct End {
    pub bytes: Bits<7>,
    pub last: Bit,
    /// The frame gets a checksum.
    pub off: Bit,
    /// Bytes of padding.
    pub short: Bits<6>,
}

/// Where a frame's checksums are, and which of them it gets.
#[record]
pub struct Fields {
    pub ip_at: Bits<10>,
    pub l4_at: Bits<10>,
    pub ip: Bit,
    pub l4: Bit,
}

/// What a frame's route says.
#[record]
pub struct Route {
    /// The route is to be looked at.
    pub look: Bit,
    /// The frame is refused.
    pub refused: Bit,
}

/// Whether a frame is sent.
#[record]
pub struct Verdict {
    pub refused: Bit,
    /// The packet's first frame.
    pub first: Bit,
}

/// A frame's checksums, and where they go.
#[record]
pub struct Sums {
    pub ip: Bits<16>,
    pub l4: Bits<16>,
    pub fields: Fields,
    pub verdict: Verdict,
}
