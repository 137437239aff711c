//! The ENA control registers, BAR0 0x00..0xFF.
//!
//! Reads: VERSION, CONTROLLER_VERSION, CAPS, INTR_MASK bit 0 and DEV_STS; everything else is 0. No register can be made to read
//! 0xFFFFFFFF. DEV_STS.READY is always 1: a driver that finds the card left in a reset by its predecessor gives up
//! on READY = 0, but restarts the reset on READY = 1.
//!
//! Writes honour byte enables; MMIO_REG_READ acts on whole dwords only. While `reset_in_progress` is high only DEV_CTL, MMIO_REG_READ
//! and MMIO_RESP are written: nothing that belongs to the life before can be mistaken for the next one's.
//! INTR_MASK is 1 after a reset. MMIO_RESP is an address again when its upper half was written: hosts write the lower one first.
//!
//! An access takes 2 cycles. `shadow` and `peek_data` answer one cycle after their address. Pulses come in the
//! cycle after the write was taken, with the new value already in the register.

use crate::common::iface::*;
use nitor_rtl::prelude::*;

/// `old` with the bytes of `new` that `be` enables.
#[kernel]
fn merge(old: Bits<32>, new: Bits<32>, be: Bits<4>) -> Bits<32> {
    let b0 = if be.get_bit(0) { new.get_bits::<8>(0) } else { old.get_bits::<8>(0) };
    let b1 = if be.get_bit(1) { new.get_bits::<8>(8) } else { old.get_bits::<8>(8) };
    let b2 = if be.get_bit(2) { new.get_bits::<8>(16) } else { old.get_bits::<8>(16) };
    let b3 = if be.get_bit(3) { new.get_bits::<8>(24) } else { old.get_bits::<8>(24) };
    cat::<16, 16, 32>(cat::<8, 8, 16>(b3, b2), cat::<8, 8, 16>(b1, b0))
}

/// What the host reads at `addr`.
#[kernel]
fn read_register(addr: Bits<16>, masked: Bit, in_reset: Bit) -> Bits<32> {
    match addr {
        0x00 => lit::<32>(0x0000_000a),
        0x04 => lit::<32>(0x0100_0001),
        // Contiguous queues, reset timeout 1 s, 48-bit DMA, the driver's own admin timeout.
        0x08 => lit::<32>(0x0000_3015),
        0x4c => bit_cast::<32, 1>(masked.into()),
        // READY, RESET_IN_PROGRESS.
        0x58 => {
            if in_reset {
                lit::<32>(9)
            } else {
                lit::<32>(1)
            }
        }
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
    /// Clears all.
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
    pub readless_req: Signal<Out, Bits<32>>,
    pub mmio_resp: Signal<Out, Bits<64>>,
    /// A half of MMIO_RESP was written.
    pub mmio_resp_written: Signal<Out, Bit>,
    /// The lower half was, and the upper one is still to come.
    pub mmio_resp_half: Signal<Out, Bit>,
    /// A register's value as the host reads it, one cycle later.
    pub peek_addr: Signal<In, Bits<16>>,
    pub peek_data: Signal<Out, Bits<32>>,

    /// Copies for the firmware in the management bus's order (0 AQ_BASE_LO .. 12 DEV_CTL), one cycle later.
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
    req: Reg<Bits<32>>,
    req_pulse: Reg<Bit>,
    dev_ctl_pulse: Reg<Bit>,
    aq_pulse: Reg<Bit>,
    aenq_pulse: Reg<Bit>,
    mask_pulse: Reg<Bit>,
    peek: Reg<Bits<32>>,
    copy_out: Reg<Bits<32>>,
}

const AQ_DB: usize = 9;
const AENQ_HEAD_DB: usize = 10;
const DEV_CTL: usize = 11;
const INTR_MASK: usize = 12;
const NONE: usize = 15;

impl Logic for EnaRegs {
    /// ENA control registers.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; ready, copies[..], unmasked, resp_lo, resp_hi, resp_pulse, resp_half, req, req_pulse, dev_ctl_pulse, aq_pulse, aenq_pulse, mask_pulse);
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
            0x10 => lit::<4>(0),
            0x14 => lit::<4>(1),
            0x18 => lit::<4>(2),
            0x20 => lit::<4>(3),
            0x24 => lit::<4>(4),
            0x28 => lit::<4>(5),
            0x38 => lit::<4>(6),
            0x3c => lit::<4>(7),
            0x34 => lit::<4>(8),
            0x2c => lit::<4>(AQ_DB),
            0x40 => lit::<4>(AENQ_HEAD_DB),
            0x4c => lit::<4>(INTR_MASK),
            0x54 => lit::<4>(DEV_CTL),
            _ => lit::<4>(NONE),
        };
        let copied = write && (!in_reset || index == lit::<4>(DEV_CTL));
        for i in 0..12 {
            if copied && index == lit::<4>(i) {
                self.copies[i].d.next = merge(self.copies[i].q.val(), wdata, be);
            }
        }
        if copied && index == lit::<4>(INTR_MASK) && be.get_bit(0) {
            self.unmasked.d.next = !wdata.get_bit(0);
        }
        let to_resp_lo = write && addr == 0x60;
        let to_resp_hi = write && addr == 0x64;
        if to_resp_lo {
            self.resp_lo.d.next = merge(self.resp_lo.q.val(), wdata, be);
            self.resp_half.d.next = true;
        }
        if to_resp_hi {
            self.resp_hi.d.next = merge(self.resp_hi.q.val(), wdata, be);
            self.resp_half.d.next = false;
        }
        self.resp_pulse.d.next = to_resp_lo || to_resp_hi;
        self.req.d.next = wdata;
        self.req_pulse.d.next = write && addr == 0x5c && be.all();
        self.dev_ctl_pulse.d.next = copied && index == lit::<4>(DEV_CTL);
        self.aq_pulse.d.next = copied && index == lit::<4>(AQ_DB);
        self.aenq_pulse.d.next = copied && index == lit::<4>(AENQ_HEAD_DB);
        self.mask_pulse.d.next = copied && index == lit::<4>(INTR_MASK);

        if self.regs_clear.val() || self.function_reset.val() {
            for i in 0..11 {
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
        self.dev_reset.next = self.copies[DEV_CTL].q.val().get_bit(0);
        self.aq_db_written.next = self.aq_pulse.q.val();
        self.aenq_head_db_written.next = self.aenq_pulse.q.val();
        self.intr_mask_written.next = self.mask_pulse.q.val();
        self.intr_masked.next = masked;
        self.readless_valid.next = self.req_pulse.q.val();
        self.readless_req.next = self.req.q.val();
        self.mmio_resp.next = cat::<32, 32, 64>(self.resp_hi.q.val(), self.resp_lo.q.val());
        self.mmio_resp_written.next = self.resp_pulse.q.val();
        self.mmio_resp_half.next = self.resp_half.q.val();

        self.peek.d.next = read_register(self.peek_addr.val(), masked, in_reset);
        self.peek_data.next = self.peek.q.val();
        let mut copy = lit::<32>(0);
        for i in 0..11 {
            if self.shadow_index.val() == lit::<4>(i) {
                copy = self.copies[i].q.val();
            }
        }
        if self.shadow_index.val() == 11 {
            copy = bit_cast::<32, 1>(masked.into());
        }
        if self.shadow_index.val() == 12 {
            copy = self.copies[DEV_CTL].q.val();
        }
        self.copy_out.d.next = copy;
        self.shadow.next = self.copy_out.q.val();
    }
}
