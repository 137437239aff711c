//! Asynchronous events: entries of the AENQ.

use crate::record::{at, byte, word};

pub const ENTRY_LEN: usize = 64;
/// Where an entry's payload begins.
pub const PAYLOAD: usize = 16;
/// `syndrome` of a notification whose payload is [Hints](crate::feature::Hints).
pub const SYNDROME_UPDATE_HINTS: u16 = 2;

record! {
    /// What every entry begins with. The dword of `phase` is written last.
    EventHeader: 16 {
        group: u16 = at(0, 2);
        syndrome: u16 = at(2, 2);
        phase: bool = byte(4, 0, 0);
        timestamp: u64 = at(8, 8);
    }
}

record! {
    /// Payload of [Group::LinkChange].
    LinkChange: 4 {
        up: bool = word(0, 0, 0);
    }
}

record! {
    /// Payload of [Group::KeepAlive]: totals since the last reset.
    KeepAlive: 24 {
        rx_drops: u64 = at(0, 8);
        tx_drops: u64 = at(8, 8);
        rx_overruns: u64 = at(16, 8);
    }
}

/// Groups of events; each is bit `1 << group` of feature 26.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Group {
    LinkChange = 0,
    FatalError = 1,
    Warning = 2,
    Notification = 3,
    KeepAlive = 4,
    RefreshCapabilities = 5,
    ConfNotifications = 6,
    DeviceRequestReset = 7,
}

impl Group {
    pub const fn bit(self) -> u32 {
        1 << self as u16
    }
}

impl TryFrom<u16> for Group {
    type Error = u16;

    fn try_from(group: u16) -> Result<Self, u16> {
        Ok(match group {
            0 => Group::LinkChange,
            1 => Group::FatalError,
            2 => Group::Warning,
            3 => Group::Notification,
            4 => Group::KeepAlive,
            5 => Group::RefreshCapabilities,
            6 => Group::ConfNotifications,
            7 => Group::DeviceRequestReset,
            other => return Err(other),
        })
    }
}
