//! Descriptors become packets.
//!
//! **Ports.** `batch_*` from `tx/sched`, in the order of the requests; `bus` fills the descriptor cache (32 slots of 16 descriptors) and
//! says when a batch is complete; `packet_*` and `seg_*` go to `tx/gather`: a packet is one word, followed by `packet_count` segments on
//! the other stream. `slot_free` gives the oldest batch slot back; `broken_*` tells `tx/sched` of a queue to stop.
//!
//! A batch of lines (`batch_lines`) comes from `tx/llq` instead: `put_*` writes a descriptor into the cache in a cycle in which the bus has nothing of ours,
//! `filled_*` goes with the last one, taken with it: the batch is complete, and how many descriptors it has.
//!
//! **Packets.** A packet is offered when its last descriptor is seen, never before, so that whatever is offered can be
//! carried through, and a packet that never ends holds up nobody. Its segments gather in a ring of 64 behind a commit pointer,
//! and in the queue's place of the staging RAM: if the batch ends before the packet does, the ring is wound back, and the
//! queue's next batch puts the staged segments into the ring again. Segments of length 0 are legal and dropped here.
//!
//! **Grammar.** `[meta(first)] data(first if no meta) data* last`, at most 21 data descriptors. A meta descriptor's values hold for its
//! packet, and with `meta_store` for later ones of the queue. Bad, and completed without a frame (`packet_bad`): no `first` at the start, more
//! than 21 descriptors, more than 131071 bytes, no bytes at all, a meta descriptor inside a packet. `first` inside a packet: the
//! old packet is bad and ends, the new one begins. A packet from lines has `packet_push` bytes before its segments (`header_length`), in line `packet_line`;
//! it is bad too if these are more than the line holds, and needs no segments if there are some. A bad packet without a data descriptor has no req_id: it
//! is counted, not completed (`packet_silent`). Phase bits are not looked at: the doorbell is what says that a descriptor is valid.
//!
//! **Errors.** If reading a batch failed, where packets end is not known any more: the queue is broken. One silent packet with
//! `packet_dma` tells of it, the packet begun and all later batches of the queue are dropped, until its marker
//! ends it. Other queues go on. A marker clears the queue's state and passes on as `packet_marker`.
//!
//! **Speed.** A descriptor a cycle; a batch costs 3 more (4 if the batch before was of the same queue), a straddling packet one for
//! each segment staged and one. A batch waits until the ring and the packet FIFO have room for all it may
//! bring, so nothing inside a batch ever waits, but one cycle for a `first` inside a packet.
//!
//! A packet shows at the output 2 cycles after its last descriptor was in hand.
//!
//! After `reset` a walk of 2^Q cycles clears the queues' state; `batch_ready` is low until then. G is Q + 5.

use crate::common::fifo::Fifo;
use crate::common::iface::*;
use crate::common::op_tracker::OpTracker;
use crate::common::queue::Queue;
use crate::common::ram::{BankedRam, BlockRam, LutRam};
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum State {
    Walk,
    Wait,
    Restore,
    Run,
    Save,
}

/// A queue's state between batches.
mod qs {
    /// The descriptor cached by `meta_store`.
    pub const CACHE: usize = 0;
    pub const META: usize = 36;
    pub const LEN: usize = 98;
    pub const REQ_ID: usize = 115;
    pub const SEGS: usize = 131;
    pub const DESCS: usize = 136;
    /// A data descriptor was seen.
    pub const DATA: usize = 141;
    pub const BAD: usize = 142;
    /// Inside a packet.
    pub const OPEN: usize = 143;
    pub const BROKEN: usize = 144;
    /// The line that the packet's header is in.
    pub const LINE: usize = 145;
    pub const PUSHED: usize = 161;
}
const QS_W: usize = 162;

/// `packet_meta`: bits 17:0 of word 1 and header_length (word 3, 31:24) of the first data descriptor, then the meta
/// descriptor's values.
pub mod meta {
    pub const WORD1: usize = 0;
    pub const HEADER_LEN: usize = 18;
    pub const L3_HDR_LEN: usize = 26;
    pub const L3_HDR_OFF: usize = 34;
    pub const L4_HDR_WORDS: usize = 42;
    pub const MSS: usize = 48;
}

/// Most data descriptors in a packet: what drivers send at most when told 19 with the meta descriptor.
const MAX_DESCS: usize = 21;

/// Bytes that fit into a line, wide or not, behind two descriptors.
const MAX_PUSH: usize = 96;
const MAX_WIDE_PUSH: usize = 224;

#[derive(LogicBlock, Default)]
pub struct TxParse<const D: usize, const K: usize, const L: usize, const Q: usize, const G: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub batch_valid: Signal<In, Bit>,
    pub batch_ready: Signal<Out, Bit>,
    pub batch_queue: Signal<In, Bits<8>>,
    pub batch_cq: Signal<In, Bits<8>>,
    pub batch_op: Signal<In, Bits<9>>,
    pub batch_count: Signal<In, Bits<5>>,
    pub batch_lines: Signal<In, Bit>,
    pub batch_marker: Signal<In, Bit>,
    pub bus: ReadBusSnk<D, K>,
    pub put_valid: Signal<In, Bit>,
    pub put_ready: Signal<Out, Bit>,
    /// {slot, index}
    pub put_place: Signal<In, Bits<9>>,
    pub put_desc: Signal<In, Bits<128>>,
    pub filled_valid: Signal<In, Bit>,
    pub filled_op: Signal<In, Bits<9>>,
    pub filled_count: Signal<In, Bits<5>>,
    pub filled_line: Signal<In, Bits<16>>,
    pub filled_wide: Signal<In, Bit>,
    pub slot_free: Signal<Out, Bit>,
    pub broken_valid: Signal<Out, Bit>,
    pub broken_queue: Signal<Out, Bits<8>>,
    pub packet_valid: Signal<Out, Bit>,
    pub packet_ready: Signal<In, Bit>,
    pub packet_queue: Signal<Out, Bits<8>>,
    pub packet_cq: Signal<Out, Bits<8>>,
    pub packet_req_id: Signal<Out, Bits<16>>,
    /// Bytes of all segments, and those pushed.
    pub packet_len: Signal<Out, Bits<17>>,
    /// Segments, none of length 0; a bad packet has none.
    pub packet_count: Signal<Out, Bits<5>>,
    pub packet_meta: Signal<Out, Bits<62>>,
    /// Bytes pushed, 0 for a packet in host memory, and the line they are in.
    pub packet_push: Signal<Out, Bits<8>>,
    pub packet_line: Signal<Out, Bits<16>>,
    pub packet_bad: Signal<Out, Bit>,
    /// A DMA error lost the packet.
    pub packet_dma: Signal<Out, Bit>,
    /// Completes nothing.
    pub packet_silent: Signal<Out, Bit>,
    pub packet_marker: Signal<Out, Bit>,
    pub seg_valid: Signal<Out, Bit>,
    pub seg_ready: Signal<In, Bit>,
    pub seg_addr: Signal<Out, Bits<48>>,
    pub seg_len: Signal<Out, Bits<16>>,
    batches: Queue<Bits<32>, 5, 4>,
    // {wide, first line, count} of batches of lines: as many as there are slots.
    filled: Fifo<Bits<22>, 5>,
    cache: BankedRam<D, K, 8>,
    tracker: OpTracker<5>,
    // What it is told: {valid, last or error, op}.
    issue: Reg<Bits<11>>,
    done: Reg<Bits<11>>,
    state: Reg<State>,
    walk: Reg<Bits<9>>,
    /// That walk is over.
    started: Reg<Bit>,
    queues: LutRam<Bits<QS_W>, Q>,
    // The oldest batch, looked up.
    head_valid: Reg<Bit>,
    head: Reg<Bits<32>>,
    head_done: Reg<Bit>,
    head_err: Reg<Bit>,
    head_queue: Reg<Bits<QS_W>>,
    room: Reg<Bit>,
    // The batch being walked: descriptor `next` is addressed, `read` on the cache's output, `desc` in hand.
    queue: Reg<Bits<8>>,
    cq: Reg<Bits<8>>,
    slot: Reg<Bits<5>>,
    count: Reg<Bits<5>>,
    lines: Reg<Bit>,
    wide: Reg<Bit>,
    first_line: Reg<Bits<16>>,
    next: Reg<Bits<5>>,
    read_valid: Reg<Bit>,
    read: Reg<Bits<4>>,
    desc_valid: Reg<Bit>,
    desc_last: Reg<Bit>,
    desc: Reg<Bits<128>>,
    // The packet begun, and the queue's meta cache.
    open: Reg<Bit>,
    data_seen: Reg<Bit>,
    bad: Reg<Bit>,
    descs: Reg<Bits<5>>,
    segs: Reg<Bits<5>>,
    len: Reg<Bits<17>>,
    req_id: Reg<Bits<16>>,
    meta: Reg<Bits<26>>,
    meta_own: Reg<Bits<36>>,
    meta_cache: Reg<Bits<36>>,
    /// Some bytes are pushed, and where.
    pushed: Reg<Bit>,
    line: Reg<Bits<16>>,
    // Segments: read, committed and written up to.
    ring: LutRam<Bits<64>, 6>,
    ring_read: Reg<Bits<6>>,
    ring_commit: Reg<Bits<6>>,
    ring_write: Reg<Bits<6>>,
    // The oldest.
    seg: Reg<Bit>,
    seg_word: Reg<Bits<64>>,
    staging: BlockRam<Bits<64>, G>,
    restore: Reg<Bits<5>>,
    restore_valid: Reg<Bit>,
    // A packet that ended a cycle ago, whose values are still in the registers above: {whole, marker, silent, dma, bad}.
    made: Reg<Bit>,
    made_flags: Reg<Bits<5>>,
    // What that cycle did to the ring.
    stored: Reg<Bit>,
    stored_seg: Reg<Bits<64>>,
    stored_at: Reg<Bits<5>>,
    unwinds: Reg<Bit>,
    packets: Queue<Bits<137>, 6, 4>,
    freed: Reg<Bit>,
    break_valid: Reg<Bit>,
    break_queue: Reg<Bits<8>>,
    pub _small: bool,
    pub _lineless: bool,
}

impl<const D: usize, const K: usize, const L: usize, const Q: usize, const G: usize>
    TxParse<D, K, L, Q, G>
{
    /// `small`: queues as deep as batches of 8 need, 16 slots; `lineless`: no batch is of lines.
    pub fn new(small: bool, lineless: bool) -> Self {
        let mut parse = Self { _small: small, _lineless: lineless, ..Self::default() };
        parse.batches._small = small;
        parse.packets._small = small;
        parse
    }
}

impl<const D: usize, const K: usize, const L: usize, const Q: usize, const G: usize> Logic
    for TxParse<D, K, L, Q, G>
{
    /// Walks batches of transmit descriptors and offers whole packets with their segments.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; state, walk, head_done, room, queue, cq, slot, count, next, read_valid, read, desc_valid, open,
            data_seen, bad, descs, segs, len, req_id, meta, meta_own, meta_cache, ring_read, ring_commit, ring_write, restore, restore_valid,
            freed, break_valid, lines, wide, first_line, pushed, line);
        registers!(self, clock, reset; head_valid, issue, done, made, stored, unwinds, started, seg);
        registers!(self, clock; head_err, head_queue, desc_last, desc, break_queue, head, made_flags, stored_seg, stored_at, seg_word);
        clocked!(self, clock, reset; batches, filled, tracker, packets);
        clocked!(self, clock; cache, queues, ring, staging);

        // ---- Batches in.
        let started = self.started.q.val();
        self.started.d.next = self.state.q.val() != State::Walk;
        self.batches.in_valid.next = self.batch_valid.val() && started;
        self.batches.in_data.next = cat::<10, 22, 32>(
            cat::<1, 9, 10>(self.batch_lines.val().into(), self.batch_op.val()),
            cat::<6, 16, 22>(
                cat::<1, 5, 6>(self.batch_marker.val().into(), self.batch_count.val()),
                cat::<8, 8, 16>(self.batch_cq.val(), self.batch_queue.val()),
            ),
        );
        self.batch_ready.next = self.batches.in_ready.val() && started;
        let head = self.head.q.val();
        // Only bits that can be set: 2^Q queues, twice as many completion queues at most, 32 slots or 16.
        let head_queue = head.get_bits::<8>(0) & lit::<8>((1 << Q) - 1);
        let head_cq = head.get_bits::<8>(8) & lit::<8>((2 << Q) - 1);
        let head_marker = head.get_bit(21);
        let head_op = head.get_bits::<9>(22) & lit::<9>(0x11f - 16 * (self._small as usize));
        let small = lit::<1>(self._small as usize).any();
        let with_lines = !lit::<1>(self._lineless as usize).any();
        let head_lines = head.get_bit(31) && with_lines;
        self.filled.in_data.next = cat::<1, 21, 22>(
            self.filled_wide.val().into(),
            cat::<16, 5, 21>(self.filled_line.val(), self.filled_count.val()),
        );
        let filled = self.filled.out_data.val();
        let head_count = if head_lines { filled.get_bits::<5>(0) } else { head.get_bits::<5>(16) };

        let ours = lit::<2>(client::TX_DESC);
        let read_lands = self.bus.data_valid.val() && self.bus.data_client.val() == ours;
        let issues = self.bus.issue_valid.val() && self.bus.issue_client.val() == ours;
        let ends_read = self.bus.done_valid.val() && self.bus.done_client.val() == ours;
        let put_byte = cat::<9, 4, 13>(self.put_place.val(), lit::<4>(0));
        let mut put_data = lit::<D>(0);
        let mut put_be = lit::<K>(0);
        for i in 0..K / 16 {
            put_data = put_data.set_slice::<128>(128 * i, self.put_desc.val());
            let here = (self.put_place.val() & lit::<9>(K / 16 - 1)) == lit::<9>(i);
            put_be =
                put_be.set_slice::<16>(16 * i, if here { lit::<16>(0xffff) } else { lit::<16>(0) });
        }
        let put_ready = !read_lands && !issues && !ends_read;
        let fills = self.filled_valid.val() && put_ready;
        self.put_ready.next = put_ready;
        self.filled.in_valid.next = fills;
        self.cache.we.next = read_lands || self.put_valid.val();
        if read_lands {
            self.cache.row.next = self.bus.data_row.val();
            self.cache.data.next = self.bus.data.val();
            self.cache.be_lo.next = self.bus.be_lo.val();
            self.cache.be_hi.next = self.bus.be_hi.val();
        } else {
            self.cache.row.next = bit_cast::<16, 13>(put_byte >> lit::<13>(L));
            self.cache.data.next = put_data;
            self.cache.be_lo.next = put_be;
            self.cache.be_hi.next = lit::<K>(0);
        }
        // A batch of lines is issued and done at once: the slot's laps go on.
        let issue = cat::<1, 9, 10>(self.bus.issue_last.val().into(), self.bus.issue_op.val());
        let done = cat::<1, 9, 10>(self.bus.done_err.val().into(), self.bus.done_op.val());
        let filled_op = self.filled_op.val();
        self.issue.d.next = cat::<1, 10, 11>(
            (issues || fills).into(),
            if issues { issue } else { cat::<1, 9, 10>(lit::<1>(1), filled_op) },
        );
        self.done.d.next = cat::<1, 10, 11>(
            (ends_read || fills).into(),
            if ends_read { done } else { bit_cast::<10, 9>(filled_op) },
        );
        self.tracker.issue_valid.next = self.issue.q.val().get_bit(10);
        self.tracker.issue_last.next = self.issue.q.val().get_bit(9);
        self.tracker.issue_op.next =
            self.issue.q.val().get_bits::<9>(0) & lit::<9>(0x11f - 16 * (self._small as usize));
        self.tracker.done_valid.next = self.done.q.val().get_bit(10);
        self.tracker.done_err.next = self.done.q.val().get_bit(9);
        self.tracker.done_op.next =
            self.done.q.val().get_bits::<9>(0) & lit::<9>(0x11f - 16 * (self._small as usize));
        self.tracker.query.next = head_op;

        // ---- The descriptor in hand.
        let desc = self.desc.q.val();
        let first = desc.get_bit(26);
        let last = desc.get_bit(27);
        let is_meta = desc.get_bit(23);
        let seg_len = desc.get_bits::<16>(0);
        let running = self.state.q.val() == State::Run && self.desc_valid.q.val();
        // A `first` inside a packet ends the old packet in a cycle of its own.
        let open = self.open.q.val();
        let cut = running && open && first;
        let work = running && !(open && first);
        let ends = work && last;
        let data_seen = self.data_seen.q.val();
        // What is pushed counts with the first data descriptor.
        let header = desc.get_bits::<8>(120);
        let opens = !is_meta && !data_seen && self.lines.q.val();
        let most = if self.wide.q.val() { lit::<8>(MAX_WIDE_PUSH) } else { lit::<8>(MAX_PUSH) };
        let mut before = if open { self.len.q.val() } else { lit::<17>(0) };
        let mut pushed = self.pushed.q.val() && open;
        if opens {
            before = bit_cast::<17, 8>(header);
            pushed = header.any();
        }
        let longer = bit_cast::<18, 17>(before) + bit_cast::<18, 16>(seg_len);
        let descs = if open { self.descs.q.val() } else { lit::<5>(0) };
        let segs = if open { self.segs.q.val() } else { lit::<5>(0) };
        let spoiled = (open && self.bad.q.val())
            || if is_meta {
                open || !first
            } else {
                !(open || first) || descs == lit::<5>(MAX_DESCS) || (opens && header > most)
            };
        let bad = spoiled || (!is_meta && longer.get_bit(17));
        let counts = work && !is_meta && !bad;
        let store = counts && seg_len.any();
        let empty = !pushed && segs == 0 && (is_meta || !seg_len.any());
        let dropped = bad || empty;
        let mss = cat::<4, 10, 14>(desc.get_bits::<4>(16), desc.get_bits::<10>(86));
        let said = cat::<14, 22, 36>(mss, desc.get_bits::<22>(64));
        if work {
            self.open.d.next = !last;
            self.data_seen.d.next = (data_seen || !is_meta) && !last;
            self.bad.d.next = bad;
            self.pushed.d.next = pushed;
            if is_meta || !open {
                self.meta_own.d.next = if is_meta { said } else { self.meta_cache.q.val() };
            }
            if is_meta && desc.get_bit(21) && !spoiled {
                self.meta_cache.d.next = said;
            }
            if !is_meta && !data_seen {
                self.req_id.d.next =
                    cat::<6, 10, 16>(desc.get_bits::<6>(16), desc.get_bits::<10>(54));
                self.meta.d.next = cat::<8, 18, 26>(header, desc.get_bits::<18>(32));
            }
            if opens {
                self.line.d.next = if desc.get_bit(25) {
                    self.first_line.q.val() + 1
                } else {
                    self.first_line.q.val()
                };
            }
            self.descs.d.next = if is_meta { descs } else { descs + 1 };
            self.segs.d.next = if store { segs + 1 } else { segs };
            self.len.d.next = if is_meta { before } else { bit_cast::<17, 18>(longer) };
        }
        if cut {
            self.open.d.next = false;
            self.data_seen.d.next = false;
        }

        // ---- Walking a batch.
        let mut go = false;
        let mut pop = false;
        let mut fail = false;
        let mut pass_marker = false;
        let known_broken = self.head_queue.q.val().get_bit(qs::BROKEN);
        let advance = self.state.q.val() == State::Run && !cut;
        let walked = advance && self.desc_valid.q.val() && self.desc_last.q.val();
        if advance {
            self.desc_valid.d.next = self.read_valid.q.val();
            self.desc_last.d.next = bit_cast::<5, 4>(self.read.q.val()) + 1 == self.count.q.val();
            self.read_valid.d.next = self.next.q.val() != self.count.q.val();
            self.read.d.next = bit_cast::<4, 5>(self.next.q.val());
            if self.next.q.val() != self.count.q.val() {
                self.next.d.next = self.next.q.val() + 1;
            }
        }
        self.freed.d.next = false;
        let restored = self.restore.q.val() == self.segs.q.val();
        match self.state.q.val() {
            State::Walk => {
                if self.walk.q.val() != lit::<9>(1 << Q) {
                    self.walk.d.next = self.walk.q.val() + 1;
                } else if self.tracker.ready.val() {
                    self.state.d.next = State::Wait;
                }
            }
            State::Wait => {
                if self.head_valid.q.val() && self.room.q.val() {
                    if head_marker {
                        pass_marker = true;
                        pop = true;
                    } else if self.head_done.q.val() {
                        pop = true;
                        if self.head_err.q.val() || known_broken {
                            fail = !known_broken;
                            self.freed.d.next = true;
                        } else {
                            go = true;
                        }
                    }
                }
                if go {
                    let staged = self.head_queue.q.val().get_bits::<5>(qs::SEGS).any();
                    self.state.d.next = if staged { State::Restore } else { State::Run };
                }
            }
            State::Restore => {
                if restored {
                    self.state.d.next = State::Run;
                }
            }
            State::Run => {
                if walked {
                    self.state.d.next = State::Save;
                }
            }
            State::Save => {
                self.state.d.next = State::Wait;
                self.freed.d.next = true;
            }
        }
        let solo = pass_marker || fail;
        if go || solo {
            self.queue.d.next = head_queue;
            self.cq.d.next = head_cq;
        }
        if go {
            let q = self.head_queue.q.val();
            self.slot.d.next = bit_cast::<5, 9>(head_op);
            self.count.d.next = head_count;
            self.lines.d.next = head_lines;
            self.wide.d.next = filled.get_bit(21);
            self.first_line.d.next = filled.get_bits::<16>(5);
            self.pushed.d.next = q.get_bit(qs::PUSHED);
            self.line.d.next = q.get_bits::<16>(qs::LINE);
            self.next.d.next = lit::<5>(1);
            self.read_valid.d.next = true;
            self.read.d.next = lit::<4>(0);
            self.restore.d.next = lit::<5>(0);
            self.meta_cache.d.next = q.get_bits::<36>(qs::CACHE);
            self.meta.d.next = q.get_bits::<26>(qs::META);
            self.meta_own.d.next = q.get_bits::<36>(qs::META + 26);
            self.len.d.next = q.get_bits::<17>(qs::LEN);
            self.req_id.d.next = q.get_bits::<16>(qs::REQ_ID);
            self.segs.d.next = q.get_bits::<5>(qs::SEGS);
            self.descs.d.next = q.get_bits::<5>(qs::DESCS);
            self.data_seen.d.next = q.get_bit(qs::DATA);
            self.bad.d.next = q.get_bit(qs::BAD);
            self.open.d.next = q.get_bit(qs::OPEN);
        }
        // The row of the descriptor to come; a stalled walk reads the same one again.
        let at_slot = if self.state.q.val() == State::Wait {
            bit_cast::<5, 9>(head_op)
        } else {
            self.slot.q.val()
        };
        let at_index = if self.state.q.val() == State::Wait {
            lit::<4>(0)
        } else if advance {
            bit_cast::<4, 5>(self.next.q.val())
        } else {
            self.read.q.val()
        };
        let at_byte = cat::<9, 4, 13>(cat::<5, 4, 9>(at_slot, at_index), lit::<4>(0));
        self.cache.read_row.next = bit_cast::<16, 13>(at_byte >> lit::<13>(L));
        let lane = cat::<4, 7, 11>(self.read.q.val(), lit::<7>(0)) & lit::<11>(8 * (K - 1));
        if advance {
            self.desc.d.next = bit_cast::<128, D>(self.cache.read_data.val() >> lane);
        }
        let next_head = pop || !self.head_valid.q.val();
        self.batches.out_ready.next = next_head;
        if next_head {
            self.head_valid.d.next = self.batches.out_valid.val();
            self.head.d.next = self.batches.out_data.val();
        }
        self.filled.out_ready.next = pop && head_lines && !head_marker;
        self.slot_free.next = self.freed.q.val();

        // ---- The queues' state.
        let save = self.state.q.val() == State::Save;
        let clearing = self.state.q.val() == State::Walk;
        let meta = cat::<36, 26, 62>(self.meta_own.q.val(), self.meta.q.val());
        let saved = lit::<QS_W>(0)
            .set_slice::<36>(qs::CACHE, self.meta_cache.q.val())
            .set_slice::<62>(qs::META, meta)
            .set_slice::<17>(qs::LEN, self.len.q.val())
            .set_slice::<16>(qs::REQ_ID, self.req_id.q.val())
            .set_slice::<5>(qs::SEGS, if open { self.segs.q.val() } else { lit::<5>(0) })
            .set_slice::<5>(qs::DESCS, self.descs.q.val())
            .replace_bit(qs::DATA, self.data_seen.q.val())
            .replace_bit(qs::BAD, self.bad.q.val())
            .replace_bit(qs::OPEN, open)
            .set_slice::<16>(qs::LINE, self.line.q.val())
            .replace_bit(qs::PUSHED, self.pushed.q.val());
        let queue_we = clearing || save || pass_marker || fail;
        let queue_at = if save { self.queue.q.val() } else { head_queue };
        self.queues.we.next = queue_we;
        self.queues.waddr.next =
            if clearing { bit_cast::<Q, 9>(self.walk.q.val()) } else { bit_cast::<Q, 8>(queue_at) };
        self.queues.wdata.next =
            if save { saved } else { lit::<QS_W>(0).replace_bit(qs::BROKEN, fail) };
        self.queues.raddr.next = bit_cast::<Q, 8>(head_queue);
        self.head_queue.d.next = self.queues.rdata.val();
        // What was looked up counts for the head that was there, and the state that it had.
        self.head_done.d.next = self.tracker.complete.val()
            && self.head_valid.q.val()
            && !pop
            && !(save && self.queue.q.val() == head_queue);
        self.head_err.d.next = self.tracker.err.val();
        self.break_valid.d.next = fail;
        self.break_queue.d.next = head_queue;
        self.broken_valid.next = self.break_valid.q.val();
        self.broken_queue.next = self.break_queue.q.val();

        // ---- Segments. A bad packet's are taken back, and so are those of a packet that goes on
        // in another batch.
        let restoring = self.state.q.val() == State::Restore && !restored;
        if restoring {
            self.restore.d.next = self.restore.q.val() + 1;
        }
        self.restore_valid.d.next = restoring;
        let staging_queue = cat::<8, 5, 13>(self.queue.q.val(), self.restore.q.val());
        self.staging.raddr.next = bit_cast::<G, 13>(staging_queue);
        self.stored.d.next = store;
        self.stored_at.d.next = segs;
        self.stored_seg.d.next = cat::<16, 48, 64>(seg_len, desc.get_bits::<48>(64));
        let place = cat::<8, 5, 13>(self.queue.q.val(), self.stored_at.q.val());
        self.staging.we.next = self.stored.q.val();
        self.staging.waddr.next = bit_cast::<G, 13>(place);
        self.staging.wdata.next = self.stored_seg.q.val();
        let write = self.ring_write.q.val();
        let restored = self.restore_valid.q.val();
        self.ring.we.next = restored || self.stored.q.val();
        self.ring.waddr.next = write;
        self.ring.wdata.next =
            if restored { self.staging.rdata.val() } else { self.stored_seg.q.val() };
        let written = if restored || self.stored.q.val() { write + 1 } else { write };
        self.unwinds.d.next = cut || save || (ends && dropped);
        self.ring_write.d.next =
            if self.unwinds.q.val() { self.ring_commit.q.val() } else { written };
        let made = self.made_flags.q.val();
        let whole = made.get_bit(4);
        if whole {
            self.ring_commit.d.next = written;
        }
        self.ring.raddr.next = self.ring_read.q.val();
        let seg_there = self.ring_read.q.val() != self.ring_commit.q.val();
        if !self.seg.q.val() || self.seg_ready.val() {
            self.seg.d.next = seg_there;
            self.seg_word.d.next = self.ring.rdata.val();
            if seg_there {
                self.ring_read.d.next = self.ring_read.q.val() + 1;
            }
        }
        self.seg_valid.next = self.seg.q.val();
        self.seg_addr.next = self.seg_word.q.val().get_bits::<48>(0);
        self.seg_len.next = self.seg_word.q.val().get_bits::<16>(48);
        // 21 staged and 16 new segments, and 17 packets with what a batch may bring; one of each is still on its way.
        let held = write - self.ring_read.q.val();
        let packets_most = if small { lit::<8>(4) } else { lit::<8>(40) };
        self.room.d.next = held < lit::<6>(25) && self.packets.level.val() < packets_most;

        // ---- Packets.
        let silent = fail || (cut && !data_seen) || (ends && is_meta && !data_seen);
        self.made.d.next = cut || ends || solo;
        self.made_flags.d.next = cat::<3, 2, 5>(
            cat::<1, 2, 3>(
                (ends && !dropped).into(),
                cat::<1, 1, 2>(pass_marker.into(), silent.into()),
            ),
            cat::<1, 1, 2>(fail.into(), (cut || (ends && dropped)).into()),
        );
        let push = cat::<16, 1, 17>(self.line.q.val(), (self.pushed.q.val() && whole).into());
        self.packets.in_valid.next = self.made.q.val();
        self.packets.in_data.next = cat::<21, 116, 137>(
            cat::<17, 4, 21>(push, made.get_bits::<4>(0)),
            cat::<62, 54, 116>(
                meta,
                cat::<22, 32, 54>(
                    cat::<5, 17, 22>(
                        if whole { self.segs.q.val() } else { lit::<5>(0) },
                        if whole { self.len.q.val() } else { lit::<17>(0) },
                    ),
                    cat::<16, 16, 32>(
                        self.req_id.q.val(),
                        cat::<8, 8, 16>(self.cq.q.val(), self.queue.q.val()),
                    ),
                ),
            ),
        );
        let out = self.packets.out_data.val();
        self.packet_valid.next = self.packets.out_valid.val();
        self.packets.out_ready.next = self.packet_ready.val();
        self.packet_queue.next = out.get_bits::<8>(0) & lit::<8>((1 << Q) - 1);
        self.packet_cq.next = out.get_bits::<8>(8) & lit::<8>((2 << Q) - 1);
        self.packet_req_id.next = out.get_bits::<16>(16);
        self.packet_len.next = out.get_bits::<17>(32);
        self.packet_count.next = out.get_bits::<5>(49);
        self.packet_meta.next = out.get_bits::<62>(54);
        self.packet_bad.next = out.get_bit(116);
        self.packet_dma.next = out.get_bit(117);
        self.packet_silent.next = out.get_bit(118);
        self.packet_marker.next = out.get_bit(119);
        self.packet_push.next = if out.get_bit(120) && with_lines {
            out.get_bits::<8>(54 + meta::HEADER_LEN)
        } else {
            lit::<8>(0)
        };
        self.packet_line.next = out.get_bits::<16>(121);
    }
}
