//! Readless register reads: a write to MMIO_REG_READ asks, one 8-byte write to host memory answers.
//!
//! Up to 16 requests wait. The block drops a request beyond them and pulses `stat_dropped` (drivers
//! have one outstanding). It answers each with a [ReadlessResponse], one aligned write of 8 bytes
//! to MMIO_RESP; if that is 0 it drops the request silently. It reads the register when it makes
//! the answer. From `req_valid` to `write.valid` 4 cycles; one request every 8 cycles if nothing is
//! in its way.
//!
//! An answer counts as given when `pcie/tx` has taken it (`sent`). If MMIO_RESP is written before
//! that, the block calls the answer back from `pcie/inline` (`recall`) and makes it anew for the
//! new address. While only the lower half was written (`mmio_resp_half`) requests wait.
//!
//! The block stays out of the device reset: connect `reset` to hard and function-level reset only,
//! and let its writes pass while others are flushed. With a function-level reset its answer is to
//! be called back too: none outlives that.

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
    /// In this cycle `sent` still tells of an answer that `pcie/tx` took during the recall.
    Recalled,
}

#[record(layout = nitor_abi::bar::ReadlessRequest)]
pub struct ReadlessRequest {
    pub req_id: Bits<16>,
    pub offset: Bits<16>,
}

#[record(layout = nitor_abi::bar::ReadlessResponse)]
pub struct ReadlessResponse {
    req_id: Bits<16>,
    offset: Bits<16>,
    value: Bits<32>,
}

#[derive(LogicBlock, Default)]
pub struct Readless<const D: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub req_valid: Signal<In, Bit>,
    pub req: Signal<In, ReadlessRequest>,
    pub mmio_resp: Signal<In, Bits<64>>,
    /// It changes in this cycle.
    pub mmio_resp_written: Signal<In, Bit>,
    pub mmio_resp_half: Signal<In, Bit>,
    pub peek_addr: Signal<Out, Bits<16>>,
    /// The register's value, one cycle after `peek_addr`.
    pub peek_data: Signal<In, Bits<32>>,
    pub write: WriteReqSrc<D>,
    /// Calls the answer back.
    pub recall: Signal<Out, Bit>,
    /// `pcie/tx` took the answer a cycle ago.
    pub sent: Signal<In, Bit>,
    pub stat_dropped: Signal<Out, Bit>,
    queue: Fifo<ReadlessRequest, 4>,
    state: Reg<ReadlessState>,
    addr: Reg<Bits<64>>,
    answer: Reg<ReadlessResponse>,
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
        self.peek_addr.next = req.offset;

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
                self.answer.d.next = ReadlessResponse {
                    req_id: req.req_id,
                    offset: req.offset,
                    value: self.peek_data.val(),
                };
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
        self.write.data.next = bit_cast::<D, 64>(self.answer.q.val().to_bits());
        self.write.last.next = true;
    }
}
