//! BAR0: the control registers, which ENA defines, and this card's layout of the rest, which it tells drivers in answers
//! to admin commands.

use crate::record::{byte, word};

/// Bytes of BAR0.
pub const LEN: u64 = 0x4000;

addresses! {
    /// The control registers, which ENA defines.
    CONTROL: u32 {
        /// See [Version].
        VERSION = 0x00, RO;
        /// See [ControllerVersion].
        CONTROLLER_VERSION = 0x04, RO;
        /// See [Caps].
        CAPS = 0x08, RO;
        /// Reads 0.
        CAPS_EXT = 0x0c, RO;
        AQ_BASE_LO = 0x10, WO;
        AQ_BASE_HI = 0x14, WO;
        /// See [QueueCaps].
        AQ_CAPS = 0x18, WO;
        ACQ_BASE_LO = 0x20, WO;
        ACQ_BASE_HI = 0x24, WO;
        /// See [QueueCaps].
        ACQ_CAPS = 0x28, WO;
        /// Tail of the admin queue.
        AQ_DB = 0x2c, WO;
        /// Reads 0.
        ACQ_TAIL = 0x30, RO;
        /// See [QueueCaps].
        AENQ_CAPS = 0x34, WO;
        AENQ_BASE_LO = 0x38, WO;
        AENQ_BASE_HI = 0x3c, WO;
        /// Head of the event queue.
        AENQ_HEAD_DB = 0x40, WO;
        /// Reads 0.
        AENQ_TAIL = 0x44, RO;
        /// Bit 0 masks vector 0.
        INTR_MASK = 0x4c, RW;
        /// See [DevCtl].
        DEV_CTL = 0x54, WO;
        /// See [DevSts].
        DEV_STS = 0x58, RO;
        /// See [ReadlessRequest].
        MMIO_REG_READ = 0x5c, WO;
        /// Where [ReadlessResponse] goes.
        MMIO_RESP_LO = 0x60, WO;
        MMIO_RESP_HI = 0x64, WO;
        /// Taken without effect.
        RSS_IND_ENTRY_UPDATE = 0x68, WO;
    }
}

// This card's own part.
/// Doorbells of TX queues, 4 bytes each.
pub const TX_DOORBELLS: u32 = 0x1000;
/// Doorbells of RX queues, 4 bytes each.
pub const RX_DOORBELLS: u32 = 0x1400;
/// Interrupt registers of vectors, 4 bytes each.
pub const INTERRUPTS: u32 = 0x1800;
/// Interrupt register of completion queues without a vector: takes writes without effect.
pub const INTERRUPT_NONE: u32 = 0x1c00;
pub const MSIX_TABLE: u32 = 0x2000;
pub const MSIX_PBA: u32 = 0x3000;

pub const fn tx_doorbell(queue: u8) -> u32 {
    TX_DOORBELLS + 4 * queue as u32
}

pub const fn rx_doorbell(queue: u8) -> u32 {
    RX_DOORBELLS + 4 * queue as u32
}

pub const fn interrupt(vector: u8) -> u32 {
    INTERRUPTS + 4 * vector as u32
}

register! {
    /// VERSION of the interface.
    Version {
        minor: u8 = byte(0, 7, 0);
        major: u8 = byte(1, 7, 0);
    }
}

register! {
    ControllerVersion {
        subminor: u8 = byte(0, 7, 0);
        minor: u8 = byte(1, 7, 0);
        major: u8 = byte(2, 7, 0);
        implementation: u8 = byte(3, 7, 0);
    }
}

register! {
    Caps {
        contiguous_queue_required: bool = word(0, 0, 0);
        /// In units of 100 ms.
        reset_timeout: u8 = word(0, 5, 1);
        dma_addr_width: u8 = word(0, 15, 8);
        /// In units of 100 ms; 0: the driver's choice.
        admin_cmd_timeout: u8 = word(0, 19, 16);
    }
}

register! {
    /// AQ_CAPS, ACQ_CAPS, AENQ_CAPS.
    QueueCaps {
        depth: u16 = word(0, 15, 0);
        /// In bytes.
        entry_size: u16 = word(0, 31, 16);
    }
}

register! {
    DevCtl {
        dev_reset: bool = word(0, 0, 0);
        aq_restart: bool = word(0, 1, 1);
        quiescent: bool = word(0, 2, 2);
        io_resume: bool = word(0, 3, 3);
        /// See [ResetReason].
        reset_reason: u8 = word(0, 31, 28), word(0, 27, 24);
    }
}

register! {
    DevSts {
        ready: bool = word(0, 0, 0);
        aq_restart_in_progress: bool = word(0, 1, 1);
        aq_restart_finished: bool = word(0, 2, 2);
        reset_in_progress: bool = word(0, 3, 3);
        reset_finished: bool = word(0, 4, 4);
        fatal_error: bool = word(0, 5, 5);
        quiescent_in_progress: bool = word(0, 6, 6);
        quiescent_achieved: bool = word(0, 7, 7);
    }
}

register! {
    /// MMIO_REG_READ: asks for a register's value by DMA.
    ReadlessRequest {
        req_id: u16 = word(0, 15, 0);
        offset: u16 = word(0, 31, 16);
    }
}

record! {
    /// What a [ReadlessRequest] puts at the address in MMIO_RESP.
    ReadlessResponse: 8 {
        req_id: u16 = word(0, 15, 0);
        offset: u16 = word(0, 31, 16);
        value: u32 = word(1, 31, 0);
    }
}

register! {
    /// A completion queue's interrupt register. Delays are in units of what feature 20 tells.
    Interrupt {
        rx_delay: u16 = word(0, 14, 0);
        tx_delay: u16 = word(0, 29, 15);
        unmask: bool = word(0, 30, 30);
        keep_delays: bool = word(0, 31, 31);
    }
}

/// Why a driver resets the card, told in DEV_CTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ResetReason {
    Normal = 0,
    KeepAliveTimeout = 1,
    AdminTimeout = 2,
    MissingTxCompletion = 3,
    InvalidRxReqId = 4,
    InvalidTxReqId = 5,
    TooManyRxDescs = 6,
    InitError = 7,
    DriverInvalidState = 8,
    OsTrigger = 9,
    OsNetdevWatchdog = 10,
    Shutdown = 11,
    UserTrigger = 12,
    Generic = 13,
    MissInterrupt = 14,
    SuspectedPollStarvation = 15,
    RxDescriptorMalformed = 16,
    TxDescriptorMalformed = 17,
    MissingAdminInterrupt = 18,
    DeviceRequest = 19,
    MissFirstInterrupt = 20,
}
