//! Frames wait here for their sums, and leave.
//!
//! **Ports.** `put*` are the beats of `tx/offload`. `sum_*` brings the checksums of frames that get
//! them, in the order of the frames. `mac` takes the frames. `taken` and `begins` tell of a beat,
//! and of a frame that gets a checksum, when `tx/offload` takes them: `open` says that there is
//! room for both.
//!
//! **Order.** Beats go into a RAM of 2^B rows as they arrive. A frame that gets a checksum leaves
//! when its sum is known, with its fields filled in; any other frame goes on at once. A refused
//! frame is read and not sent. `stat_frame` comes with the last beat of a frame that leaves,
//! `stat_bytes` are its bytes without padding; `stat_bad` with the first frame of a packet that is
//! refused.

use super::lanes::*;
use super::words::*;
use crate::common::fifo::Fifo;
use crate::common::iface::*;
use crate::common::ram::BlockRam;
use crate::common::skid::Skid;
use nitor_rtl::prelude::*;

/// How a beat ends at the MAC.
#[record]
struct SentEnd {
    bytes: Bits<7>,
    last: Bit,
}

#[derive(LogicBlock, Default)]
pub struct TxRelease<const D: usize, const K: usize, const L: usize, const B: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub open: Signal<Out, Bit>,
    pub taken: Signal<In, Bit>,
    pub begins: Signal<In, Bit>,
    pub put: Signal<In, Bit>,
    pub put_data: Signal<In, Bits<D>>,
    pub put_end: Signal<In, End>,
    pub sum_valid: Signal<In, Bit>,
    pub sum_word: Signal<In, Sums>,
    pub mac: MacSrc<D>,
    pub stat_frame: Signal<Out, Bit>,
    pub stat_bytes: Signal<Out, Bits<16>>,
    pub stat_bad: Signal<Out, Bit>,
    // What is inside.
    opens: Reg<Bit>,
    rows: Reg<Bits<16>>,
    frames: Reg<Bits<6>>,
    /// Of frames whose sums are known.
    sums: Fifo<Sums, 5>,
    // The oldest of them.
    sum: Reg<Bit>,
    words: Reg<Sums>,
    // The RAM, and beats read ahead of it.
    ram: BlockRam<Bits<D>, B>,
    ram_end: BlockRam<End, B>,
    write: Reg<Bits<B>>,
    read: Reg<Bits<B>>,
    stored: Reg<Bits<16>>,
    fetched: Reg<Bit>,
    ahead: Fifo<Bits<D>, 2>,
    ahead_end: Fifo<End, 2>,
    // The beat that leaves.
    out_index: Reg<Bits<7>>,
    /// The beat before it, inverted: none after a reset and in a frame's first.
    out_less: Reg<Bits<7>>,
    out_bytes: Reg<Bits<16>>,
    frame_stat: Reg<Bit>,
    bytes_stat: Reg<Bits<16>>,
    bad_stat: Reg<Bit>,
    y: Reg<Bit>,
    y_data: Reg<Bits<D>>,
    y_end: Reg<SentEnd>,
    y_off: Reg<Bit>,
    y_field: [Reg<Bits<K>>; 4],
    // The IPv4 header's checksum, and that of TCP or UDP.
    y_value: [Reg<Bits<16>>; 2],
    sent: Skid<Bits<D>>,
    sent_end: Skid<SentEnd>,
}

impl<const D: usize, const K: usize, const L: usize, const B: usize> Logic
    for TxRelease<D, K, L, B>
{
    /// Keeps frames until their checksums are known, and writes them in.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; opens, rows, frames, sum, write, read, stored, fetched,
            out_index, out_less, out_bytes, y, frame_stat, bad_stat);
        registers!(self, clock; words, bytes_stat, y_data, y_end, y_off, y_field[..], y_value[..]);
        clocked!(self, clock, reset; sums, ahead, ahead_end, sent, sent_end);
        clocked!(self, clock; ram, ram_end);

        // ---- The RAM.
        let put = self.put.val();
        let waiting = self.ahead.level.val() + bit_cast::<8, 1>(self.fetched.q.val().into());
        let get = self.stored.q.val().any() && waiting < lit::<8>(4);
        self.ram.we.next = put;
        self.ram.waddr.next = self.write.q.val();
        self.ram.wdata.next = self.put_data.val();
        self.ram.raddr.next = self.read.q.val();
        self.ram_end.we.next = put;
        self.ram_end.waddr.next = self.write.q.val();
        self.ram_end.wdata.next = self.put_end.val();
        self.ram_end.raddr.next = self.read.q.val();
        let mut stored = self.stored.q.val();
        let mut rows = self.rows.q.val();
        if put {
            self.write.d.next = self.write.q.val() + 1;
            stored = stored + 1;
        }
        if get {
            self.read.d.next = self.read.q.val() + 1;
            stored = stored - 1;
            rows = rows - 1;
        }
        if self.taken.val() {
            rows = rows + 1;
        }
        self.stored.d.next = stored;
        self.rows.d.next = rows;
        self.fetched.d.next = get;
        self.ahead.in_valid.next = self.fetched.q.val();
        self.ahead.in_data.next = self.ram.rdata.val();
        self.ahead_end.in_valid.next = self.fetched.q.val();
        self.ahead_end.in_data.next = self.ram_end.rdata.val();

        self.sums.in_valid.next = self.sum_valid.val();
        self.sums.in_data.next = self.sum_word.val();

        // ---- Beats out. A frame with sums to come waits for them.
        let end = self.ahead_end.out_data.val();
        let off_out = end.off;
        let last = end.last;
        let sums = self.words.q.val();
        let free = !self.y.q.val() || self.sent.in_ready.val();
        let go = self.ahead_end.out_valid.val() && (!off_out || self.sum.q.val()) && free;
        let index = self.out_index.q.val();
        let refused = off_out && sums.verdict.refused;
        let bytes = self.out_bytes.q.val() + bit_cast::<16, 7>(end.bytes);
        self.frame_stat.d.next = go && last && !refused;
        self.bytes_stat.d.next = bytes - bit_cast::<16, 6>(end.short);
        self.bad_stat.d.next = go && last && refused && sums.verdict.first;
        self.stat_frame.next = self.frame_stat.q.val();
        self.stat_bytes.next = self.bytes_stat.q.val();
        self.stat_bad.next = self.bad_stat.q.val();
        self.ahead.out_ready.next = go;
        self.ahead_end.out_ready.next = go;
        let next_sum = !self.sum.q.val() || (go && off_out && last);
        self.sums.out_ready.next = next_sum;
        if next_sum {
            self.sum.d.next = self.sums.out_valid.val();
            self.words.d.next = self.sums.out_data.val();
        }
        if go {
            self.out_less.d.next = !index;
            self.out_bytes.d.next = if last { lit::<16>(0) } else { bytes };
            if last {
                self.out_index.d.next = lit::<7>(0);
                self.out_less.d.next = lit::<7>(0);
            } else if index < 64 {
                self.out_index.d.next = index + 1;
            }
        }
        if free {
            self.y.d.next = go && !refused;
            self.y_data.d.next = self.ahead.out_data.val();
            self.y_end.d.next = SentEnd { bytes: end.bytes, last };
            self.y_off.d.next = off_out;
            self.y_value[0].d.next = sums.ip;
            self.y_value[1].d.next = sums.l4;
            let fields = sums.fields;
            for n in 0..2 {
                let at = if n == 0 { fields.ip_at } else { fields.l4_at };
                let on = off_out && if n == 0 { fields.ip } else { fields.l4 };
                let here = beat::<L>(at) == index && on;
                let less = beat::<L>(at) == !self.out_less.q.val() && on;
                let lanes = lane::<K>(at);
                self.y_field[2 * n].d.next = only::<K>(here, lanes);
                self.y_field[2 * n + 1].d.next = only::<K>(here, lanes << lit::<8>(1))
                    | only::<K>(less, lanes >> lit::<8>(K - 1));
            }
        }
        let mut data = self.y_data.q.val();
        if self.y_off.q.val() {
            for i in 0..K {
                let mut hit = false;
                let mut byte = lit::<8>(0);
                for n in 0..4 {
                    let here = self.y_field[n].q.val().get_bit(i);
                    let value = self.y_value[n / 2].q.val().get_bits::<8>(8 - n % 2 * 8);
                    hit = hit || here;
                    byte = byte | gate(here, value);
                }
                if hit {
                    data = data.set_slice::<8>(8 * i, byte);
                }
            }
        }
        self.sent.in_valid.next = self.y.q.val();
        self.sent.in_data.next = data;
        self.sent_end.in_valid.next = self.y.q.val();
        self.sent_end.in_data.next = self.y_end.q.val();
        self.mac.valid.next = self.sent.out_valid.val();
        let end = self.sent_end.out_data.val();
        self.mac.put(Mac {
            data: self.sent.out_data.val(),
            last: end.last,
            bytes: end.bytes,
            err: false,
        });
        self.sent.out_ready.next = self.mac.ready.val();
        self.sent_end.out_ready.next = self.mac.ready.val();

        let mut frames = self.frames.q.val();
        if self.begins.val() {
            frames = frames + 1;
        }
        if go && off_out && last {
            frames = frames - 1;
        }
        self.frames.d.next = frames;
        // Two frames may begin before this count is seen.
        let few = self.frames.q.val() < lit::<6>(31);
        self.opens.d.next = !rows.get_bit(B) && few;
        self.open.next = self.opens.q.val();
    }
}
