//! The transmit half of the MAC: turns words of frames into bytes for the PHY, with preamble,
//! padding, FCS and inter-frame gap.
//!
//! | port | what |
//! |---|---|
//! | `word_*` | words of frames, see [Word] |
//! | `txd`, `en`, `er` | GMII: a byte a cycle, its enable, error |
//! | `sent`, `aborted` | one pulse for each frame, at its end |
//!
//! A frame on the wire is 7 bytes of preamble, the start delimiter, the frame's bytes, zeros up to
//! 60 bytes, and the FCS; at least 12 idle bytes follow. A frame is aborted if its last word has
//! `err`, or if its next word is not valid in time: one byte has `er`, the FCS is wrong in every
//! bit, so that no receiver accepts the frame, and the frame's remaining words are dropped.
//!
//! - **Latency**: in an idle block the first byte of preamble is on `txd` 3 cycles after
//!   `word_valid` rises, and the frame's first byte 8 cycles later. Stage 1 chooses a byte, stage 2
//!   adds the byte to the CRC or replaces it by the FCS.
//! - **Throughput**: a byte a cycle. Frames of up to 60 bytes leave every 84 cycles, the wire's
//!   rate.
//! - **Back-pressure**: `word_ready` is high when a word's last byte is chosen, and while an
//!   aborted frame is dropped. The PHY never stalls.

use super::crc::{self, START};
use super::gmii_rx::Word;
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum TxState {
    Idle,
    Preamble,
    Data,
    Pad,
    Fcs,
    Gap,
}

#[derive(LogicBlock, Default)]
pub struct GmiiTx {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub word_valid: Signal<In, Bit>,
    pub word_ready: Signal<Out, Bit>,
    pub word: Signal<In, Word>,
    pub txd: Signal<Out, Bits<8>>,
    pub en: Signal<Out, Bit>,
    pub er: Signal<Out, Bit>,
    pub sent: Signal<Out, Bit>,
    pub aborted: Signal<Out, Bit>,
    state: Reg<TxState>,
    /// Cycle within preamble, FCS or gap.
    step: Reg<Bits<4>>,
    /// Bytes of the frame so far; stays at 60.
    count: Reg<Bits<6>>,
    /// Byte of the word that is chosen now.
    at: Reg<Bits<2>>,
    bad: Reg<Bit>,
    // Stage 2 registers: the byte chosen, and whether it is preamble, counts in the CRC, or stands
    // for byte `b_step` of the FCS, which is wrong if `b_bad`.
    b_byte: Reg<Bits<8>>,
    b_en: Reg<Bit>,
    b_er: Reg<Bit>,
    b_begins: Reg<Bit>,
    b_summed: Reg<Bit>,
    b_fcs: Reg<Bit>,
    b_bad: Reg<Bit>,
    b_step: Reg<Bits<2>>,
    crc: Reg<Bits<32>>,
    /// The rest of an aborted frame is dropped.
    draining: Reg<Bit>,
    txd_out: Reg<Bits<8>>,
    en_out: Reg<Bit>,
    er_out: Reg<Bit>,
    sent_out: Reg<Bit>,
    aborted_out: Reg<Bit>,
}

impl Logic for GmiiTx {
    /// Transmit half of the MAC: preamble, padding, FCS and inter-frame gap.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; state, step, count, at, bad, draining);
        registers!(self, clock, reset; b_byte, b_en, b_er, b_begins, b_summed, b_fcs, b_bad, b_step,
            crc);
        registers!(self, clock, reset; txd_out, en_out, er_out, sent_out, aborted_out);
        let word = self.word.val();
        let valid = self.word_valid.val();
        let last = word.last;
        let err = word.err;
        let at = self.at.q.val();
        let at_end = at == if last { word.last_byte } else { lit::<2>(3) };
        let byte = word.data.get_bits::<8>((bit_cast::<5, 2>(at) << lit::<5>(3)).index());
        let step = self.step.q.val();
        let count = self.count.q.val();
        let counted = if count == 60 { count } else { count + 1 };

        let mut begins = false;
        let mut summed = false;
        let mut fcs = false;
        let mut txd = lit::<8>(0);
        let mut en = false;
        let mut er = false;
        let mut take = self.draining.q.val();
        if self.draining.q.val() && valid && last {
            self.draining.d.next = false;
        }
        self.step.d.next = step + 1;
        self.sent_out.d.next = false;
        self.aborted_out.d.next = false;
        match self.state.q.val() {
            TxState::Idle => {
                self.step.d.next = lit::<4>(0);
                if valid && !self.draining.q.val() {
                    self.state.d.next = TxState::Preamble;
                }
            }
            TxState::Preamble => {
                en = true;
                txd = if step == 7 { lit::<8>(0xd5) } else { lit::<8>(0x55) };
                begins = true;
                self.count.d.next = lit::<6>(0);
                self.at.d.next = lit::<2>(0);
                self.bad.d.next = false;
                if step == 7 {
                    self.state.d.next = TxState::Data;
                }
            }
            TxState::Data => {
                en = true;
                txd = byte;
                self.step.d.next = lit::<4>(0);
                self.count.d.next = counted;
                summed = true;
                self.at.d.next = at + 1;
                take = valid && at_end;
                if !valid {
                    er = true;
                    self.bad.d.next = true;
                    self.draining.d.next = true;
                    self.state.d.next = TxState::Fcs;
                } else if at_end {
                    self.at.d.next = lit::<2>(0);
                    if last {
                        er = err;
                        self.bad.d.next = err;
                        self.state.d.next =
                            if counted == 60 || err { TxState::Fcs } else { TxState::Pad };
                    }
                }
            }
            TxState::Pad => {
                en = true;
                self.step.d.next = lit::<4>(0);
                self.count.d.next = counted;
                summed = true;
                if counted == 60 {
                    self.state.d.next = TxState::Fcs;
                }
            }
            TxState::Fcs => {
                en = true;
                fcs = true;
                if step == 3 {
                    self.step.d.next = lit::<4>(0);
                    self.state.d.next = TxState::Gap;
                    self.sent_out.d.next = !self.bad.q.val();
                    self.aborted_out.d.next = self.bad.q.val();
                }
            }
            TxState::Gap => {
                // The cycle in `Idle` sends the twelfth idle byte.
                if step == 10 {
                    self.state.d.next = TxState::Idle;
                }
            }
        }
        self.word_ready.next = take;
        self.b_byte.d.next = txd;
        self.b_en.d.next = en;
        self.b_er.d.next = er;
        self.b_begins.d.next = begins;
        self.b_summed.d.next = summed;
        self.b_fcs.d.next = fcs;
        self.b_bad.d.next = self.bad.q.val();
        self.b_step.d.next = bit_cast::<2, 4>(step);

        let crc = self.crc.q.val();
        if self.b_begins.q.val() {
            self.crc.d.next = lit::<32>(START);
        } else if self.b_summed.q.val() {
            self.crc.d.next = crc::crc32_byte(crc, self.b_byte.q.val());
        }
        // The FCS is the remainder inverted. Not inverted, it is wrong in every bit.
        let sum = if self.b_bad.q.val() { crc } else { !crc };
        let sum_byte =
            sum.get_bits::<8>((bit_cast::<5, 2>(self.b_step.q.val()) << lit::<5>(3)).index());
        self.txd_out.d.next = if self.b_fcs.q.val() { sum_byte } else { self.b_byte.q.val() };
        self.en_out.d.next = self.b_en.q.val();
        self.er_out.d.next = self.b_er.q.val();
        self.txd.next = self.txd_out.q.val();
        self.en.next = self.en_out.q.val();
        self.er.next = self.er_out.q.val();
        self.sent.next = self.sent_out.q.val();
        self.aborted.next = self.aborted_out.q.val();
    }
}
