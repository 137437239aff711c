//! The host link: the card's transaction-layer packets and its management bus over a cable, for
//! boards without PCIe.
//!
//! ```text
//! card ==TLPs==> [send]    ==frames==> [udp]    <==words==> MAC  (gigabit Ethernet)
//! card <==TLPs== [receive] <==frames== [serial] <==bytes==> UART (3 Mbaud)
//! bus  <=======> both
//! ```
//!
//! # Frames
//! A frame is words of 32 bits, least significant byte first on the cable:
//!
//! | word | |
//! |---|---|
//! | 0 | {credit, ack, seq, flags}, 8 bits each |
//! | 1 | {session, words}, 16 bits each: so many words of messages follow |
//!
//! | flag | from | meaning |
//! |---|---|---|
//! | [DATA] | both | messages follow, and `seq` numbers the frame |
//! | [OPEN] | host | begin `session`, with a hard reset of the card |
//! | [ASK] | host | answer even if there is nothing to send |
//! | [NAK] | both | send again from `ack` on |
//! | [IRQ] | card | the level of the management interrupt |
//! | [WIRE] | card | the card's wire has a link |
//!
//! `ack` is the next `seq` expected, `credit` the card's cumulative limit of non-posted requests.
//!
//! | message | its first word is {info 16, words 8, type 8} | then |
//! |---|---|---|
//! | [TLP] | words of data | 4 of header, data |
//! | [BUS_READ], [BUS_WRITE] | address in info | nothing; the value |
//! | [BUS_VALUE] | | the value |
//! | [BOARD_READ] | number of a board register in info | nothing, answered by [BUS_VALUE] |
//! | [BOARD_WRITE] | number of a board register in info | the value |
//!
//! # Delivery
//! Each side numbers its frames with [DATA], keeps them until they are acknowledged, and accepts
//! only the frame that it expects next (go-back-N). A frame that is damaged, of another session or
//! out of order is dropped. The card answers with [NAK] to a frame ahead of the one expected, and
//! to a frame for which it has no room; it acknowledges a copy of an earlier frame again. The card
//! sends its frames again if none was acknowledged for `_patience` cycles. So every message arrives
//! once and in order, or the session ends.

pub mod credit;
pub mod receive;
pub mod send;
pub mod serial;
pub mod uart;
pub mod udp;

use nitor_rtl::prelude::*;

/// A word of a frame from the cable.
#[record]
pub struct WordIn {
    pub data: Bits<32>,
    pub last: Bit,
    /// With `last`: the frame is damaged.
    pub err: Bit,
}

/// A word of a frame to the cable.
#[record]
pub struct WordOut {
    pub data: Bits<32>,
    pub last: Bit,
}

/// The flags of a frame, [DATA] lowest.
#[record]
pub struct Flags {
    pub data: Bit,
    pub open: Bit,
    pub irq: Bit,
    pub wire: Bit,
    pub nak: Bit,
    pub ask: Bit,
    pub none: Bits<2>,
}

/// Word 0 of a frame.
#[record]
pub struct Word0 {
    pub flags: Flags,
    pub seq: Bits<8>,
    pub ack: Bits<8>,
    pub credit: Bits<8>,
}

/// Word 1 of a frame.
#[record]
pub struct Word1 {
    pub words: Bits<16>,
    pub session: Bits<16>,
}

/// The first word of a message.
#[record]
pub struct Message {
    pub kind: Bits<8>,
    pub words: Bits<8>,
    pub info: Bits<16>,
}

pub const DATA: u64 = 0x01;
pub const OPEN: u64 = 0x02;
pub const IRQ: u64 = 0x04;
pub const WIRE: u64 = 0x08;
pub const NAK: u64 = 0x10;
pub const ASK: u64 = 0x20;

pub const TLP: u64 = 1;
pub const BUS_READ: u64 = 2;
pub const BUS_WRITE: u64 = 3;
pub const BUS_VALUE: u64 = 4;
pub const BOARD_READ: u64 = 5;
pub const BOARD_WRITE: u64 = 6;

/// Words of messages that a frame may hold. With all headers the Ethernet frame has at most 1,514
/// bytes.
pub const MOST_WORDS: usize = 364;
/// Words of the longest message: a TLP with 512 bytes.
pub const LONGEST: usize = 133;
