//! The Toeplitz hash of a 36-byte input under a 40-byte key.
//!
//! Byte i of `key` and `data` is in bits 8i+7:8i. The key is in standard order: byte 0 has the most
//! significant bits of the first window. A shorter input is padded with zeros behind, which add
//! nothing to the hash. `tag` goes through with its input.
//!
//! The input is nine groups of 4 bytes, and each of `_steps` steps (1, 3 or 9) hashes an equal part
//! of them: area against time. An input takes `_steps` cycles; one more may wait meanwhile. The
//! sender must not send a third: inputs `_steps` cycles apart fit, but for one that may be early.
//! The hash is out `_steps` + 3 cycles after an input that did not wait.

use super::words::Kind;
use nitor_rtl::prelude::*;

const GROUPS: usize = 9;

#[derive(LogicBlock)]
pub struct Toeplitz {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub key: Signal<In, Bits<320>>,
    pub in_valid: Signal<In, Bit>,
    pub data: Signal<In, Bits<288>>,
    pub tag: Signal<In, Kind>,
    pub valid: Signal<Out, Bit>,
    pub hash: Signal<Out, Bits<32>>,
    pub tag_out: Signal<Out, Kind>,
    /// One at work and one that waits: filled and worked on in turn.
    slot: [Reg<Bits<288>>; 2],
    slot_tag: [Reg<Kind>; 2],
    /// How many of them are filled; which is the next to be filled, and which is at work.
    filled: Reg<Bits<2>>,
    fill: Reg<Bit>,
    at: Reg<Bit>,
    step: Reg<Bits<4>>,
    // The groups of this step, each with its 63 bits of the key.
    window: Vec<Reg<Bits<63>>>,
    piece: Vec<Reg<Bits<32>>>,
    group: Vec<Reg<Bits<32>>>,
    w_first: Reg<Bit>,
    w_last: Reg<Bit>,
    w_tag: Reg<Kind>,
    first: Reg<Bit>,
    last: Reg<Bit>,
    last_tag: Reg<Kind>,
    sum: Reg<Bits<32>>,
    done: Reg<Bit>,
    done_tag: Reg<Kind>,
    _steps: usize,
}

impl Default for Toeplitz {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Toeplitz {
    pub fn new(steps: usize) -> Self {
        assert!([1, 3, 9].contains(&steps), "a hash takes 1, 3 or 9 steps");
        Self {
            clock: Default::default(),
            reset: Default::default(),
            key: Default::default(),
            in_valid: Default::default(),
            data: Default::default(),
            tag: Default::default(),
            valid: Default::default(),
            hash: Default::default(),
            tag_out: Default::default(),
            slot: Default::default(),
            slot_tag: Default::default(),
            filled: Default::default(),
            fill: Default::default(),
            at: Default::default(),
            step: Default::default(),
            window: (0..GROUPS / steps).map(|_| Reg::default()).collect(),
            piece: (0..GROUPS / steps).map(|_| Reg::default()).collect(),
            group: (0..GROUPS / steps).map(|_| Reg::default()).collect(),
            w_first: Default::default(),
            w_last: Default::default(),
            w_tag: Default::default(),
            first: Default::default(),
            last: Default::default(),
            last_tag: Default::default(),
            sum: Default::default(),
            done: Default::default(),
            done_tag: Default::default(),
            _steps: steps,
        }
    }
}

impl Logic for Toeplitz {
    /// Toeplitz hash, some groups of 4 bytes at a time.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; filled, fill, at, step, window[..], piece[..], group[..]);
        registers!(self, clock, reset; w_first, w_last, first, last, sum, done);
        registers!(self, clock; slot[..], slot_tag[..], w_tag, last_tag, done_tag);
        let mut key = lit::<320>(0);
        for i in 0..40 {
            key = key.set_slice::<8>(312 - 8 * i, self.key.val().get_bits::<8>(8 * i));
        }

        let step = self.step.q.val();
        let busy = self.filled.q.val() != 0;
        let ends = busy && step == lit::<4>(self._steps - 1);
        self.step.d.next = if busy && !ends { step + 1 } else { lit::<4>(0) };
        let come = self.in_valid.val();
        for i in 0..2 {
            if come && self.fill.q.val() == (i == 1) {
                self.slot[i].d.next = self.data.val();
                self.slot_tag[i].d.next = self.tag.val();
            }
        }
        if come {
            self.fill.d.next = !self.fill.q.val();
        }
        if ends {
            self.at.d.next = !self.at.q.val();
        }
        if come && !ends {
            self.filled.d.next = self.filled.q.val() + 1;
        } else if ends && !come {
            self.filled.d.next = self.filled.q.val() - 1;
        }
        let at = self.at.q.val();
        let work = if at { self.slot[1].q.val() } else { self.slot[0].q.val() };

        for g in 0..(GROUPS / self._steps) {
            let mut window = lit::<63>(0);
            let mut piece = lit::<32>(0);
            for s in 0..self._steps {
                if step == lit::<4>(s) {
                    window = key.get_bits::<63>(257 - 32 * (s * (GROUPS / self._steps) + g));
                    piece = work.get_bits::<32>(32 * (s * (GROUPS / self._steps) + g));
                }
            }
            self.window[g].d.next = window;
            self.piece[g].d.next = piece;
            let mut acc = lit::<32>(0);
            for b in 0..32 {
                // Bit b of the group in the order of the wire: most significant first in each byte.
                if self.piece[g].q.val().get_bit(8 * (b / 8) + 7 - b % 8) {
                    acc = acc ^ self.window[g].q.val().get_bits::<32>(31 - b);
                }
            }
            self.group[g].d.next = acc;
        }
        self.w_first.d.next = step == 0;
        self.w_last.d.next = ends;
        self.w_tag.d.next = if at { self.slot_tag[1].q.val() } else { self.slot_tag[0].q.val() };
        self.first.d.next = self.w_first.q.val();
        self.last.d.next = self.w_last.q.val();
        self.last_tag.d.next = self.w_tag.q.val();
        let mut sum = if self.first.q.val() { lit::<32>(0) } else { self.sum.q.val() };
        for g in 0..(GROUPS / self._steps) {
            sum = sum ^ self.group[g].q.val();
        }
        self.sum.d.next = sum;
        self.done.d.next = self.last.q.val();
        self.done_tag.d.next = self.last_tag.q.val();
        self.valid.next = self.done.q.val();
        self.hash.next = self.sum.q.val();
        self.tag_out.next = self.done_tag.q.val();
    }
}
