//! Probe of a card, for simulation: `valid` and `ready` of the streams between its stages, on one
//! output that hardware leaves open.
//!
//! The streams are numbered as in [Probe], the type of [Card::probe](crate::top::Card): stream i
//! has `valid` at bit 2i and `ready` at bit 2i + 1. In a cycle with both a beat moves; with `valid`
//! alone the sink stalls the stream; with `ready` alone the sink waits for a beat.

use nitor_rtl::prelude::*;

#[record]
pub struct Handshake {
    pub valid: Bit,
    pub ready: Bit,
}

macro_rules! probe {
    ($($stream:ident $name:literal,)*) => {
        /// The streams, in the order in which a packet passes them.
        #[record]
        pub struct Probe {
            $(pub $stream: Handshake,)*
        }

        /// The streams' names, in [Probe]'s order.
        pub const STREAMS: [&str; STREAM_COUNT] = [$($name,)*];
    };
}

probe! {
    tx_doorbells "doorbell -> tx/sched",
    tx_fetches "tx/sched -> pcie/read, descriptors",
    tx_batches "tx/sched -> tx/parse, batches",
    tx_packets "tx/parse -> tx/gather, packets",
    tx_payload "tx/gather -> pcie/read, payload",
    reads "pcie/read -> pcie/tx, reads",
    tx_gathered "tx/gather -> tx/out, packets",
    tx_beats "tx/out -> tx/framer, beats",
    mac_tx "tx/framer -> MAC, beats",
    tx_done "tx/out -> host/cq, completions",
    mac_rx "MAC -> rx/input, beats",
    rx_frames "rx/input -> rx/assign, frames",
    rx_doorbells "doorbell -> rx/prefetch",
    rx_fetches "rx/prefetch -> pcie/read, descriptors",
    rx_segments "rx/assign -> rx/write, segments",
    rx_payload "rx/write -> pcie/tx, beats",
    rx_done "rx/write -> host/cq, completions",
    cq_lines "host/cq -> pcie/inline, lines",
    messages "irq -> pcie/inline, messages",
    inline_writes "pcie/inline -> pcie/tx, beats",
    link_tx "pcie/tx -> link, beats",
    link_rx "link -> pcie/rx, beats",
    completions "pcie/rx -> pcie/read, completion beats",
}
pub const STREAM_COUNT: usize = 23;
pub const PROBE_BITS: usize = Probe::BITS;

/// The streams of [Probe] within the transmit path.
#[record]
pub struct TxProbe {
    pub batches: Handshake,
    pub packets: Handshake,
    pub gathered: Handshake,
}

/// The streams of [Probe] within the receive path.
#[record]
pub struct RxProbe {
    pub frames: Handshake,
    pub segments: Handshake,
}
