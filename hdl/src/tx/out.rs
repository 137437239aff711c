//! Frames leave the TX buffer for `tx/offload`, and their packets complete.
//!
//! **Ports.** `info_*` from `tx/gather`, in order; `inject_*` brings pushed headers, in order too, in cycles in which `bus` writes nothing; `bus` fills
//! the buffer and says when a frame's data are there; `beat_*` are the frames, with each beat the frame's `word`;
//! `done` takes the completions. `free_rows` (each cycle's count) and `free_slot` go back to `tx/gather`.
//!
//! **Order.** The oldest frame waits for its data, those behind it wait for it: frames and completions come in the order of the
//! descriptors. A packet's completion follows when the last beat of its last frame is on its way out.
//!
//! **Frames** are padded with zeros to 60 bytes; whatever else is in a row stays there. A packet that is bad, or whose data
//! could not be read, completes without a frame and is counted (`stat_bad`, `stat_drop_dma`); a silent one does not
//! complete either. Of a packet that was cut, the frames without all their data are lost, and all if the first is, which has the
//! header; they are one drop. `stat_frame` goes with `stat_bytes`, the frame's bytes before padding.
//!
//! **Speed.** A beat a cycle, no gap between frames; a frame takes 2 cycles at least. From the last `done` event to the first
//! beat of a frame: 5 cycles.
//!
//! **Full.** 4 beats and 6 to 8 completions wait at the outputs; no frame begins without room for its completion. While `beat` or `done` refuses, rows and slots
//! are not given back, so `tx/gather` stops; reads under way have their place. `info_ready` is low for the 2^S cycles
//! after `reset` in which the operation tracker clears itself, and while 2^S packets wait.

use super::offload::word;
use crate::common::fifo::Fifo;
use crate::common::iface::*;
use crate::common::op_tracker::OpTracker;
use crate::common::ram::BankedRam;
use nitor_rtl::prelude::*;

const MIN_FRAME: usize = 60;
const KNOWN: usize = word::KNOWN;
const WORD: usize = word::BITS;

#[derive(LogicBlock, Default)]
pub struct TxOut<const D: usize, const K: usize, const L: usize, const S: usize, const B: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub info_valid: Signal<In, Bit>,
    pub info_ready: Signal<Out, Bit>,
    pub info_row: Signal<In, Bits<16>>,
    pub info_len: Signal<In, Bits<16>>,
    pub info_cq: Signal<In, Bits<8>>,
    pub info_req_id: Signal<In, Bits<16>>,
    pub info_word: Signal<In, Bits<KNOWN>>,
    pub info_read: Signal<In, Bit>,
    pub info_slot: Signal<In, Bit>,
    pub info_push: Signal<In, Bit>,
    pub info_bad: Signal<In, Bit>,
    pub info_dma: Signal<In, Bit>,
    pub info_silent: Signal<In, Bit>,
    pub info_marker: Signal<In, Bit>,
    pub bus: ReadBusSnk<D, K>,
    pub inject_valid: Signal<In, Bit>,
    pub inject_ready: Signal<Out, Bit>,
    pub inject_row: Signal<In, Bits<16>>,
    pub inject_data: Signal<In, Bits<D>>,
    pub inject_be_lo: Signal<In, Bits<K>>,
    pub inject_be_hi: Signal<In, Bits<K>>,
    pub inject_last: Signal<In, Bit>,
    pub beat_valid: Signal<Out, Bit>,
    pub beat_ready: Signal<In, Bit>,
    pub beat_data: Signal<Out, Bits<D>>,
    pub beat_last: Signal<Out, Bit>,
    pub beat_bytes: Signal<Out, Bits<7>>,
    /// See [word].
    pub word: Signal<Out, Bits<WORD>>,
    pub done: TxDoneSrc,
    pub free_rows: Signal<Out, Bits<16>>,
    pub free_slot: Signal<Out, Bit>,
    pub stat_frame: Signal<Out, Bit>,
    pub stat_bytes: Signal<Out, Bits<16>>,
    pub stat_drop_dma: Signal<Out, Bit>,
    pub stat_bad: Signal<Out, Bit>,
    infos: Fifo<Bits<96>, S>,
    /// Two more fit in.
    info_room: Reg<Bit>,
    tracker: OpTracker<S>,
    buffer: BankedRam<D, K, B>,
    /// The tracker has cleared itself.
    started: Reg<Bit>,
    // The oldest packet, and what is known of its data since the cycle before.
    held: Reg<Bit>,
    info: Reg<Bits<96>>,
    ripe: Reg<Bit>,
    err: Reg<Bit>,
    // Of the oldest packet, a cycle after `info`: rows, beats, whether that is one, and bytes of the last.
    rows: Reg<Bits<16>>,
    most_beats: Reg<Bits<16>>,
    one_beat: Reg<Bit>,
    end_bytes: Reg<Bits<7>>,
    /// Pushed headers in the buffer, of packets that were not taken yet.
    injected: Reg<Bits<16>>,
    slot: Reg<Bits<S>>,
    even_lap: Reg<Bit>,
    // The packet that leaves.
    busy: Reg<Bit>,
    frame: Reg<Bit>,
    silent: Reg<Bit>,
    marker: Reg<Bit>,
    cq: Reg<Bits<8>>,
    req_id: Reg<Bits<16>>,
    len: Reg<Bits<16>>,
    row: Reg<Bits<16>>,
    /// Bytes and beats to come; the beats of the padding have no bytes.
    left: Reg<Bits<16>>,
    beats: Reg<Bits<16>>,
    at_last: Reg<Bit>,
    last_bytes: Reg<Bits<7>>,
    known: Reg<Bits<KNOWN>>,
    /// Payload and frames of the packet before this one, and the payload of this one.
    seq: Reg<Bits<17>>,
    num: Reg<Bits<16>>,
    part: Reg<Bits<17>>,
    /// Of the packet, the first frame or any is lost.
    headless: Reg<Bit>,
    counted: Reg<Bit>,
    // The beat on the buffer's output.
    beat: Reg<Bit>,
    beat_end: Reg<Bit>,
    beat_keep: Reg<Bits<7>>,
    beat_count: Reg<Bits<7>>,
    beat_word: Reg<Bits<WORD>>,
    /// Beats on their way or to send, at most 4.
    pending: Reg<Bits<3>>,
    // Beats to send: data, {last, bytes}, word; all take and give together.
    send_data: Fifo<Bits<D>, 2>,
    send_end: Fifo<Bits<8>, 2>,
    send_word: Fifo<Bits<WORD>, 2>,
    // Or, on a small card, one of them.
    one: Reg<Bit>,
    one_data: Reg<Bits<D>>,
    one_end: Reg<Bits<8>>,
    one_word: Reg<Bits<WORD>>,
    dones: Fifo<Bits<25>, 3>,
    freed_rows: Reg<Bits<16>>,
    freed_slot: Reg<Bit>,
    frame_stat: Reg<Bit>,
    bytes_stat: Reg<Bits<16>>,
    dma_stat: Reg<Bit>,
    bad_stat: Reg<Bit>,
    _small: bool,
}

impl<const D: usize, const K: usize, const L: usize, const S: usize, const B: usize>
    TxOut<D, K, L, S, B>
{
    /// `small`: a beat in three cycles, of which one waits at the output.
    pub fn new(small: bool) -> Self {
        Self { _small: small, ..Self::default() }
    }
}

impl<const D: usize, const K: usize, const L: usize, const S: usize, const B: usize> Logic
    for TxOut<D, K, L, S, B>
{
    /// Sends whole packets from the TX buffer to the MAC, in order, and completes them.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; started, info_room, held, ripe, err, rows, most_beats, one_beat, end_bytes, injected, slot, even_lap, busy,
            frame, silent, marker, row, left, beats, at_last, pending, last_bytes, seq, num, part, headless, counted);
        registers!(self, clock, reset; beat, freed_slot, frame_stat, dma_stat, bad_stat, one);
        registers!(self, clock; info, cq, req_id, len, known, beat_end, beat_keep, beat_count, beat_word, freed_rows, bytes_stat,
            one_data, one_end, one_word);
        clocked!(self, clock, reset; infos, tracker, send_data, send_end, send_word, dones);
        clocked!(self, clock; buffer);

        let ours = lit::<2>(client::TX_DATA);
        // Read data can't wait; a pushed header can.
        let read_lands = self.bus.data_valid.val() && self.bus.data_client.val() == ours;
        self.inject_ready.next = !read_lands;
        self.buffer.we.next = read_lands || self.inject_valid.val();
        if read_lands {
            self.buffer.row.next = self.bus.data_row.val();
            self.buffer.data.next = self.bus.data.val();
            self.buffer.be_lo.next = self.bus.be_lo.val();
            self.buffer.be_hi.next = self.bus.be_hi.val();
        } else {
            self.buffer.row.next = self.inject_row.val();
            self.buffer.data.next = self.inject_data.val();
            self.buffer.be_lo.next = self.inject_be_lo.val();
            self.buffer.be_hi.next = self.inject_be_hi.val();
        }
        self.tracker.issue_valid.next =
            self.bus.issue_valid.val() && self.bus.issue_client.val() == ours;
        self.tracker.issue_op.next = self.bus.issue_op.val();
        self.tracker.issue_last.next = self.bus.issue_last.val();
        self.tracker.done_valid.next =
            self.bus.done_valid.val() && self.bus.done_client.val() == ours;
        self.tracker.done_op.next = self.bus.done_op.val();
        self.tracker.done_err.next = self.bus.done_err.val();

        // ---- Packets in.
        self.started.d.next = self.tracker.ready.val();
        self.infos.in_valid.next = self.info_valid.val() && self.info_room.q.val();
        self.info_room.d.next =
            self.started.q.val() && self.infos.level.val() <= lit::<8>((1 << S) - 2);
        self.info_ready.next = self.info_room.q.val();
        self.infos.in_data.next = cat::<67, 29, 96>(
            cat::<35, 32, 67>(
                cat::<2, 33, 35>(
                    cat::<1, 1, 2>(self.info_push.val().into(), self.info_slot.val().into()),
                    self.info_word.val(),
                ),
                cat::<16, 16, 32>(self.info_row.val(), self.info_len.val()),
            ),
            cat::<24, 5, 29>(
                cat::<8, 16, 24>(self.info_cq.val(), self.info_req_id.val()),
                cat::<2, 3, 5>(
                    cat::<1, 1, 2>(self.info_marker.val().into(), self.info_silent.val().into()),
                    cat::<1, 2, 3>(
                        self.info_dma.val().into(),
                        cat::<1, 1, 2>(self.info_bad.val().into(), self.info_read.val().into()),
                    ),
                ),
            ),
        );
        let info = self.info.q.val();
        let reads = info.get_bit(0);
        let has_slot = info.get_bit(94);
        let has_push = info.get_bit(95);
        let marker = info.get_bit(4);
        let len = info.get_bits::<16>(29);
        let known = info.get_bits::<KNOWN>(61);
        let first = known.get_bit(word::FIRST);
        let padded = if len < lit::<16>(MIN_FRAME) { lit::<16>(MIN_FRAME) } else { len };
        let all_beats = (padded + lit::<16>(K - 1)) >> lit::<16>(L);
        self.rows.d.next = (len + lit::<16>(K - 1)) >> lit::<16>(L);
        self.most_beats.d.next = all_beats;
        self.one_beat.d.next = all_beats == 1;
        self.end_bytes.d.next = bit_cast::<7, 16>((padded - 1) & lit::<16>(K - 1)) + lit::<7>(1);

        // ---- The packet that leaves: a beat a cycle, as long as those on their way have room at the output.
        let last = self.at_last.q.val();
        // Room for the completion is there before a frame begins, since a wire does not wait inside one: besides its own, the packet that ends now and
        // the one before that may not be counted yet.
        let roomy = self.dones.level.val() <= 5;
        let full_up = if self._small {
            self.pending.q.val().get_bit(0)
        } else {
            self.pending.q.val().get_bit(2)
        };
        let read = self.busy.q.val() && self.frame.q.val() && !full_up;
        let ends = (read && last) || (self.busy.q.val() && !self.frame.q.val());
        let full = self.left.q.val() >= lit::<16>(K);
        let keep = if full { lit::<16>(K) } else { self.left.q.val() };
        let take = self.ripe.q.val() && (!self.busy.q.val() || ends);
        let headless = self.headless.q.val() && !first;
        let counted = self.counted.q.val() && !first;
        let lost = (has_slot && self.err.q.val()) || (reads && headless);
        self.freed_rows.d.next = lit::<16>(0);
        self.freed_slot.d.next = take && has_slot;
        self.frame_stat.d.next = read && last;
        self.bytes_stat.d.next = self.len.q.val();
        self.bad_stat.d.next = take && info.get_bit(1);
        self.dma_stat.d.next = take && ((lost && !counted) || info.get_bit(2));
        if read {
            self.row.d.next = self.row.q.val() + 1;
            self.left.d.next = self.left.q.val() - keep;
            self.beats.d.next = self.beats.q.val() - 1;
            self.at_last.d.next = self.beats.q.val() == 2;
            self.freed_rows.d.next = bit_cast::<16, 1>(keep.any().into());
        }
        if ends {
            self.busy.d.next = false;
        }
        if !self.frame.q.val() && ends {
            // A frame that was not sent gives back its rows at once.
            self.freed_rows.d.next = self.left.q.val();
        }
        if take {
            self.busy.d.next = true;
            self.frame.d.next = reads && !lost;
            self.silent.d.next = info.get_bit(3);
            self.marker.d.next = marker;
            self.cq.d.next = info.get_bits::<8>(21);
            self.req_id.d.next = info.get_bits::<16>(5);
            self.len.d.next = len;
            self.row.d.next = info.get_bits::<16>(45);
            self.known.d.next = known;
            self.headless.d.next = headless || (first && lost);
            self.counted.d.next = counted || lost;
            self.seq.d.next =
                if first { lit::<17>(0) } else { self.seq.q.val() + self.part.q.val() };
            self.num.d.next = if first { lit::<16>(0) } else { self.num.q.val() + 1 };
            self.part.d.next =
                bit_cast::<17, 16>(len - bit_cast::<16, 9>(known.get_bits::<9>(word::HDR)));
            self.left.d.next = if !reads {
                lit::<16>(0)
            } else if lost {
                self.rows.q.val()
            } else {
                len
            };
            self.beats.d.next = self.most_beats.q.val();
            self.at_last.d.next = self.one_beat.q.val();
            self.last_bytes.d.next = self.end_bytes.q.val();
            if has_slot {
                self.slot.d.next = self.slot.q.val() + 1;
                if self.slot.q.val().all() {
                    self.even_lap.d.next = !self.even_lap.q.val();
                }
            }
        }
        self.free_rows.next = self.freed_rows.q.val();
        self.free_slot.next = self.freed_slot.q.val();
        self.stat_frame.next = self.frame_stat.q.val();
        self.stat_bytes.next = self.bytes_stat.q.val();
        self.stat_drop_dma.next = self.dma_stat.q.val();
        self.stat_bad.next = self.bad_stat.q.val();

        // ---- The packet behind it.
        self.infos.out_ready.next = take || !self.held.q.val();
        if take || !self.held.q.val() {
            self.held.d.next = self.infos.out_valid.val();
            self.info.d.next = self.infos.out_data.val();
        }
        self.tracker.query.next =
            cat::<1, 8, 9>((!self.even_lap.q.val()).into(), bit_cast::<8, S>(self.slot.q.val()));
        let mut injected = self.injected.q.val();
        if self.inject_valid.val() && self.inject_last.val() && !read_lands {
            injected = injected + 1;
        }
        if take && has_push {
            injected = injected - 1;
        }
        self.injected.d.next = injected;
        self.ripe.d.next = self.held.q.val()
            && !take
            && roomy
            && (!has_slot || self.tracker.complete.val())
            && (!has_push || self.injected.q.val().any());
        self.err.d.next = self.tracker.err.val();

        // ---- Beats out: what is not of the packet is zero.
        self.buffer.read_row.next = self.row.q.val();
        self.beat.d.next = read;
        let small = lit::<1>(self._small as usize).any();
        let offered = if small { self.one.q.val() } else { self.send_data.out_valid.val() };
        let leaves = offered && self.beat_ready.val();
        if read && !leaves {
            self.pending.d.next = self.pending.q.val() + 1;
        }
        if leaves && !read {
            self.pending.d.next = self.pending.q.val() - 1;
        }
        self.beat_end.d.next = last;
        self.beat_keep.d.next = bit_cast::<7, 16>(keep);
        self.beat_count.d.next = if last { self.last_bytes.q.val() } else { lit::<7>(K) };
        let mut data = self.buffer.read_data.val();
        for i in 0..K {
            if self.beat_keep.q.val() <= lit::<7>(i) {
                data = data.set_slice::<8>(8 * i, lit::<8>(0));
            }
        }
        let beat_end = cat::<1, 7, 8>(self.beat_end.q.val().into(), self.beat_count.q.val());
        self.beat_word.d.next = cat::<49, 33, 82>(
            cat::<33, 16, 49>(
                cat::<16, 17, 33>(self.num.q.val(), self.seq.q.val()),
                self.len.q.val(),
            ),
            self.known.q.val(),
        );
        let queued = self.beat.q.val() && !small;
        self.send_data.in_valid.next = queued;
        self.send_data.in_data.next = data;
        self.send_end.in_valid.next = queued;
        self.send_end.in_data.next = beat_end;
        self.send_word.in_valid.next = queued;
        self.send_word.in_data.next = self.beat_word.q.val();
        self.one.d.next = small && (self.beat.q.val() || (self.one.q.val() && !leaves));
        if self.beat.q.val() {
            self.one_data.d.next = data;
            self.one_end.d.next = beat_end;
            self.one_word.d.next = self.beat_word.q.val();
        }
        self.beat_valid.next = offered;
        if small {
            self.beat_data.next = self.one_data.q.val();
            self.beat_last.next = self.one_end.q.val().get_bit(7);
            self.beat_bytes.next = self.one_end.q.val().get_bits::<7>(0);
            self.word.next = self.one_word.q.val();
        } else {
            self.beat_data.next = self.send_data.out_data.val();
            self.beat_last.next = self.send_end.out_data.val().get_bit(7);
            self.beat_bytes.next = self.send_end.out_data.val().get_bits::<7>(0);
            self.word.next = self.send_word.out_data.val();
        }
        self.send_data.out_ready.next = self.beat_ready.val();
        self.send_end.out_ready.next = self.beat_ready.val();
        self.send_word.out_ready.next = self.beat_ready.val();

        // ---- Completions.
        self.dones.in_valid.next =
            ends && !self.silent.q.val() && self.known.q.val().get_bit(word::LAST);
        self.dones.in_data.next = cat::<1, 24, 25>(
            self.marker.q.val().into(),
            cat::<8, 16, 24>(self.cq.q.val(), self.req_id.q.val()),
        );
        let done = self.dones.out_data.val();
        self.done.valid.next = self.dones.out_valid.val();
        self.dones.out_ready.next = self.done.ready.val();
        self.done.marker.next = done.get_bit(24);
        self.done.cq.next = done.get_bits::<8>(16);
        self.done.req_id.next = done.get_bits::<16>(0);
    }
}
