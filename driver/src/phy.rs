//! A queue pair as a device of the smoltcp TCP/IP stack.
//!
//! Frames are received in place, without a copy unless they span several buffers, and built in
//! place, where the card fetches them.

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

use crate::device::Ena;
use crate::dma::{self, DmaBuf};
use crate::error::{QueueFault, Result};
use crate::pci::PciFunction;
use crate::queue::QueuePair;
use crate::rx::RxFrame;
use crate::setup::FRAME_OVERHEAD;
use crate::tx::{Offload, Segment, TxQueue};

/// The header that smoltcp counts in its MTU.
const ETHERNET_HEADER: usize = 14;
/// The card pads shorter frames too; smoltcp's are whole.
const SLOT_ALIGN: usize = 64;

/// Memory for the frames that smoltcp makes. It belongs to one queue pair, which sends nothing
/// else.
pub struct Phy<P: PciFunction> {
    memory: DmaBuf<P::Memory>,
    slot_len: usize,
    free: Vec<u64>,
    mtu: usize,
    fault: Option<QueueFault>,
}

impl<P: PciFunction + Clone> Phy<P> {
    /// Allocates memory for `slots` frames in flight.
    pub fn new(ena: &Ena<P>, slots: usize) -> Result<Self> {
        let mtu = ena.config().mtu;
        let slot_len = ((mtu + FRAME_OVERHEAD) as usize).next_multiple_of(SLOT_ALIGN);
        Ok(Phy {
            memory: dma::alloc(ena.function(), slots.max(1) * slot_len, 4096)?,
            slot_len,
            free: (0..slots.max(1) as u64).collect(),
            mtu: mtu as usize,
            fault: None,
        })
    }

    /// The device for one call of the stack. Frames are sent when it is dropped, all by one doorbell.
    pub fn on<'a>(&'a mut self, pair: &'a mut QueuePair<P, u64>) -> PhyDevice<'a, P> {
        PhyDevice { phy: self, pair }
    }

    /// The fault of the queue pair when its device was last used, if it had one.
    pub fn fault(&self) -> Option<QueueFault> {
        self.fault
    }

    fn reap(&mut self, tx: &mut TxQueue<P, u64>) {
        let free = &mut self.free;
        // The queue keeps a fault, and reports it.
        let _ = tx.reap(usize::MAX, |sent| free.push(sent.token));
    }
}

/// See [Phy::on].
pub struct PhyDevice<'a, P: PciFunction + Clone> {
    phy: &'a mut Phy<P>,
    pair: &'a mut QueuePair<P, u64>,
}

impl<P: PciFunction + Clone> PhyDevice<'_, P> {
    /// Whether there is room for one more frame.
    fn can_send(&mut self) -> bool {
        let tx = &mut self.pair.tx;
        if self.phy.free.is_empty() || tx.free_descriptors() == 0 {
            // Packets without a doorbell would never complete.
            tx.flush();
            self.phy.reap(tx);
        }
        !self.phy.free.is_empty() && tx.free_descriptors() > 0 && tx.fault().is_none()
    }
}

impl<P: PciFunction + Clone> Drop for PhyDevice<'_, P> {
    fn drop(&mut self) {
        self.pair.tx.flush();
        self.phy.reap(&mut self.pair.tx);
        // The fault is read anew: after a reset the pair is another.
        self.phy.fault = self.pair.fault();
    }
}

impl<P: PciFunction + Clone> Device for PhyDevice<'_, P> {
    type RxToken<'a>
        = PhyRxToken<'a, P>
    where
        Self: 'a;
    type TxToken<'a>
        = PhyTxToken<'a, P>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        // smoltcp may answer a frame before it takes the next, so a frame needs room for an answer.
        if !self.can_send() {
            return None;
        }
        let frame = self.pair.rx.receive().ok()??;
        let token = PhyTxToken { phy: self.phy, tx: &mut self.pair.tx };
        Some((PhyRxToken { frame }, token))
    }

    fn transmit(&mut self, _: Instant) -> Option<Self::TxToken<'_>> {
        self.can_send().then_some(PhyTxToken { phy: self.phy, tx: &mut self.pair.tx })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.phy.mtu + ETHERNET_HEADER;
        capabilities
    }
}

pub struct PhyRxToken<'a, P: PciFunction + Clone> {
    frame: RxFrame<'a, P>,
}

impl<P: PciFunction + Clone> RxToken for PhyRxToken<'_, P> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        match self.frame.contiguous() {
            Some(bytes) => f(bytes),
            None => f(&self.frame.to_vec()),
        }
    }
}

pub struct PhyTxToken<'a, P: PciFunction> {
    phy: &'a mut Phy<P>,
    tx: &'a mut TxQueue<P, u64>,
}

impl<P: PciFunction + Clone> TxToken for PhyTxToken<'_, P> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let Phy { memory, slot_len, free, .. } = self.phy;
        let slot = free.pop().expect("checked when the token was made");
        let at = slot as usize * *slot_len;
        assert!(len <= *slot_len, "longer than the device's MTU");
        // SAFETY: the slot is within the memory, and free, so the card does not read it. A slice of
        // the whole memory would also cover slots that the card reads.
        let bytes = unsafe { std::slice::from_raw_parts_mut(memory.ptr().as_ptr().add(at), len) };
        let result = f(bytes);
        // The queue pushes as much of the frame into the card as it can.
        let (header, rest) = bytes.split_at(len.min(self.tx.max_push()));
        let iova = memory.iova() + (at + header.len()) as u64;
        let segment = Segment { iova, len: rest.len() };
        let sent = self.tx.send_pushed(header, &[segment], &Offload::default(), slot);
        if let Err((_, slot)) = sent {
            // The frame is lost, as on a wire.
            free.push(slot);
        }
        result
    }
}
