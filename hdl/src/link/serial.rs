//! The host link's frames on a serial line: SLIP (RFC 1055) around a frame's words and a CRC-32 of
//! them.
//!
//! | port | what |
//! |---|---|
//! | `rx_valid`, `rx` | bytes from the line; never stalled |
//! | `word_*` | words of a frame received; never stalled |
//! | `frame_*` | words of a frame to send |
//! | `tx_valid`, `tx_ready`, `tx` | bytes to the line |
//!
//! The CRC follows the words, least significant byte first, as Ethernet's FCS does. A frame that is
//! cut, has a wrong CRC or no whole number of words ends with `err`. A frame of less than 2 words,
//! CRC included, gives no word. After an escape, a byte that is neither of SLIP's two stands for
//! itself.
//!
//! - **Latency**: a word is valid in the cycle after the last byte of the second word behind it,
//!   the last word in the cycle after the closing END.
//! - **Throughput**: receives a byte a cycle; sends a byte of a word every 2 cycles at most.
//! - **Back-pressure**: `frame_ready` is high when a word's last byte is taken.

use super::{WordIn, WordOut};
use crate::eth::crc::{self, GOOD, START};
use nitor_rtl::prelude::*;

const END: u64 = 0xc0;
const ESC: u64 = 0xdb;
const ESC_END: u64 = 0xdc;
const ESC_ESC: u64 = 0xdd;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Line {
    Idle,
    Begin,
    Word,
    Crc,
    End,
}

#[derive(LogicBlock, Default)]
pub struct LinkSerial {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub rx_valid: Signal<In, Bit>,
    pub rx: Signal<In, Bits<8>>,
    pub word_valid: Signal<Out, Bit>,
    pub word: Signal<Out, WordIn>,
    pub frame_valid: Signal<In, Bit>,
    pub frame_ready: Signal<Out, Bit>,
    pub frame: Signal<In, WordOut>,
    pub tx_valid: Signal<Out, Bit>,
    pub tx_ready: Signal<In, Bit>,
    pub tx: Signal<Out, Bits<8>>,
    // Receiving: the word that is filled, and the two before, which may be the last and the CRC.
    escaped: Reg<Bit>,
    crc: Reg<Bits<32>>,
    filled: Reg<Bits<2>>,
    newest: Reg<Bits<32>>,
    older: Reg<Bits<32>>,
    oldest: Reg<Bits<32>>,
    have: Reg<Bits<2>>,
    out_valid: Reg<Bit>,
    out: Reg<WordIn>,
    // Sending.
    line: Reg<Line>,
    at: Reg<Bits<2>>,
    // Byte `at` of the word, chosen a cycle before it is sent.
    chosen: Reg<Bit>,
    plain: Reg<Bits<8>>,
    /// The escape was sent, its byte follows.
    second: Reg<Bit>,
    sum: Reg<Bits<32>>,
}

impl Logic for LinkSerial {
    /// Host link on a serial line: SLIP and CRC-32.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; escaped, crc, filled, have, out_valid);
        registers!(self, clock, reset; line, at, chosen, second, sum);
        registers!(self, clock; newest, older, oldest, out, plain);

        // Receiving.
        let rx = self.rx.val();
        let raw = !self.escaped.q.val();
        let is_end = rx == lit::<8>(END);
        let is_esc = raw && rx == lit::<8>(ESC);
        let byte = if raw {
            rx
        } else if rx == lit::<8>(ESC_END) {
            lit::<8>(END)
        } else if rx == lit::<8>(ESC_ESC) {
            lit::<8>(ESC)
        } else {
            rx
        };
        let have = self.have.q.val();
        self.out_valid.d.next = false;
        if self.rx_valid.val() {
            self.escaped.d.next = is_esc;
            if is_end {
                // `older` is the CRC, `oldest` the last word.
                let bad = self.crc.q.val() != lit::<32>(GOOD) || self.filled.q.val() != 0;
                self.out_valid.d.next = have == 2;
                self.out.d.next = WordIn { data: self.oldest.q.val(), last: true, err: bad };
                self.crc.d.next = lit::<32>(0);
                self.filled.d.next = lit::<2>(0);
                self.have.d.next = lit::<2>(0);
            } else if !is_esc {
                let start = have == 0 && self.filled.q.val() == 0;
                let crc = if start { lit::<32>(START) } else { self.crc.q.val() };
                self.crc.d.next = crc::crc32_byte(crc, byte);
                let newest = crc::shift_in(self.newest.q.val(), byte);
                self.newest.d.next = newest;
                self.filled.d.next = self.filled.q.val() + 1;
                if self.filled.q.val() == 3 {
                    self.older.d.next = newest;
                    self.oldest.d.next = self.older.q.val();
                    if have == 2 {
                        self.out_valid.d.next = true;
                        let data = self.oldest.q.val();
                        self.out.d.next = WordIn { data, last: false, err: false };
                    } else {
                        self.have.d.next = have + 1;
                    }
                }
            }
        }
        self.word_valid.next = self.out_valid.q.val();
        self.word.next = self.out.q.val();

        // Sending.
        let at = self.at.q.val();
        let word = match self.line.q.val() {
            Line::Crc => !self.sum.q.val(),
            _ => self.frame.val().data,
        };
        self.plain.d.next = word.get_bits::<8>((bit_cast::<5, 2>(at) << lit::<5>(3)).index());
        let plain = self.plain.q.val();
        let chosen = self.chosen.q.val();
        let special = plain == lit::<8>(END) || plain == lit::<8>(ESC);
        let second = self.second.q.val();
        let coded = if !special {
            plain
        } else if !second {
            lit::<8>(ESC)
        } else if plain == lit::<8>(END) {
            lit::<8>(ESC_END)
        } else {
            lit::<8>(ESC_ESC)
        };
        let ready = self.tx_ready.val();
        let step = ready && chosen;
        let done = step && (!special || second);
        let mut valid = true;
        let mut out = coded;
        let mut taken = false;
        match self.line.q.val() {
            Line::Idle => {
                valid = false;
                self.at.d.next = lit::<2>(0);
                self.second.d.next = false;
                self.chosen.d.next = false;
                self.sum.d.next = lit::<32>(START);
                if self.frame_valid.val() {
                    self.line.d.next = Line::Begin;
                }
            }
            // An END before the frame ends one that noise may have begun.
            Line::Begin => {
                out = lit::<8>(END);
                if ready {
                    self.line.d.next = Line::Word;
                }
            }
            Line::Word => {
                valid = chosen;
                self.chosen.d.next = self.frame_valid.val() && !done;
                if step {
                    self.second.d.next = special && !second;
                }
                if done {
                    self.sum.d.next = crc::crc32_byte(self.sum.q.val(), plain);
                    self.at.d.next = at + 1;
                    if at == 3 {
                        taken = true;
                        if self.frame.val().last {
                            self.line.d.next = Line::Crc;
                        }
                    }
                }
            }
            Line::Crc => {
                valid = chosen;
                self.chosen.d.next = !done;
                if step {
                    self.second.d.next = special && !second;
                }
                if done {
                    self.at.d.next = at + 1;
                    if at == 3 {
                        self.line.d.next = Line::End;
                    }
                }
            }
            Line::End => {
                out = lit::<8>(END);
                if ready {
                    self.line.d.next = Line::Idle;
                }
            }
        }
        self.tx_valid.next = valid;
        self.tx.next = out;
        self.frame_ready.next = taken;
    }
}
