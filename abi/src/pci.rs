//! Configuration space: identity, where its registers are, and where errors are told.

use crate::record::word;

pub const VENDOR_ID: u16 = 0x1d0f;
/// The one of the vendor's ids that every driver knows.
pub const DEVICE_ID: u16 = 0xec20;
/// All ids a driver should take for an ENA card.
pub const DEVICE_IDS: [u16; 4] = [0x0ec2, 0x1ec2, 0xec20, 0xec21];
/// Ethernet controller.
pub const CLASS: u32 = 0x02_00_00;
/// Revision id bit 0: registers can be read by plain reads. Otherwise only writes reach them, and values come by DMA.
pub const REVISION_PLAIN_READS: u8 = 1;

/// The type 0 header's registers, by dwords.
pub mod header {
    /// Vendor below device.
    pub const ID: u16 = 0x00;
    /// [CommandStatus](super::CommandStatus).
    pub const COMMAND: u16 = 0x04;
    /// Revision below class.
    pub const CLASS: u16 = 0x08;
    pub const CACHE_LINE: u16 = 0x0c;
    pub const BAR0: u16 = 0x10;
    pub const BAR2_LO: u16 = 0x18;
    pub const BAR2_HI: u16 = 0x1c;
    pub const SUBSYSTEM: u16 = 0x2c;
    pub const CAPABILITIES: u16 = 0x34;
    pub const INTERRUPT_LINE: u16 = 0x3c;
}

/// Of a BAR: it is a 64-bit address of prefetchable memory.
pub const BAR_64_PREFETCHABLE: u32 = 0xc;

register! {
    /// Command, and Status above it.
    CommandStatus {
        memory: bool = word(0, 1, 1);
        bus_master: bool = word(0, 2, 2);
        parity_response: bool = word(0, 6, 6);
        serr: bool = word(0, 8, 8);
        intx_disable: bool = word(0, 10, 10);
        capabilities: bool = word(0, 20, 20);
        master_data_parity: bool = word(0, 24, 24);
        signaled_target_abort: bool = word(0, 27, 27);
        received_target_abort: bool = word(0, 28, 28);
        received_master_abort: bool = word(0, 29, 29);
        signaled_system_error: bool = word(0, 30, 30);
        detected_parity: bool = word(0, 31, 31);
    }
}

/// Power management: registers, from the capability's begin.
pub mod power {
    pub const AT: u16 = 0x40;
    pub const ID: u16 = 1;
    pub const CONTROL: u16 = 4;
}

register! {
    /// Power management's control.
    PowerControl {
        /// 0 D0, 3 D3hot.
        state: u8 = word(0, 1, 0);
        no_soft_reset: bool = word(0, 3, 3);
    }
}

/// MSI-X: registers, from the capability's begin.
pub mod msix {
    pub const AT: u16 = 0x48;
    pub const ID: u16 = 0x11;
    pub const TABLE: u16 = 4;
    pub const PBA: u16 = 8;
}

register! {
    /// MSI-X's first dword.
    MsixControl {
        id: u8 = word(0, 7, 0);
        next: u8 = word(0, 15, 8);
        /// Vectors less 1.
        last_vector: u16 = word(0, 26, 16);
        function_mask: bool = word(0, 30, 30);
        enable: bool = word(0, 31, 31);
    }
}

/// A vector of the MSI-X table: dwords, from its begin.
pub mod msix_entry {
    pub const LEN: u16 = 16;
    pub const ADDRESS_LO: u16 = 0;
    pub const ADDRESS_HI: u16 = 4;
    pub const DATA: u16 = 8;
    /// Bit 0: masked.
    pub const CONTROL: u16 = 12;
}

/// PCI Express capability, from its begin: Device Control below Device Status.
pub mod express {
    pub const AT: u16 = 0x60;
    pub const ID: u16 = 0x10;
    pub const DEVICE_CAPABILITIES: u16 = 4;
    pub const LINK_CAPABILITIES: u16 = 0xc;
    /// Link Control below Link Status.
    pub const LINK_CONTROL: u16 = 0x10;
    pub const DEVICE_CAPABILITIES_2: u16 = 0x24;
    pub const DEVICE_CONTROL_2: u16 = 0x28;
    pub const LINK_CAPABILITIES_2: u16 = 0x2c;
    /// Link Control 2 below Link Status 2.
    pub const LINK_CONTROL_2: u16 = 0x30;
    pub const DEVICE_CONTROL: u16 = 8;
    /// Device Control: correctable, non-fatal and fatal errors and unsupported requests are reported by messages.
    pub const REPORT_ALL: u32 = 0xf;
    /// Of the dword at [DEVICE_CONTROL], the bits of Device Status.
    pub const CORRECTABLE: u32 = 1 << 16;
    pub const NON_FATAL: u32 = 1 << 17;
    pub const FATAL: u32 = 1 << 18;
    pub const UNSUPPORTED: u32 = 1 << 19;
    pub const TRANSACTIONS_PENDING: u32 = 1 << 21;
}

register! {
    /// Device Control, and Device Status above it.
    DeviceControl {
        report_correctable: bool = word(0, 0, 0);
        report_non_fatal: bool = word(0, 1, 1);
        report_fatal: bool = word(0, 2, 2);
        report_unsupported: bool = word(0, 3, 3);
        relaxed_ordering: bool = word(0, 4, 4);
        /// 128 bytes times a power of 2, this one.
        max_payload: u8 = word(0, 7, 5);
        extended_tags: bool = word(0, 8, 8);
        no_snoop: bool = word(0, 11, 11);
        /// As `max_payload`.
        max_read_request: u8 = word(0, 14, 12);
        function_reset: bool = word(0, 15, 15);
        correctable: bool = word(0, 16, 16);
        non_fatal: bool = word(0, 17, 17);
        fatal: bool = word(0, 18, 18);
        unsupported: bool = word(0, 19, 19);
        transactions_pending: bool = word(0, 21, 21);
    }
}

/// Secondary PCI Express: registers, from the capability's begin.
pub mod secondary {
    pub const ID: u16 = 0x19;
    pub const AT: u16 = 0x148;
    /// Equalization control, two lanes a dword.
    pub const LANES: u16 = 0xc;
}

register! {
    /// Status, mask and severity of advanced error reporting: one bit for each kind of error.
    Uncorrectable {
        data_link: bool = word(0, 4, 4);
        poisoned: bool = word(0, 12, 12);
        timeout: bool = word(0, 14, 14);
        aborted: bool = word(0, 15, 15);
        unexpected: bool = word(0, 16, 16);
        overflow: bool = word(0, 17, 17);
        malformed: bool = word(0, 18, 18);
        unsupported: bool = word(0, 20, 20);
    }
}

register! {
    /// The same of correctable errors.
    Correctable {
        receiver: bool = word(0, 0, 0);
        bad_tlp: bool = word(0, 6, 6);
        bad_dllp: bool = word(0, 7, 7);
        replay_rollover: bool = word(0, 8, 8);
        replay_timer: bool = word(0, 12, 12);
        advisory: bool = word(0, 13, 13);
    }
}

/// Of the dword at 4, the bits of Status that tell of errors.
pub mod status {
    pub const MASTER_DATA_PARITY: u32 = 1 << 24;
    pub const SIGNALED_TARGET_ABORT: u32 = 1 << 27;
    pub const RECEIVED_TARGET_ABORT: u32 = 1 << 28;
    pub const RECEIVED_MASTER_ABORT: u32 = 1 << 29;
    pub const SIGNALED_SYSTEM_ERROR: u32 = 1 << 30;
    pub const DETECTED_PARITY: u32 = 1 << 31;
    pub const ALL: u32 = 0xf900_0000;
}

/// Advanced error reporting: registers, from the capability's begin; and errors of the card in those of uncorrectable ones.
pub mod aer {
    pub const ID: u16 = 1;
    pub const AT: u16 = 0x100;
    pub const STATUS: u16 = 0x04;
    pub const MASK: u16 = 0x08;
    pub const SEVERITY: u16 = 0x0c;
    pub const CORRECTABLE_STATUS: u16 = 0x10;
    pub const CORRECTABLE_MASK: u16 = 0x14;
    /// Bits 4:0 are the number of the first error.
    pub const CONTROL: u16 = 0x18;
    /// The header's four dwords.
    pub const LOG: u16 = 0x1c;

    pub const POISONED: u32 = 1 << 12;
    pub const TIMEOUT: u32 = 1 << 14;
    pub const ABORTED: u32 = 1 << 15;
    pub const UNEXPECTED: u32 = 1 << 16;
    pub const OVERFLOW: u32 = 1 << 17;
    pub const MALFORMED: u32 = 1 << 18;
    pub const UNSUPPORTED: u32 = 1 << 20;
    /// Of correctable errors: one that is reported by somebody else, too.
    pub const ADVISORY: u32 = 1 << 13;
}
