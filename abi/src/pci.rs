//! Configuration space: identity, and where errors are told.

pub const VENDOR_ID: u16 = 0x1d0f;
/// The one of the vendor's ids that every driver knows.
pub const DEVICE_ID: u16 = 0xec20;
/// All ids a driver should take for an ENA card.
pub const DEVICE_IDS: [u16; 4] = [0x0ec2, 0x1ec2, 0xec20, 0xec21];
/// Ethernet controller.
pub const CLASS: u32 = 0x02_00_00;
/// Revision id bit 0: registers can be read by plain reads. Otherwise only writes reach them, and values come by DMA.
pub const REVISION_PLAIN_READS: u8 = 1;

/// PCI Express capability, from its begin: Device Control below Device Status.
pub mod express {
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
