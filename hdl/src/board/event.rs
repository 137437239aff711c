//! What a board's core counts.

use nitor_rtl::prelude::*;

/// The events of the wire's MAC, then of the link's MAC: see [crate::eth::mac::event].
pub const WIRE_MAC: usize = 0;
pub const LINK_MAC: usize = 7;
/// How many events come from outside the core.
pub const OUTSIDE: usize = 14;
pub const LINK_FRAMES: usize = 14;
pub const LINK_DAMAGED: usize = 15;
pub const LINK_OUT_OF_ORDER: usize = 16;
pub const LINK_SENT: usize = 17;
pub const LINK_SENT_AGAIN: usize = 18;
pub const COUNT: usize = 19;

pub const NAMES: [&str; COUNT] = [
    "wire: frames sent",
    "wire: frames aborted",
    "wire: frames received",
    "wire: bad FCS",
    "wire: runts",
    "wire: giants",
    "wire: lost",
    "link: Ethernet frames sent",
    "link: Ethernet frames aborted",
    "link: Ethernet frames received",
    "link: bad FCS",
    "link: runts",
    "link: giants",
    "link: lost",
    "link: frames received",
    "link: frames damaged",
    "link: frames out of order or without room",
    "link: frames sent",
    "link: sent again",
];

/// The events of a cycle, in the order of their counters.
#[record]
pub struct Events {
    pub outside: Outside,
    pub link_frame: Bit,
    pub link_damaged: Bit,
    pub link_out_of_order: Bit,
    pub link_sent: Bit,
    pub link_sent_again: Bit,
}

/// The events from outside the core, see [crate::eth::mac::event].
#[record]
pub struct Outside {
    pub wire_mac: Bits<7>,
    pub link_mac: Bits<7>,
}
