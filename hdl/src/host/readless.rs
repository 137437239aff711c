//! Readless register reads: MMIO_REG_READ asks, one 8-byte write to host memory answers.
//!
//! Up to 16 requests wait; a request beyond them is dropped and `stat_dropped` pulses (drivers have one outstanding).
//! Each is answered by {req_id, offset, value} as one aligned write of 8 bytes to MMIO_RESP; if that is 0 the
//! request is dropped silently. The value is read when the answer is made. 4 cycles from `req_valid` to `write.valid`,
//! one request every 8 cycles if nothing is in its way.
//!
//! An answer counts as given when `pcie/tx` has taken it (`sent`). If MMIO_RESP is written before that, the answer is called back from
//! `pcie/inline` (`recall`) and made anew for the address as it is then. While only the lower half was written (`mmio_resp_half`) there is none,
//! and requests wait.
//!
//! Stays out of the device reset: connect `reset` to hard and function-level reset only, and let what
//! it writes through while others are flushed. With a function-level reset its answer is to be called back too: none of it
//! outlives that.

use crate::common::fifo::Fifo;
use crate::common::iface::*;
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum ReadlessState {
    Idle,
    Look,
    Make,
    Write,
    /// Taken by `pcie/inline`.
    Held,
    Recall,
    /// What `pcie/tx` took while it was called back shows in this cycle.
    Recalled,
}

#[derive(LogicBlock, Default)]
pub struct Readless<const D: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub req_valid: Signal<In, Bit>,
    /// 31:16 register offset, 15:0 request id.
    pub req: Signal<In, Bits<32>>,
    pub mmio_resp: Signal<In, Bits<64>>,
    /// It is another in this cycle.
    pub mmio_resp_written: Signal<In, Bit>,
    pub mmio_resp_half: Signal<In, Bit>,
    pub peek_addr: Signal<Out, Bits<16>>,
    /// One cycle after `peek_addr`.
    pub peek_data: Signal<In, Bits<32>>,
    pub write: WriteReqSrc<D>,
    /// What was written is not to be sent any more.
    pub recall: Signal<Out, Bit>,
    /// It was sent a cycle ago.
    pub sent: Signal<In, Bit>,
    pub stat_dropped: Signal<Out, Bit>,
    queue: Fifo<Bits<32>, 4>,
    state: Reg<ReadlessState>,
    addr: Reg<Bits<64>>,
    answer: Reg<Bits<64>>,
    dropped: Reg<Bit>,
}

impl<const D: usize> Logic for Readless<D> {
    /// Answers readless register reads by writes to host memory.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; state, dropped);
        registers!(self, clock; addr, answer);
        clocked!(self, clock, reset; queue);

        self.queue.in_valid.next = self.req_valid.val();
        self.queue.in_data.next = self.req.val();
        self.dropped.d.next = self.req_valid.val() && !self.queue.in_ready.val();
        self.stat_dropped.next = self.dropped.q.val();

        let req = self.queue.out_data.val();
        let there = self.mmio_resp.val().any();
        let changed = self.mmio_resp_written.val();
        let sent = self.sent.val();
        self.peek_addr.next = req.get_bits::<16>(16);

        let mut done = false;
        match self.state.q.val() {
            ReadlessState::Idle => {
                if self.queue.out_valid.val() && !self.mmio_resp_half.val() {
                    self.state.d.next = ReadlessState::Look;
                }
            }
            // The register file answers in the next cycle.
            ReadlessState::Look => {
                self.state.d.next = if changed { ReadlessState::Idle } else { ReadlessState::Make };
            }
            ReadlessState::Make => {
                self.answer.d.next = cat::<32, 32, 64>(self.peek_data.val(), req);
                self.addr.d.next = self.mmio_resp.val() & !lit::<64>(7);
                done = !changed && !there;
                self.state.d.next =
                    if changed || !there { ReadlessState::Idle } else { ReadlessState::Write };
            }
            ReadlessState::Write => {
                if changed {
                    self.state.d.next = ReadlessState::Recall;
                } else if self.write.ready.val() {
                    self.state.d.next = ReadlessState::Held;
                }
            }
            ReadlessState::Held => {
                done = sent;
                if sent {
                    self.state.d.next = ReadlessState::Idle;
                } else if changed {
                    self.state.d.next = ReadlessState::Recall;
                }
            }
            ReadlessState::Recall => {
                done = sent;
                self.state.d.next =
                    if sent { ReadlessState::Idle } else { ReadlessState::Recalled };
            }
            ReadlessState::Recalled => {
                done = sent;
                self.state.d.next = ReadlessState::Idle;
            }
        }
        self.queue.out_ready.next = done;
        self.recall.next = self.state.q.val() == ReadlessState::Recall;
        self.write.valid.next = self.state.q.val() == ReadlessState::Write;
        self.write.addr.next = self.addr.q.val();
        self.write.len.next = lit::<7>(8);
        self.write.data.next = bit_cast::<D, 64>(self.answer.q.val());
        self.write.last.next = true;
    }
}
