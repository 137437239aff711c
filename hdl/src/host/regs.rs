//! The ENA control registers, BAR0 0x00..0xFF.
//!
//! VERSION, CONTROLLER_VERSION, CAPS, INTR_MASK bit 0 and DEV_STS can be read; the rest is 0. No
//! register can be made to read 0xFFFFFFFF. DEV_STS.READY is always 1: a driver that finds the card
//! left in a reset by its predecessor gives up on READY = 0, but restarts the reset on READY = 1.
//!
//! Writes honour byte enables; MMIO_REG_READ acts on whole dwords only. While `reset_in_progress`
//! is high only DEV_CTL, MMIO_REG_READ and MMIO_RESP can be written: the firmware takes nothing
//! from before the reset for what comes after. INTR_MASK is 1 after a reset. MMIO_RESP is an
//! address again when its upper half was written: hosts write the lower one first.
//!
//! An access takes 2 cycles. `shadow` and `peek_data` answer one cycle after their address. Pulses
//! come in the cycle after the write was taken, with the new value already in the register.

use super::readless::ReadlessRequest;
use crate::common::iface::*;
use nitor_abi::{bar, mgmt};
use nitor_rtl::prelude::*;

#[record(layout = nitor_abi::bar::Version)]
pub struct Version {
    minor: Bits<8>,
    major: Bits<8>,
}

#[record(layout = nitor_abi::bar::ControllerVersion)]
pub struct ControllerVersion {
    subminor: Bits<8>,
    implementation: Bits<8>,
}

#[record(layout = nitor_abi::bar::Caps)]
pub struct Caps {
    contiguous_queue_required: Bit,
    reset_timeout: Bits<5>,
    dma_addr_width: Bits<8>,
}

#[record(layout = nitor_abi::bar::DevSts)]
pub struct DevSts {
    ready: Bit,
    reset_in_progress: Bit,
}

#[record(layout = nitor_abi::bar::DevCtl)]
pub struct DevCtl {
    dev_reset: Bit,
}

/// What the host reads at `addr`.
#[kernel]
fn read_register(addr: Bits<16>, masked: Bit, in_reset: Bit) -> Bits<32> {
    match addr {
        bar::VERSION => Version { minor: lit::<8>(10), major: lit::<8>(0) }.to_bits::<32>(),
        bar::CONTROLLER_VERSION => {
            ControllerVersion { subminor: lit::<8>(1), implementation: lit::<8>(1) }.to_bits::<32>()
        }
        // Reset timeout 1 s; the driver's own admin timeout.
        bar::CAPS => Caps {
            contiguous_queue_required: true,
            reset_timeout: lit::<5>(10),
            dma_addr_width: lit::<8>(48),
        }
        .to_bits::<32>(),
        bar::INTR_MASK => bit_cast::<32, 1>(masked.into()),
        bar::DEV_STS => DevSts { ready: true, reset_in_progress: in_reset }.to_bits::<32>(),
        _ => lit::<32>(0),
    }
}

#[derive(LogicBlock, Default)]
pub struct EnaRegs {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub bus: RegBusSnk,
    /// Clears all but DEV_CTL and MMIO_RESP.
    pub regs_clear: Signal<In, Bit>,
    /// Clears all registers.
    pub function_reset: Signal<In, Bit>,
    pub reset_in_progress: Signal<In, Bit>,

    /// DEV_CTL was written; bit 0 of the register as it is now.
    pub dev_ctl_written: Signal<Out, Bit>,
    pub dev_reset: Signal<Out, Bit>,
    pub aq_db_written: Signal<Out, Bit>,
    pub aenq_head_db_written: Signal<Out, Bit>,
    pub intr_mask_written: Signal<Out, Bit>,
    /// Vector 0 is masked by INTR_MASK.
    pub intr_masked: Signal<Out, Bit>,

    /// MMIO_REG_READ was written with `readless_req`.
    pub readless_valid: Signal<Out, Bit>,
    pub readless_req: Signal<Out, ReadlessRequest>,
    pub mmio_resp: Signal<Out, Bits<64>>,
    /// A half of MMIO_RESP was written.
    pub mmio_resp_written: Signal<Out, Bit>,
    /// The lower half was written, and the upper one is still to come.
    pub mmio_resp_half: Signal<Out, Bit>,
    /// A register's value as the host reads it, one cycle later.
    pub peek_addr: Signal<In, Bits<16>>,
    pub peek_data: Signal<Out, Bits<32>>,

    /// Copies for the firmware in the management bus's order (0 AQ_BASE_LO .. 12 DEV_CTL), one
    /// cycle later.
    pub shadow_index: Signal<In, Bits<4>>,
    pub shadow: Signal<Out, Bits<32>>,

    ready: Reg<Bit>,
    rdata: Reg<Bits<32>>,
    // The firmware's copies 0..10 and, last, DEV_CTL.
    copies: [Reg<Bits<32>>; 12],
    // INTR_MASK inverted, so that reset masks.
    unmasked: Reg<Bit>,
    resp_lo: Reg<Bits<32>>,
    resp_hi: Reg<Bits<32>>,
    resp_pulse: Reg<Bit>,
    resp_half: Reg<Bit>,
    req: Reg<ReadlessRequest>,
    req_pulse: Reg<Bit>,
    dev_ctl_pulse: Reg<Bit>,
    aq_pulse: Reg<Bit>,
    aenq_pulse: Reg<Bit>,
    mask_pulse: Reg<Bit>,
    peek: Reg<Bits<32>>,
    copy_out: Reg<Bits<32>>,
}

/// Where a register's copy is.
const fn place_of(register: u16) -> usize {
    (register - mgmt::AQ_BASE_LO) as usize / 4
}
const AQ_BASE_LO: usize = place_of(mgmt::AQ_BASE_LO);
const AQ_BASE_HI: usize = place_of(mgmt::AQ_BASE_HI);
const AQ_CAPS: usize = place_of(mgmt::AQ_CAPS);
const ACQ_BASE_LO: usize = place_of(mgmt::ACQ_BASE_LO);
const ACQ_BASE_HI: usize = place_of(mgmt::ACQ_BASE_HI);
const ACQ_CAPS: usize = place_of(mgmt::ACQ_CAPS);
const AENQ_BASE_LO: usize = place_of(mgmt::AENQ_BASE_LO);
const AENQ_BASE_HI: usize = place_of(mgmt::AENQ_BASE_HI);
const AENQ_CAPS: usize = place_of(mgmt::AENQ_CAPS);
const AQ_DB: usize = place_of(mgmt::AQ_DB);
const AENQ_HEAD_DB: usize = place_of(mgmt::AENQ_HEAD_DB);
/// Copies that `regs_clear` clears; DEV_CTL is behind them.
const CLEARED: usize = 11;
const DEV_CTL: usize = CLEARED;
// No copies.
const INTR_MASK: usize = 12;
const NONE: usize = 15;

impl Logic for EnaRegs {
    /// ENA control registers.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; ready, copies[..], unmasked, resp_lo, resp_hi, resp_pulse);
        registers!(self, clock, reset; resp_half, req, req_pulse, dev_ctl_pulse, aq_pulse);
        registers!(self, clock, reset; aenq_pulse, mask_pulse);
        registers!(self, clock; rdata, peek, copy_out);

        let masked = !self.unmasked.q.val();
        let in_reset = self.reset_in_progress.val();
        let addr = self.bus.addr.val();
        let wdata = self.bus.wdata.val();
        let be = self.bus.be.val();

        let take = self.bus.valid.val() && !self.ready.q.val();
        let write = take && self.bus.write.val() && be.any();
        self.ready.d.next = take;
        self.rdata.d.next = read_register(addr, masked, in_reset);
        self.bus.ready.next = self.ready.q.val();
        self.bus.rdata.next = self.rdata.q.val();

        let index = match addr {
            bar::AQ_BASE_LO => lit::<4>(AQ_BASE_LO),
            bar::AQ_BASE_HI => lit::<4>(AQ_BASE_HI),
            bar::AQ_CAPS => lit::<4>(AQ_CAPS),
            bar::ACQ_BASE_LO => lit::<4>(ACQ_BASE_LO),
            bar::ACQ_BASE_HI => lit::<4>(ACQ_BASE_HI),
            bar::ACQ_CAPS => lit::<4>(ACQ_CAPS),
            bar::AENQ_BASE_LO => lit::<4>(AENQ_BASE_LO),
            bar::AENQ_BASE_HI => lit::<4>(AENQ_BASE_HI),
            bar::AENQ_CAPS => lit::<4>(AENQ_CAPS),
            bar::AQ_DB => lit::<4>(AQ_DB),
            bar::AENQ_HEAD_DB => lit::<4>(AENQ_HEAD_DB),
            bar::INTR_MASK => lit::<4>(INTR_MASK),
            bar::DEV_CTL => lit::<4>(DEV_CTL),
            _ => lit::<4>(NONE),
        };
        let copied = write && (!in_reset || index == lit::<4>(DEV_CTL));
        for i in 0..12 {
            if copied && index == lit::<4>(i) {
                self.copies[i].d.next = merge(self.copies[i].q.val(), wdata, be);
            }
        }
        if copied && index == lit::<4>(INTR_MASK) && (be & 1) != 0 {
            self.unmasked.d.next = (wdata & 1) == 0;
        }
        let to_resp_lo = write && addr == lit::<16>(bar::MMIO_RESP_LO);
        let to_resp_hi = write && addr == lit::<16>(bar::MMIO_RESP_HI);
        if to_resp_lo {
            self.resp_lo.d.next = merge(self.resp_lo.q.val(), wdata, be);
            self.resp_half.d.next = true;
        }
        if to_resp_hi {
            self.resp_hi.d.next = merge(self.resp_hi.q.val(), wdata, be);
            self.resp_half.d.next = false;
        }
        self.resp_pulse.d.next = to_resp_lo || to_resp_hi;
        self.req.d.next = ReadlessRequest::from_bits(wdata);
        self.req_pulse.d.next = write && addr == lit::<16>(bar::MMIO_REG_READ) && be.all();
        self.dev_ctl_pulse.d.next = copied && index == lit::<4>(DEV_CTL);
        self.aq_pulse.d.next = copied && index == lit::<4>(AQ_DB);
        self.aenq_pulse.d.next = copied && index == lit::<4>(AENQ_HEAD_DB);
        self.mask_pulse.d.next = copied && index == lit::<4>(INTR_MASK);

        if self.regs_clear.val() || self.function_reset.val() {
            for i in 0..CLEARED {
                self.copies[i].d.next = lit::<32>(0);
            }
            self.unmasked.d.next = false;
        }
        if self.function_reset.val() {
            self.copies[DEV_CTL].d.next = lit::<32>(0);
            self.resp_lo.d.next = lit::<32>(0);
            self.resp_hi.d.next = lit::<32>(0);
            self.resp_half.d.next = false;
        }

        self.dev_ctl_written.next = self.dev_ctl_pulse.q.val();
        self.dev_reset.next = DevCtl::from_bits(self.copies[DEV_CTL].q.val()).dev_reset;
        self.aq_db_written.next = self.aq_pulse.q.val();
        self.aenq_head_db_written.next = self.aenq_pulse.q.val();
        self.intr_mask_written.next = self.mask_pulse.q.val();
        self.intr_masked.next = masked;
        self.readless_valid.next = self.req_pulse.q.val();
        self.readless_req.next = self.req.q.val();
        self.mmio_resp.next =
            Halves { low: self.resp_lo.q.val(), high: self.resp_hi.q.val() }.to_bits();
        self.mmio_resp_written.next = self.resp_pulse.q.val();
        self.mmio_resp_half.next = self.resp_half.q.val();

        self.peek.d.next = read_register(self.peek_addr.val(), masked, in_reset);
        self.peek_data.next = self.peek.q.val();
        let mut copy = lit::<32>(0);
        for i in 0..CLEARED {
            if self.shadow_index.val() == lit::<4>(i) {
                copy = self.copies[i].q.val();
            }
        }
        if self.shadow_index.val() == lit::<4>(place_of(mgmt::INTR_MASK)) {
            copy = bit_cast::<32, 1>(masked.into());
        }
        if self.shadow_index.val() == lit::<4>(place_of(mgmt::DEV_CTL)) {
            copy = self.copies[DEV_CTL].q.val();
        }
        self.copy_out.d.next = copy;
        self.shadow.next = self.copy_out.q.val();
    }
}
