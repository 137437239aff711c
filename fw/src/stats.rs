//! Statistics of the port, from counters that the card never clears.

use nitor_abi::admin::{BasicStats, EniStats};
use nitor_abi::mgmt::Counter;

use crate::hw::Hw;

#[derive(Clone, Copy)]
pub(crate) struct Totals {
    pub tx_frames: u64,
    pub tx_bytes: u64,
    pub rx_frames: u64,
    pub rx_bytes: u64,
    /// Frames dropped on their way to the host, because no descriptor was posted or for another
    /// reason.
    pub rx_drops: u64,
    /// Of `rx_drops`, those without a posted descriptor.
    pub rx_overruns: u64,
    /// Of `rx_drops`, those without room in the card: the wire delivers more than the link to the
    /// host carries.
    pub rx_no_room: u64,
    pub tx_drops: u64,
}

/// All counters since power-on.
pub(crate) fn counters(hw: &mut Hw<'_>) -> [u8; 8 * Counter::ALL.len()] {
    let mut bytes = [0; 8 * Counter::ALL.len()];
    for (counter, into) in Counter::ALL.iter().zip(bytes.chunks_exact_mut(8)) {
        into.copy_from_slice(&hw.read_address(counter.address()).to_le_bytes());
    }
    bytes
}

impl Totals {
    pub fn read(hw: &mut Hw<'_>) -> Self {
        let mut read = |counter: Counter| hw.read_address(counter.address());
        let rx_overruns = read(Counter::RxDropsNoDescriptor);
        let rx_no_room = read(Counter::RxDropsNoRoom);
        Totals {
            tx_frames: read(Counter::TxFrames),
            tx_bytes: read(Counter::TxBytes),
            rx_frames: read(Counter::RxFrames),
            rx_bytes: read(Counter::RxBytes),
            rx_drops: rx_overruns
                + rx_no_room
                + read(Counter::RxDropsBadFrame)
                + read(Counter::RxDropsNoQueue)
                + read(Counter::RxDropsDmaError),
            rx_overruns,
            rx_no_room,
            tx_drops: read(Counter::TxDropsDmaError) + read(Counter::TxDropsBadDescriptor),
        }
    }

    pub fn since(&self, before: &Totals) -> Totals {
        Totals {
            tx_frames: self.tx_frames.wrapping_sub(before.tx_frames),
            tx_bytes: self.tx_bytes.wrapping_sub(before.tx_bytes),
            rx_frames: self.rx_frames.wrapping_sub(before.rx_frames),
            rx_bytes: self.rx_bytes.wrapping_sub(before.rx_bytes),
            rx_drops: self.rx_drops.wrapping_sub(before.rx_drops),
            rx_overruns: self.rx_overruns.wrapping_sub(before.rx_overruns),
            rx_no_room: self.rx_no_room.wrapping_sub(before.rx_no_room),
            tx_drops: self.tx_drops.wrapping_sub(before.tx_drops),
        }
    }

    /// Of the limits that these statistics count, the card has one: the rate at which it delivers
    /// received frames. It limits nothing on purpose.
    pub fn eni_stats(&self) -> EniStats {
        EniStats { bw_in_exceeded: self.rx_no_room, ..Default::default() }
    }

    pub fn basic_stats(&self) -> BasicStats {
        BasicStats {
            tx_bytes: self.tx_bytes,
            tx_packets: self.tx_frames,
            rx_bytes: self.rx_bytes,
            rx_packets: self.rx_frames,
            rx_drops: self.rx_drops,
            tx_drops: self.tx_drops,
            rx_overruns: self.rx_overruns,
        }
    }
}
