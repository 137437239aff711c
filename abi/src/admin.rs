//! Admin queue: entries, commands and their answers. Entries are 64 bytes; places are counted from an entry's start.

use crate::record::{at, byte, word};

pub const ENTRY_LEN: usize = 64;
/// An entry of the admin queue or its completion queue.
pub type Entry = [u8; ENTRY_LEN];

/// Where the payload of a SET_FEATURE begins.
pub const SET_PAYLOAD: usize = 20;
/// Where the body of an answer begins.
pub const ANSWER: usize = 8;
/// Vector of a completion queue that never interrupts.
pub const NO_VECTOR: u32 = u32::MAX;

/// `N` bytes of `entry` from `offset` on, for a record's `from_bytes`.
pub fn part<const N: usize>(entry: &Entry, offset: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&entry[offset..offset + N]);
    bytes
}

record! {
    /// What every command begins with.
    CommandHeader: 4 {
        /// 12 bits, echoed.
        command_id: u16 = word(0, 11, 0);
        opcode: u8 = word(0, 23, 16);
        phase: bool = word(0, 24, 24);
        /// Nobody sets it.
        ctrl_data: bool = word(0, 25, 25);
        /// Set with every control buffer, which is direct all the same.
        ctrl_data_indirect: bool = word(0, 26, 26);
    }
}

record! {
    /// The control buffer of a command, at byte 4.
    ControlBuffer: 12 {
        length: u32 = at(0, 4);
        address: u64 = at(4, 6);
    }
}
/// Where [ControlBuffer] is in a command.
pub const CONTROL_BUFFER: usize = 4;

record! {
    /// What every answer begins with. The dword of `phase` is written last.
    AnswerHeader: 8 {
        command_id: u16 = word(0, 11, 0);
        status: u8 = word(0, 23, 16);
        phase: bool = word(0, 24, 24);
        extended_status: u16 = at(4, 2);
        /// Commands taken so far.
        sq_head: u16 = at(6, 2);
    }
}

record! {
    CreateCq: 64 {
        interrupt_mode: bool = byte(4, 5, 5);
        /// Entry size in dwords.
        entry_words: u8 = byte(5, 4, 0);
        depth: u16 = at(6, 2);
        vector: u32 = at(8, 4);
        base: u64 = at(12, 6);
    }
}

record! {
    /// Answer to [CreateCq], its body.
    CreateCqAnswer: 16 {
        cq_idx: u16 = at(0, 2);
        actual_depth: u16 = at(2, 2);
        /// In BAR0; 0: none.
        numa_register: u32 = at(4, 4);
        /// In BAR0; 0: none.
        head_doorbell: u32 = at(8, 4);
        interrupt_register: u32 = at(12, 4);
    }
}

record! {
    DestroyCq: 64 {
        cq_idx: u16 = at(4, 2);
    }
}

record! {
    CreateSq: 64 {
        /// See [Direction].
        direction: u8 = byte(4, 7, 5);
        /// See [placement].
        placement: u8 = byte(6, 3, 0);
        completion_policy: u8 = byte(6, 6, 4);
        contiguous: bool = byte(7, 0, 0);
        cq_idx: u16 = at(8, 2);
        depth: u16 = at(10, 2);
        base: u64 = at(12, 6);
        head_writeback: u64 = at(20, 6);
    }
}

record! {
    /// Answer to [CreateSq], its body.
    CreateSqAnswer: 16 {
        sq_idx: u16 = at(0, 2);
        /// In BAR0.
        doorbell: u32 = at(4, 4);
        llq_descriptors: u32 = at(8, 4);
        llq_headers: u32 = at(12, 4);
    }
}

record! {
    DestroySq: 64 {
        sq_idx: u16 = at(4, 2);
        /// See [Direction].
        direction: u8 = byte(6, 7, 5);
    }
}

record! {
    /// GET_FEATURE and SET_FEATURE.
    FeatureCommand: 64 {
        /// 1 current, 3 default; drivers send 0 and mean current.
        select: u8 = byte(16, 1, 0);
        feature: u8 = at(17, 1);
        version: u8 = at(18, 1);
    }
}

record! {
    GetStats: 64 {
        /// See [stats].
        kind: u8 = at(16, 1);
        scope: u8 = at(17, 1);
        queue_idx: u16 = at(20, 2);
        device_id: u16 = at(22, 2);
        /// Stale unless `kind` is [stats::CUSTOMER].
        requested_metrics: u64 = at(24, 8);
    }
}

record! {
    /// Answer to [GetStats] of [stats::BASIC], its body.
    BasicStats: 56 {
        tx_bytes: u64 = at(0, 8);
        tx_packets: u64 = at(8, 8);
        rx_bytes: u64 = at(16, 8);
        rx_packets: u64 = at(24, 8);
        rx_drops: u64 = at(32, 8);
        tx_drops: u64 = at(40, 8);
        rx_overruns: u64 = at(48, 8);
    }
}

record! {
    /// Answer to [GetStats] of [stats::ENI], its body: packets dropped at a limit.
    EniStats: 40 {
        bw_in_exceeded: u64 = at(0, 8);
        bw_out_exceeded: u64 = at(8, 8);
        pps_exceeded: u64 = at(16, 8);
        conntrack_exceeded: u64 = at(24, 8);
        linklocal_exceeded: u64 = at(32, 8);
    }
}

/// `kind` of [GetStats].
pub mod stats {
    pub const BASIC: u8 = 0;
    /// No driver in the field asks for them. Here: all of the card's counters, [Counter](crate::mgmt::Counter) by counter as
    /// 64 bits each, in the control buffer.
    pub const EXTENDED: u8 = 1;
    pub const ENI: u8 = 2;
    pub const SRD: u8 = 3;
    pub const CUSTOMER: u8 = 4;
}

/// `placement` of [CreateSq].
pub mod placement {
    pub const HOST: u8 = 1;
    pub const DEVICE: u8 = 3;
}

/// `direction` of [CreateSq] and [DestroySq].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    Tx = 1,
    Rx = 2,
}

impl TryFrom<u8> for Direction {
    type Error = u8;

    fn try_from(direction: u8) -> Result<Self, u8> {
        match direction {
            1 => Ok(Direction::Tx),
            2 => Ok(Direction::Rx),
            other => Err(other),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    CreateSq = 1,
    DestroySq = 2,
    CreateCq = 3,
    DestroyCq = 4,
    GetFeature = 8,
    SetFeature = 9,
    GetStats = 11,
}

impl TryFrom<u8> for Opcode {
    type Error = u8;

    fn try_from(opcode: u8) -> Result<Self, u8> {
        Ok(match opcode {
            1 => Opcode::CreateSq,
            2 => Opcode::DestroySq,
            3 => Opcode::CreateCq,
            4 => Opcode::DestroyCq,
            8 => Opcode::GetFeature,
            9 => Opcode::SetFeature,
            11 => Opcode::GetStats,
            other => return Err(other),
        })
    }
}

/// `status` of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    Success = 0,
    /// Drivers try again with smaller rings.
    ResourceAllocationFailure = 1,
    BadOpcode = 2,
    /// The only one that drivers take for "feature absent".
    UnsupportedOpcode = 3,
    MalformedRequest = 4,
    IllegalParameter = 5,
    UnknownError = 6,
    ResourceBusy = 7,
}

impl TryFrom<u8> for Status {
    type Error = u8;

    fn try_from(status: u8) -> Result<Self, u8> {
        Ok(match status {
            0 => Status::Success,
            1 => Status::ResourceAllocationFailure,
            2 => Status::BadOpcode,
            3 => Status::UnsupportedOpcode,
            4 => Status::MalformedRequest,
            5 => Status::IllegalParameter,
            6 => Status::UnknownError,
            7 => Status::ResourceBusy,
            other => return Err(other),
        })
    }
}
