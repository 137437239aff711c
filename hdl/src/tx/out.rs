//! Frames leave the TX buffer for `tx/offload`, and their packets complete.
//!
//! **Ports.** `info` comes from `tx/gather`, in order. `inject` brings pushed headers, in order
//! too, in cycles in which `bus` writes nothing. `bus` fills the buffer and says when a frame's
//! data are there. `beat` sends the frames. `done` takes the completions. `free_rows` (each cycle's
//! count) and `free_slot` go back to `tx/gather`.
//!
//! **Order.** The oldest frame waits for its data, those behind it wait for it: frames and
//! completions come in the order of the descriptors. A packet's completion follows when the last
//! beat of its last frame is on its way out.
//!
//! **Frames** are padded with zeros to 60 bytes; whatever else is in a row stays there. A packet
//! that is bad, or whose data could not be read, completes without a frame and is counted
//! (`stat_bad`, `stat_drop_dma`); a silent one does not complete either. Of a packet that was cut,
//! the frames without all their data are lost, and all if the first is, which has the header; they
//! are one drop. `stat_frame` goes with `stat_bytes`, the frame's bytes before padding.
//!
//! **Speed.** A beat a cycle, no gap between frames; a frame takes 2 cycles at least. From the last
//! `done` event to the first beat of a frame: 5 cycles.
//!
//! **Full.** 4 beats and 6 to 8 completions wait at the outputs; no frame begins without room for
//! its completion. While `beat` or `done` refuses, rows and slots are not given back, so
//! `tx/gather` stops; reads under way have their place. `info.ready` is low for the 2^S cycles
//! after `reset` in which the operation tracker clears itself, and while 2^S packets wait.

use super::words::*;
use crate::common::fifo::Fifo;
use crate::common::iface::*;
use crate::common::op_tracker::OpTracker;
use crate::common::ram::BankedRam;
use nitor_rtl::prelude::*;

const MIN_FRAME: usize = 60;

/// How a beat ends.
#[record]
struct BeatEnd {
    bytes: Bits<7>,
    last: Bit,
}

#[derive(LogicBlock, Default)]
pub struct TxOut<const D: usize, const K: usize, const L: usize, const S: usize, const B: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub info: FrameSnk,
    pub bus: ReadBusSnk<D, K>,
    pub inject: InjectSnk<D, K>,
    pub beat: BeatSrc<D>,
    pub done: TxDoneSrc,
    pub free_rows: Signal<Out, Bits<16>>,
    pub free_slot: Signal<Out, Bit>,
    pub stat_frame: Signal<Out, Bit>,
    pub stat_bytes: Signal<Out, Bits<16>>,
    pub stat_drop_dma: Signal<Out, Bit>,
    pub stat_bad: Signal<Out, Bit>,
    infos: Fifo<Frame, S>,
    /// Two more fit in.
    info_room: Reg<Bit>,
    tracker: OpTracker<S>,
    buffer: BankedRam<D, K, B>,
    /// The tracker has cleared itself.
    started: Reg<Bit>,
    // The oldest packet, and what is known of its data since the cycle before.
    oldest_valid: Reg<Bit>,
    oldest: Reg<Frame>,
    ripe: Reg<Bit>,
    err: Reg<Bit>,
    // Of the oldest packet, a cycle after `oldest`: rows, beats, whether that is one, and bytes of
    // the last.
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
    owner: Reg<Owner>,
    len: Reg<Bits<16>>,
    row: Reg<Bits<16>>,
    /// Bytes and beats to come; the beats of the padding have no bytes.
    left: Reg<Bits<16>>,
    beats: Reg<Bits<16>>,
    at_last: Reg<Bit>,
    last_bytes: Reg<Bits<7>>,
    known: Reg<Offloads>,
    /// Payload and frames of the packet before this one, and the payload of this one.
    seq: Reg<Bits<17>>,
    num: Reg<Bits<16>>,
    part: Reg<Bits<17>>,
    /// Of the packet, the first frame or any is lost.
    headless: Reg<Bit>,
    counted: Reg<Bit>,
    // The beat on the buffer's output.
    read_beat: Reg<Bit>,
    beat_end: Reg<Bit>,
    beat_keep: Reg<Bits<7>>,
    beat_count: Reg<Bits<7>>,
    beat_offloads: Reg<OffloadWord>,
    /// Beats on their way or to send, at most 4.
    pending: Reg<Bits<3>>,
    // Beats to send: data, end, offloads; all take and give together.
    send_data: Fifo<Bits<D>, 2>,
    send_end: Fifo<BeatEnd, 2>,
    send_word: Fifo<OffloadWord, 2>,
    // Or, on a small card, one of them.
    one: Reg<Bit>,
    one_data: Reg<Bits<D>>,
    one_end: Reg<BeatEnd>,
    one_word: Reg<OffloadWord>,
    dones: Fifo<TxDone, 3>,
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
        registers!(self, clock, reset; started, info_room, oldest_valid, ripe, err, rows,
            most_beats,
            one_beat, end_bytes, injected, slot, even_lap, busy, frame, silent, marker, row, left,
            beats, at_last, pending, last_bytes, seq, num, part, headless, counted);
        registers!(self, clock, reset; read_beat, freed_slot, frame_stat, dma_stat, bad_stat, one);
        registers!(self, clock; oldest, owner, len, known, beat_end, beat_keep, beat_count,
            beat_offloads, freed_rows, bytes_stat, one_data, one_end, one_word);
        clocked!(self, clock, reset; infos, tracker, send_data, send_end, send_word, dones);
        clocked!(self, clock; buffer);

        let ours = lit::<2>(client::TX_DATA);
        // Read data can't wait; a pushed header can.
        let bus = self.bus.get();
        let inject = self.inject.get();
        let read_lands = bus.data_valid && bus.data_client == ours;
        self.inject.ready.next = !read_lands;
        self.buffer.we.next = read_lands || self.inject.valid.val();
        if read_lands {
            self.buffer.row.next = bus.data_row;
            self.buffer.data.next = bus.data;
            self.buffer.be_lo.next = bus.be_lo;
            self.buffer.be_hi.next = bus.be_hi;
        } else {
            self.buffer.row.next = inject.row;
            self.buffer.data.next = inject.data;
            self.buffer.be_lo.next = inject.be_lo;
            self.buffer.be_hi.next = inject.be_hi;
        }
        self.tracker.issue_valid.next = bus.issue_valid && bus.issue_client == ours;
        self.tracker.issue_op.next = bus.issue_op;
        self.tracker.issue_last.next = bus.issue_last;
        self.tracker.done_valid.next = bus.done_valid && bus.done_client == ours;
        self.tracker.done_op.next = bus.done_op;
        self.tracker.done_err.next = bus.done_err;

        // ---- Packets in.
        self.started.d.next = self.tracker.ready.val();
        self.infos.in_valid.next = self.info.valid.val() && self.info_room.q.val();
        self.info_room.d.next =
            self.started.q.val() && self.infos.level.val() <= lit::<8>((1 << S) - 2);
        self.info.ready.next = self.info_room.q.val();
        self.infos.in_data.next = self.info.get();
        let info = self.oldest.q.val();
        let len = info.len;
        let first = info.word.first;
        let padded = if len < lit::<16>(MIN_FRAME) { lit::<16>(MIN_FRAME) } else { len };
        let all_beats = (padded + lit::<16>(K - 1)) >> lit::<16>(L);
        self.rows.d.next = (len + lit::<16>(K - 1)) >> lit::<16>(L);
        self.most_beats.d.next = all_beats;
        self.one_beat.d.next = all_beats == 1;
        self.end_bytes.d.next = bit_cast::<7, 16>((padded - 1) & lit::<16>(K - 1)) + lit::<7>(1);

        // ---- The packet that leaves: a beat a cycle, as long as those on their way have room at
        // the output.
        let last = self.at_last.q.val();
        // Room for the completion is there before a frame begins, since a wire does not wait inside
        // a frame. Besides its own, those of the packet that ends now and of the one before may not
        // be counted yet.
        let roomy = self.dones.level.val() <= 5;
        let full_up = self.pending.q.val().get_bit(if self._small { 0 } else { 2 });
        let read = self.busy.q.val() && self.frame.q.val() && !full_up;
        let ends = (read && last) || (self.busy.q.val() && !self.frame.q.val());
        let full = self.left.q.val() >= lit::<16>(K);
        let keep = if full { lit::<16>(K) } else { self.left.q.val() };
        let take = self.ripe.q.val() && (!self.busy.q.val() || ends);
        let headless = self.headless.q.val() && !first;
        let counted = self.counted.q.val() && !first;
        let lost = (info.slot && self.err.q.val()) || (info.read && headless);
        self.freed_rows.d.next = lit::<16>(0);
        self.freed_slot.d.next = take && info.slot;
        self.frame_stat.d.next = read && last;
        self.bytes_stat.d.next = self.len.q.val();
        self.bad_stat.d.next = take && info.bad;
        self.dma_stat.d.next = take && ((lost && !counted) || info.dma);
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
            self.frame.d.next = info.read && !lost;
            self.silent.d.next = info.silent;
            self.marker.d.next = info.marker;
            self.owner.d.next = info.owner;
            self.len.d.next = len;
            self.row.d.next = info.row;
            self.known.d.next = info.word;
            self.headless.d.next = headless || (first && lost);
            self.counted.d.next = counted || lost;
            self.seq.d.next =
                if first { lit::<17>(0) } else { self.seq.q.val() + self.part.q.val() };
            self.num.d.next = if first { lit::<16>(0) } else { self.num.q.val() + 1 };
            self.part.d.next = bit_cast::<17, 16>(len - bit_cast::<16, 9>(info.word.hdr));
            self.left.d.next = if !info.read {
                lit::<16>(0)
            } else if lost {
                self.rows.q.val()
            } else {
                len
            };
            self.beats.d.next = self.most_beats.q.val();
            self.at_last.d.next = self.one_beat.q.val();
            self.last_bytes.d.next = self.end_bytes.q.val();
            if info.slot {
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
        self.infos.out_ready.next = take || !self.oldest_valid.q.val();
        if take || !self.oldest_valid.q.val() {
            self.oldest_valid.d.next = self.infos.out_valid.val();
            self.oldest.d.next = self.infos.out_data.val();
        }
        let query = Op { slot: bit_cast::<8, S>(self.slot.q.val()), lap: !self.even_lap.q.val() };
        self.tracker.query.next = query.to_bits::<9>();
        let mut injected = self.injected.q.val();
        if self.inject.valid.val() && inject.last && !read_lands {
            injected = injected + 1;
        }
        if take && info.push {
            injected = injected - 1;
        }
        self.injected.d.next = injected;
        self.ripe.d.next = self.oldest_valid.q.val()
            && !take
            && roomy
            && (!info.slot || self.tracker.complete.val())
            && (!info.push || self.injected.q.val().any());
        self.err.d.next = self.tracker.err.val();

        // ---- Beats out: what is not of the packet is zero.
        self.buffer.read_row.next = self.row.q.val();
        self.read_beat.d.next = read;
        let offered = if self._small { self.one.q.val() } else { self.send_data.out_valid.val() };
        let leaves = offered && self.beat.ready.val();
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
        let end = BeatEnd { bytes: self.beat_count.q.val(), last: self.beat_end.q.val() };
        let word = self.beat_offloads.q.val();
        self.beat_offloads.d.next = OffloadWord {
            offloads: self.known.q.val(),
            len: self.len.q.val(),
            seq: self.seq.q.val(),
            num: self.num.q.val(),
        };
        let queued = self.read_beat.q.val() && !self._small;
        self.send_data.in_valid.next = queued;
        self.send_data.in_data.next = data;
        self.send_end.in_valid.next = queued;
        self.send_end.in_data.next = end;
        self.send_word.in_valid.next = queued;
        self.send_word.in_data.next = word;
        self.one.d.next = self._small && (self.read_beat.q.val() || (self.one.q.val() && !leaves));
        if self.read_beat.q.val() {
            self.one_data.d.next = data;
            self.one_end.d.next = end;
            self.one_word.d.next = word;
        }
        self.beat.valid.next = offered;
        let sent = if self._small { self.one_end.q.val() } else { self.send_end.out_data.val() };
        self.beat.last.next = sent.last;
        self.beat.bytes.next = sent.bytes;
        if self._small {
            self.beat.data.next = self.one_data.q.val();
            self.beat.word.next = self.one_word.q.val();
        } else {
            self.beat.data.next = self.send_data.out_data.val();
            self.beat.word.next = self.send_word.out_data.val();
        }
        self.send_data.out_ready.next = self.beat.ready.val();
        self.send_end.out_ready.next = self.beat.ready.val();
        self.send_word.out_ready.next = self.beat.ready.val();

        // ---- Completions.
        let owner = self.owner.q.val();
        self.dones.in_valid.next = ends && !self.silent.q.val() && self.known.q.val().last;
        self.dones.in_data.next =
            TxDone { cq: owner.cq, req_id: owner.req_id, marker: self.marker.q.val() };
        self.done.valid.next = self.dones.out_valid.val();
        self.dones.out_ready.next = self.done.ready.val();
        self.done.put(self.dones.out_data.val());
    }
}
