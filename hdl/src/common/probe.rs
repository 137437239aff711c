//! Points at which a card can be watched: `valid` and `ready` of the streams between its stages, on
//! one output that hardware leaves open.
//!
//! Stream i has `valid` at bit 2i and `ready` at bit 2i + 1 of [Card::probe](crate::top::Card). In
//! a cycle with both something moves; with `valid` alone it waits for what follows; with `ready`
//! alone that waits for it.

/// The streams, in the packet's way.
pub const STREAMS: [&str; STREAM_COUNT] = [
    "doorbell -> tx/sched",
    "tx/sched -> pcie/read, descriptors",
    "tx/sched -> tx/parse, batches",
    "tx/parse -> tx/gather, packets",
    "tx/gather -> pcie/read, payload",
    "pcie/read -> pcie/tx, reads",
    "tx/gather -> tx/out, packets",
    "tx/out -> tx/framer, beats",
    "tx/framer -> MAC, beats",
    "tx/out -> host/cq, completions",
    "MAC -> rx/input, beats",
    "rx/input -> rx/assign, frames",
    "doorbell -> rx/prefetch",
    "rx/prefetch -> pcie/read, descriptors",
    "rx/assign -> rx/write, segments",
    "rx/write -> pcie/tx, beats",
    "rx/write -> host/cq, completions",
    "host/cq -> pcie/inline, lines",
    "irq -> pcie/inline, messages",
    "pcie/inline -> pcie/tx, beats",
    "pcie/tx -> link, beats",
    "link -> pcie/rx, beats",
    "pcie/rx -> pcie/read, completion beats",
];
pub const STREAM_COUNT: usize = 23;
pub const PROBE_BITS: usize = 2 * STREAM_COUNT;
