//! Identity in configuration space.

pub const VENDOR_ID: u16 = 0x1d0f;
/// The one of the vendor's ids that every driver knows.
pub const DEVICE_ID: u16 = 0xec20;
/// All ids a driver should take for an ENA card.
pub const DEVICE_IDS: [u16; 4] = [0x0ec2, 0x1ec2, 0xec20, 0xec21];
/// Ethernet controller.
pub const CLASS: u32 = 0x02_00_00;
/// Revision id bit 0: registers can be read by plain reads. Otherwise only writes reach them, and values come by DMA.
pub const REVISION_PLAIN_READS: u8 = 1;
