//! Stores frames from the MAC in the RX buffer, each whole or not at all.
//!
//! **Back-pressure.** A MAC can't wait: every frame is stored or counted. `mac.ready` is low only
//! between frames, when the classifier needs time. The wide classifier needs it after a frame of
//! fewer than `_apart` beats, until `_apart` cycles after that frame's first beat; frames of 60
//! bytes and more never meet it. With the serial classifier (`_serial`) a frame begins at least 4
//! cycles after the last beat of the frame before it, and none begins while `hold` is up, which
//! rises in the third of them: see [classify](super::classify).
//!
//! **Buffer.** The RX buffer is a ring of 2^(B+1) rows. Row numbers run freely over 16 bits;
//! `free_row` is the first row in use. A frame owns its rows once its last beat is accepted. A bad
//! frame, or one for which no room is left, gives its rows back at once, and the rest of it is
//! ignored.
//!
//! **Drops.** Counted as bad: a frame with `err`, longer than `max_frame`, shorter than an Ethernet
//! header (14 bytes), or with a `bytes` outside 1..=K. Frames of 14 to 59 bytes are accepted: no
//! block needs the padding, and the sender may be a wire without a minimum size. Counted as without
//! room: no row is free, or 2^F frames are in [waiting](super::waiting). As F = B + L - 5, the rows
//! are used up before that unless some frames are shorter than 60 bytes.
//!
//! **Taps.** The stored beats are repeated on `tap` a cycle later, for the blocks that find the
//! flow. `tap_len` counts with `tap.keep`. `taken` is up when a waiting frame goes on.
//!
//! `press` is up while a quarter of the rows or more are in use, or 32 frames or more wait (8 with
//! `_small`).
//!
//! One beat a cycle. `reset` in the middle of a frame loses the rest of that frame: only
//! `wire_reset` clears the register that follows which beats belong to one frame.

use super::words::{Tap, TapSrc};
use crate::common::iface::MacSnk;
use nitor_rtl::prelude::*;

#[derive(LogicBlock)]
pub struct RxInput<const D: usize, const K: usize, const B: usize, const F: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub wire_reset: Signal<In, Bit>,
    pub mac: MacSnk<D>,
    /// No frame may begin; looked at between frames.
    pub hold: Signal<In, Bit>,
    pub max_frame: Signal<In, Bits<16>>,
    /// Rows before this one are free again.
    pub free_row: Signal<In, Bits<16>>,
    pub row_we: Signal<Out, Bit>,
    pub row: Signal<Out, Bits<16>>,
    pub row_data: Signal<Out, Bits<D>>,
    pub tap: TapSrc<D>,
    /// With `tap.keep`: bytes of the frame.
    pub tap_len: Signal<Out, Bits<16>>,
    pub taken: Signal<In, Bit>,
    pub press: Signal<Out, Bit>,
    pub stat_drop_no_room: Signal<Out, Bit>,
    pub stat_drop_bad: Signal<Out, Bit>,
    // The beat as the MAC gave it.
    in_valid: Reg<Bit>,
    in_first: Reg<Bit>,
    in_last: Reg<Bit>,
    in_bytes: Reg<Bits<7>>,
    in_data: Reg<Bits<D>>,
    /// It can't be the end of a good frame; it is too long where no whole row more may come.
    in_broken: Reg<Bit>,
    in_over: Reg<Bit>,
    /// The MAC is inside a frame.
    mid: Reg<Bit>,
    /// A frame is being stored.
    active: Reg<Bit>,
    /// First row of the current frame.
    start: Reg<Bits<16>>,
    next_row: Reg<Bits<16>>,
    /// Rows of it that are stored; it may not have one more whole row; no row is free.
    rows: Reg<Bits<16>>,
    at_most: Reg<Bit>,
    full: Reg<Bit>,
    free: Reg<Bits<16>>,
    pressed: Reg<Bit>,
    drop_no_room: Reg<Bit>,
    drop_bad: Reg<Bit>,
    // What the taps show.
    t_valid: Reg<Bit>,
    t_end: Reg<Bit>,
    t_keep: Reg<Bit>,
    t_bytes: Reg<Bits<7>>,
    t_data: Reg<Bits<D>>,
    t_len: Reg<Bits<16>>,
    // Frames that wait, modulo 2^F; they are 2^F; one has gone on.
    waiting: Reg<Bits<F>>,
    crowded: Reg<Bit>,
    gone: Reg<Bit>,
    /// Cycles until another frame may begin.
    left: Reg<Bits<4>>,
    wait: Reg<Bit>,
    _apart: usize,
    _serial: bool,
    _small: bool,
}

impl<const D: usize, const K: usize, const B: usize, const F: usize> Default
    for RxInput<D, K, B, F>
{
    fn default() -> Self {
        Self::new(1)
    }
}

impl<const D: usize, const K: usize, const B: usize, const F: usize> RxInput<D, K, B, F> {
    /// Frames begin at least `apart` cycles apart.
    pub fn new(apart: usize) -> Self {
        assert!((1..16).contains(&apart));
        Self::with(apart, false)
    }

    /// For [classify](super::classify).
    pub fn serial() -> Self {
        Self::with(4, true)
    }

    /// 8 waiting frames are enough for `press`.
    pub fn small(mut self) -> Self {
        self._small = true;
        self
    }

    fn with(apart: usize, serial: bool) -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            wire_reset: Default::default(),
            mac: Default::default(),
            hold: Default::default(),
            max_frame: Default::default(),
            free_row: Default::default(),
            row_we: Default::default(),
            row: Default::default(),
            row_data: Default::default(),
            tap: Default::default(),
            tap_len: Default::default(),
            taken: Default::default(),
            press: Default::default(),
            stat_drop_no_room: Default::default(),
            stat_drop_bad: Default::default(),
            in_valid: Default::default(),
            in_first: Default::default(),
            in_last: Default::default(),
            in_bytes: Default::default(),
            in_data: Default::default(),
            in_broken: Default::default(),
            in_over: Default::default(),
            mid: Default::default(),
            active: Default::default(),
            start: Default::default(),
            next_row: Default::default(),
            rows: Default::default(),
            at_most: Default::default(),
            full: Default::default(),
            free: Default::default(),
            pressed: Default::default(),
            drop_no_room: Default::default(),
            drop_bad: Default::default(),
            t_valid: Default::default(),
            t_end: Default::default(),
            t_keep: Default::default(),
            t_bytes: Default::default(),
            t_data: Default::default(),
            t_len: Default::default(),
            waiting: Default::default(),
            crowded: Default::default(),
            gone: Default::default(),
            left: Default::default(),
            wait: Default::default(),
            _apart: apart,
            _serial: serial,
            _small: false,
        }
    }
}

impl<const D: usize, const K: usize, const B: usize, const F: usize> Logic for RxInput<D, K, B, F> {
    /// Stores frames from the MAC in the RX buffer, each whole or not at all.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; in_valid, active, start, next_row, rows, at_most, full, free,
            pressed, drop_no_room, drop_bad, t_valid, t_end, t_keep, waiting, crowded, gone);
        registers!(self, clock, wire_reset; mid, left, wait);
        registers!(self, clock; in_first, in_last, in_bytes, in_data, in_broken, in_over, t_bytes,
            t_data, t_len);

        let taken = self.mac.valid.val() && !self.wait.q.val();
        // Counted from a frame's first beat on, or from its last.
        let counts = if self._serial { self.mac.last.val() } else { !self.mid.q.val() };
        let left = if taken && counts {
            lit::<4>(self._apart - 1)
        } else if self.left.q.val() != 0 {
            self.left.q.val() - 1
        } else {
            lit::<4>(0)
        };
        self.left.d.next = left;
        self.wait.d.next =
            (self.wait.q.val() || (taken && self.mac.last.val())) && (left != 0 || self.hold.val());
        self.mac.ready.next = !self.wait.q.val();
        self.in_valid.d.next = taken;
        self.in_first.d.next = !self.mid.q.val();
        self.in_last.d.next = self.mac.last.val();
        let last_bytes = self.mac.bytes.val();
        self.in_bytes.d.next = if self.mac.last.val() { last_bytes } else { lit::<7>(K) };
        self.in_broken.d.next = self.mac.last.val()
            && (self.mac.err.val()
                || last_bytes == 0
                || last_bytes > lit::<7>(K)
                || (!self.mid.q.val() && last_bytes < 14));
        let rest = self.max_frame.val() & lit::<16>(K - 1);
        self.in_over.d.next = !self.mac.last.val() || bit_cast::<16, 7>(last_bytes) > rest;
        self.in_data.d.next = self.mac.data.val();
        if taken {
            self.mid.d.next = !self.mac.last.val();
        }
        self.free.d.next = self.free_row.val();

        let last = self.in_last.q.val();
        let fresh = self.in_valid.q.val() && (self.in_first.q.val() || self.active.q.val());
        let bytes = self.in_bytes.q.val();
        let bad =
            fresh && (self.in_broken.q.val() || (self.at_most.q.val() && self.in_over.q.val()));
        let used = self.next_row.q.val() - self.free.q.val();
        let full = self.full.q.val();
        let waiting = self.waiting.q.val();
        let crowded = self.crowded.q.val();
        let many = 32 >> (2 * (self._small as usize));
        self.pressed.d.next = used >= lit::<16>((2 << B) / 4)
            || crowded
            || waiting >= lit::<F>(if F > 5 { many } else { 1 << (F - 1) });
        self.press.next = self.pressed.q.val();
        let no_room = fresh && !bad && (full || (last && crowded));
        let lost = bad || no_room;
        let keep = fresh && last && !lost;
        let after = self.next_row.q.val() + 1;

        // Rows that are freed meanwhile show a cycle later.
        let free = self.free.q.val();
        let most = self.max_frame.val() >> lit::<16>(clog2(K));
        let more = self.rows.q.val() + 1;
        if fresh {
            if lost {
                self.next_row.d.next = self.start.q.val();
                self.full.d.next = self.start.q.val() - free == lit::<16>(2 << B);
            } else {
                self.next_row.d.next = after;
                self.full.d.next = after - free == lit::<16>(2 << B);
            }
            self.active.d.next = !(lost || last);
            if lost || last {
                self.rows.d.next = lit::<16>(0);
                self.at_most.d.next = most == 0;
            } else {
                self.rows.d.next = more;
                self.at_most.d.next = more >= most;
            }
        } else {
            self.full.d.next = used == lit::<16>(2 << B);
            self.at_most.d.next = self.rows.q.val() >= most;
        }
        if keep {
            self.start.d.next = after;
        }
        let gone = self.gone.q.val();
        self.gone.d.next = self.taken.val();
        if keep && !gone {
            self.waiting.d.next = waiting + 1;
            self.crowded.d.next = waiting.all();
        } else if gone && !keep {
            self.waiting.d.next = waiting - 1;
            self.crowded.d.next = false;
        }
        self.drop_bad.d.next = bad;
        self.drop_no_room.d.next = no_room;
        self.stat_drop_bad.next = self.drop_bad.q.val();
        self.stat_drop_no_room.next = self.drop_no_room.q.val();

        // A bad beat may be written: its row is not in use and will be written again.
        self.row_we.next = fresh && !full;
        self.row.next = self.next_row.q.val();
        self.row_data.next = self.in_data.q.val();
        self.t_valid.d.next = fresh;
        self.t_end.d.next = last || lost;
        self.t_keep.d.next = keep;
        self.t_bytes.d.next = bytes;
        self.t_data.d.next = self.in_data.q.val();
        self.tap.put(Tap {
            valid: self.t_valid.q.val(),
            end: self.t_end.q.val(),
            keep: self.t_keep.q.val(),
            bytes: self.t_bytes.q.val(),
            data: self.t_data.q.val(),
        });

        self.t_len.d.next = (self.rows.q.val() << lit::<16>(clog2(K))) + bit_cast::<16, 7>(bytes);
        self.tap_len.next = self.t_len.q.val();
    }
}
