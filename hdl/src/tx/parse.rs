//! Descriptors become packets.
//!
//! **Ports.** `batch` comes from `tx/sched`, in the order of the requests. `bus` fills the
//! descriptor cache (32 slots of 16 descriptors) and says when a batch is complete. `packet` and
//! `seg` go to `tx/gather`: a packet is one word, followed by its `count` segments on the other
//! stream. `slot_free` gives the oldest batch slot back; `broken` tells `tx/sched` of a queue to
//! stop.
//!
//! A batch of lines comes from `tx/llq` instead. `put` writes a descriptor into the cache in a
//! cycle in which the bus has nothing for this block. `filled` goes with the last one and is taken
//! with it: it says that the batch is complete, and how many descriptors it has.
//!
//! **Packets.** A packet is offered when its last descriptor is seen, never before. So whatever is
//! offered can be carried through, and a packet that never ends blocks no other. Its segments
//! gather in a ring of 64 behind a commit pointer, and in the queue's place of the staging RAM. If
//! the batch ends before the packet does, the ring is wound back, and the queue's next batch puts
//! the staged segments into the ring again. Segments of length 0 are legal and dropped here.
//!
//! **Grammar.** `[meta(first)] data(first if no meta) data* last`, at most 21 data descriptors. A
//! meta descriptor's values hold for its packet, and with `meta_store` for later ones of the queue.
//! These packets are bad, and complete without a frame: no `first` at the start, more than 21
//! descriptors, more than 131071 bytes, no bytes at all, a meta descriptor inside a packet. At a
//! `first` inside a packet the old packet is bad and ends, the new one begins. A packet from lines
//! has `header_length` bytes in front of its segments, in line `line`. It is bad too if these are
//! more than the line holds, and needs no segments if there are some. A bad packet without a data
//! descriptor has no req_id: it is counted, not completed (`silent`). Phase bits are not looked at:
//! the doorbell says that a descriptor is valid.
//!
//! **Errors.** If the read of a batch failed, the ends of packets are not known any more, and the
//! queue is broken. One silent packet with `dma` tells of it. The packet begun and all later
//! batches of the queue are dropped, until its marker ends it. Other queues go on. A marker clears
//! the queue's state and passes on as a packet with `marker`.
//!
//! **Speed.** A descriptor a cycle. A batch costs 3 cycles more (4 if the batch before was of the
//! same queue), a straddling packet one for each segment staged and one. A batch waits until the
//! ring and the packet FIFO have room for all it may bring. So nothing inside a batch ever waits,
//! but for one cycle at a `first` inside a packet.
//!
//! A packet shows at the output 2 cycles after its last descriptor was in hand.
//!
//! After `reset` a walk of 2^Q cycles clears the queues' state; `batch.ready` is low until then.
//! G is Q + 5.

use super::lanes::*;
use super::words::*;
use crate::common::fifo::Fifo;
use crate::common::iface::*;
use crate::common::op_tracker::OpTracker;
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

/// A data descriptor.
#[record(layout = nitor_abi::tx::TxData)]
pub struct DataDesc {
    pub length: Bits<16>,
    pub req_id: Bits<16>,
    /// It is a [MetaDesc].
    pub meta_desc: Bit,
    pub first: Bit,
    pub last: Bit,
    pub l3_proto: Bits<4>,
    pub tso_en: Bit,
    pub l4_proto: Bits<5>,
    pub l3_csum_en: Bit,
    pub l4_csum_en: Bit,
    pub l4_csum_partial: Bit,
    pub address: Bits<48>,
    pub header_length: Bits<8>,
}

/// A meta descriptor.
#[record(layout = nitor_abi::tx::TxMeta)]
pub struct MetaDesc {
    pub mss: Bits<14>,
    pub meta_store: Bit,
    pub l3_hdr_len: Bits<8>,
    pub l3_hdr_off: Bits<8>,
    pub l4_hdr_words: Bits<6>,
}

/// The packet begun.
#[record]
struct Begun {
    meta: Meta,
    len: Bits<17>,
    req_id: Bits<16>,
    /// Segments and data descriptors.
    segs: Bits<5>,
    descs: Bits<5>,
    /// A data descriptor was seen.
    data_seen: Bit,
    bad: Bit,
    /// There is a packet begun.
    open: Bit,
    /// The line that the packet's header is in.
    line: Bits<16>,
    /// Some bytes are pushed.
    pushed: Bit,
}

/// A queue's state between batches.
#[record]
struct QueueState {
    /// The meta descriptor cached by `meta_store`.
    cache: Headers,
    begun: Begun,
    broken: Bit,
}

/// Of a read operation: a request issued, or its end.
#[record]
struct Event {
    op: Bits<9>,
    /// The operation's last request; an error.
    flag: Bit,
    valid: Bit,
}

/// A packet that ended, as `begun` has it.
#[record]
struct Made {
    bad: Bit,
    dma: Bit,
    silent: Bit,
    marker: Bit,
    /// It is none of these.
    whole: Bit,
}

/// A segment's place in the staging RAM.
#[record]
struct Staged {
    index: Bits<5>,
    queue: Bits<8>,
}

/// Most data descriptors in a packet: what drivers send at most when told 19 with the meta
/// descriptor.
const MAX_DESCS: usize = 21;

/// Bytes that fit into a line, wide or not, behind two descriptors.
const MAX_PUSH: usize = 96;
const MAX_WIDE_PUSH: usize = 224;

#[derive(LogicBlock, Default)]
pub struct TxParse<const D: usize, const K: usize, const L: usize, const Q: usize, const G: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub batch: BatchSnk,
    pub bus: ReadBusSnk<D, K>,
    pub put: PutSnk,
    pub filled: FilledSnk,
    pub slot_free: Signal<Out, Bit>,
    pub broken: BrokenSrc,
    pub packet: PacketSrc,
    pub seg: SegmentSrc,
    batches: Fifo<Batch, 5>,
    /// Of batches of lines, in the order of their batches: as many as there are slots.
    lines_filled: Fifo<Lines, 5>,
    cache: BankedRam<D, K, 8>,
    tracker: OpTracker<5>,
    // What the tracker takes.
    issue: Reg<Event>,
    done: Reg<Event>,
    state: Reg<State>,
    walk: Reg<Bits<9>>,
    /// That walk is over.
    started: Reg<Bit>,
    queues: LutRam<QueueState, Q>,
    // The oldest batch, and its queue's state.
    head_valid: Reg<Bit>,
    head: Reg<Batch>,
    head_done: Reg<Bit>,
    head_err: Reg<Bit>,
    head_queue: Reg<QueueState>,
    room: Reg<Bit>,
    // The batch being walked: descriptor `next` is addressed, `read` on the cache's output, `desc`
    // in hand.
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
    // Of the queue.
    begun: Reg<Begun>,
    meta_cache: Reg<Headers>,
    // Segments: read, committed and written up to.
    ring: LutRam<Segment, 6>,
    ring_read: Reg<Bits<6>>,
    ring_commit: Reg<Bits<6>>,
    ring_write: Reg<Bits<6>>,
    // The oldest segment.
    seg_full: Reg<Bit>,
    seg_word: Reg<Segment>,
    staging: BlockRam<Segment, G>,
    restore: Reg<Bits<5>>,
    restore_valid: Reg<Bit>,
    // A packet that ended a cycle ago, whose values are still in `begun`.
    made: Reg<Bit>,
    made_flags: Reg<Made>,
    // What that cycle did to the ring.
    stored: Reg<Bit>,
    stored_seg: Reg<Segment>,
    stored_at: Reg<Bits<5>>,
    unwinds: Reg<Bit>,
    packets: Fifo<Packet, 6>,
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
        if small {
            parse.batches = Fifo::of_depth(4);
            parse.packets = Fifo::of_depth(4);
        }
        parse
    }
}

impl<const D: usize, const K: usize, const L: usize, const Q: usize, const G: usize> Logic
    for TxParse<D, K, L, Q, G>
{
    /// Walks batches of transmit descriptors and offers whole packets with their segments.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; state, walk, started, head_valid, head_done, room, issue,
            done);
        registers!(self, clock, reset; queue, cq, slot, count, lines, wide, first_line, next,
            read_valid, read, desc_valid, begun, meta_cache, ring_read, ring_commit, ring_write,
            seg_full, restore, restore_valid, made, stored, unwinds, freed,
            break_valid);
        registers!(self, clock; head, head_queue, head_err, desc_last, desc, seg_word, made_flags,
            stored_seg, stored_at, break_queue);
        clocked!(self, clock, reset; batches, lines_filled, tracker, packets);
        clocked!(self, clock; cache, queues, ring, staging);

        // ---- Batches in.
        let started = self.started.q.val();
        self.started.d.next = self.state.q.val() != State::Walk;
        self.batches.in_valid.next = self.batch.valid.val() && started;
        self.batches.in_data.next = self.batch.get();
        self.batch.ready.next = self.batches.in_ready.val() && started;
        let head = self.head.q.val();
        // Only bits that can be set: 2^Q queues, twice as many completion queues at most, 32 slots
        // or 16.
        let real_op = lit::<9>(0x11f - 16 * (self._small as usize));
        let head_queue = head.queue & lit::<8>((1 << Q) - 1);
        let head_cq = head.cq & lit::<8>((2 << Q) - 1);
        let head_op = head.op & real_op;
        let head_lines = head.lines && !self._lineless;
        let filled = self.lines_filled.out_data.val();
        let head_count = if head_lines { filled.count } else { head.count };

        let ours = lit::<2>(client::TX_DESC);
        let bus = self.bus.get();
        let read_lands = bus.data_valid && bus.data_client == ours;
        let issues = bus.issue_valid && bus.issue_client == ours;
        let ends_read = bus.done_valid && bus.done_client == ours;
        let put = self.put.get();
        let mut put_data = lit::<D>(0);
        let mut put_be = lit::<K>(0);
        for i in 0..K / 16 {
            put_data = put_data.set_slice::<128>(128 * i, put.desc);
            let here = (put.place.index & lit::<4>(K / 16 - 1)) == lit::<4>(i);
            put_be =
                put_be.set_slice::<16>(16 * i, if here { lit::<16>(0xffff) } else { lit::<16>(0) });
        }
        let put_ready = !read_lands && !issues && !ends_read;
        let fills = self.filled.valid.val() && put_ready;
        self.put.ready.next = put_ready;
        self.lines_filled.in_valid.next = fills;
        self.lines_filled.in_data.next = self.filled.lines.val();
        self.cache.we.next = read_lands || self.put.valid.val();
        if read_lands {
            self.cache.row.next = bus.data_row;
            self.cache.data.next = bus.data;
            self.cache.be_lo.next = bus.be_lo;
            self.cache.be_hi.next = bus.be_hi;
        } else {
            self.cache.row.next = desc_row::<L>(put.place);
            self.cache.data.next = put_data;
            self.cache.be_lo.next = put_be;
            self.cache.be_hi.next = lit::<K>(0);
        }
        // A batch of lines is issued and done at once: the slot's laps go on.
        self.issue.d.next = Event {
            op: if issues { bus.issue_op } else { self.filled.op.val() },
            flag: !issues || bus.issue_last,
            valid: issues || fills,
        };
        self.done.d.next = Event {
            op: if ends_read { bus.done_op } else { self.filled.op.val() },
            flag: ends_read && bus.done_err,
            valid: ends_read || fills,
        };
        let issue = self.issue.q.val();
        let done = self.done.q.val();
        self.tracker.issue_valid.next = issue.valid;
        self.tracker.issue_last.next = issue.flag;
        self.tracker.issue_op.next = issue.op & real_op;
        self.tracker.done_valid.next = done.valid;
        self.tracker.done_err.next = done.flag;
        self.tracker.done_op.next = done.op & real_op;
        self.tracker.query.next = head_op;

        // ---- The descriptor in hand.
        let desc = self.desc.q.val();
        let data = DataDesc::from_bits(desc);
        let meta = MetaDesc::from_bits(desc);
        let is_meta = data.meta_desc;
        let seg_len = data.length;
        let begun = self.begun.q.val();
        let open = begun.open;
        let data_seen = begun.data_seen;
        let running = self.state.q.val() == State::Run && self.desc_valid.q.val();
        // A `first` inside a packet ends the old packet in a cycle of its own.
        let cut = running && open && data.first;
        let work = running && !(open && data.first);
        let ends = work && data.last;
        // The first data descriptor says how many bytes are pushed.
        let header = data.header_length;
        let opens = !is_meta && !data_seen && self.lines.q.val();
        let most = if self.wide.q.val() { lit::<8>(MAX_WIDE_PUSH) } else { lit::<8>(MAX_PUSH) };
        let mut before = if open { begun.len } else { lit::<17>(0) };
        let mut pushed = begun.pushed && open;
        if opens {
            before = bit_cast::<17, 8>(header);
            pushed = header.any();
        }
        let longer = bit_cast::<18, 17>(before) + bit_cast::<18, 16>(seg_len);
        let too_long = longer >= lit::<18>(1 << 17);
        let descs = if open { begun.descs } else { lit::<5>(0) };
        let segs = if open { begun.segs } else { lit::<5>(0) };
        let spoiled = (open && begun.bad)
            || if is_meta {
                open || !data.first
            } else {
                !(open || data.first) || descs == lit::<5>(MAX_DESCS) || (opens && header > most)
            };
        let bad = spoiled || (!is_meta && too_long);
        let counts = work && !is_meta && !bad;
        let store = counts && seg_len.any();
        let empty = !pushed && segs == 0 && (is_meta || !seg_len.any());
        let dropped = bad || empty;
        let headers = Headers {
            l3_hdr_len: meta.l3_hdr_len,
            l3_hdr_off: meta.l3_hdr_off,
            l4_hdr_words: meta.l4_hdr_words,
            mss: meta.mss,
        };
        let mut after = begun;
        if work {
            after.open = !data.last;
            after.data_seen = (data_seen || !is_meta) && !data.last;
            after.bad = bad;
            after.pushed = pushed;
            if is_meta || !open {
                after.meta.headers = if is_meta { headers } else { self.meta_cache.q.val() };
            }
            if is_meta && meta.meta_store && !spoiled {
                self.meta_cache.d.next = headers;
            }
            if !is_meta && !data_seen {
                after.req_id = data.req_id;
                after.meta = Meta {
                    l3_proto: data.l3_proto,
                    tso_en: data.tso_en,
                    l4_proto: data.l4_proto,
                    l3_csum_en: data.l3_csum_en,
                    l4_csum_en: data.l4_csum_en,
                    l4_csum_partial: data.l4_csum_partial,
                    header_length: header,
                    ..after.meta
                };
            }
            if opens {
                let first_line = self.first_line.q.val();
                after.line = if desc.get_bit(SECOND_LINE) { first_line + 1 } else { first_line };
            }
            after.descs = if is_meta { descs } else { descs + 1 };
            after.segs = if store { segs + 1 } else { segs };
            after.len = if is_meta { before } else { bit_cast::<17, 18>(longer) };
        }
        if cut {
            after.open = false;
            after.data_seen = false;
        }

        // ---- Walking a batch.
        let mut go = false;
        let mut pop = false;
        let mut fail = false;
        let mut pass_marker = false;
        let queue_state = self.head_queue.q.val();
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
        let restored = self.restore.q.val() == begun.segs;
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
                    if head.marker {
                        pass_marker = true;
                        pop = true;
                    } else if self.head_done.q.val() {
                        pop = true;
                        if self.head_err.q.val() || queue_state.broken {
                            fail = !queue_state.broken;
                            self.freed.d.next = true;
                        } else {
                            go = true;
                        }
                    }
                }
                if go {
                    let staged = queue_state.begun.segs.any();
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
            self.slot.d.next = bit_cast::<5, 9>(head_op);
            self.count.d.next = head_count;
            self.lines.d.next = head_lines;
            self.wide.d.next = filled.wide;
            self.first_line.d.next = filled.line;
            self.next.d.next = lit::<5>(1);
            self.read_valid.d.next = true;
            self.read.d.next = lit::<4>(0);
            self.restore.d.next = lit::<5>(0);
            self.meta_cache.d.next = queue_state.cache;
            after = queue_state.begun;
        }
        self.begun.d.next = after;
        // The row of the descriptor to come; a stalled walk reads the same one again.
        let waits = self.state.q.val() == State::Wait;
        let at = Place {
            slot: if waits { bit_cast::<5, 9>(head_op) } else { self.slot.q.val() },
            index: if waits {
                lit::<4>(0)
            } else if advance {
                bit_cast::<4, 5>(self.next.q.val())
            } else {
                self.read.q.val()
            },
        };
        self.cache.read_row.next = desc_row::<L>(at);
        if advance {
            let row = self.cache.read_data.val();
            self.desc.d.next = bit_cast::<128, D>(row >> desc_shift::<K>(self.read.q.val()));
        }
        let next_head = pop || !self.head_valid.q.val();
        self.batches.out_ready.next = next_head;
        if next_head {
            self.head_valid.d.next = self.batches.out_valid.val();
            self.head.d.next = self.batches.out_data.val();
        }
        self.lines_filled.out_ready.next = pop && head_lines && !head.marker;
        self.slot_free.next = self.freed.q.val();

        // ---- The queues' state.
        let save = self.state.q.val() == State::Save;
        let clearing = self.state.q.val() == State::Walk;
        let saved = QueueState {
            cache: self.meta_cache.q.val(),
            begun: Begun { segs, ..begun },
            broken: false,
        };
        let none = QueueState::from_bits(lit::<{ QueueState::BITS }>(0));
        let cleared = QueueState { broken: fail, ..none };
        let queue_at = if save { self.queue.q.val() } else { head_queue };
        self.queues.we.next = clearing || save || pass_marker || fail;
        self.queues.waddr.next =
            if clearing { bit_cast::<Q, 9>(self.walk.q.val()) } else { bit_cast::<Q, 8>(queue_at) };
        self.queues.wdata.next = if save { saved } else { cleared };
        self.queues.raddr.next = bit_cast::<Q, 8>(head_queue);
        self.head_queue.d.next = self.queues.rdata.val();
        // The tracker's answer counts only for the batch that stays at the head, and only if the
        // queue's state that was read is not written in this cycle.
        self.head_done.d.next = self.tracker.complete.val()
            && self.head_valid.q.val()
            && !pop
            && !(save && self.queue.q.val() == head_queue);
        self.head_err.d.next = self.tracker.err.val();
        self.break_valid.d.next = fail;
        self.break_queue.d.next = head_queue;
        self.broken.valid.next = self.break_valid.q.val();
        self.broken.queue.next = self.break_queue.q.val();

        // ---- Segments. A bad packet's are taken back, and so are those of a packet that goes on
        // in another batch.
        let restoring = self.state.q.val() == State::Restore && !restored;
        if restoring {
            self.restore.d.next = self.restore.q.val() + 1;
        }
        self.restore_valid.d.next = restoring;
        let queue = self.queue.q.val();
        let restore_at = Staged { index: self.restore.q.val(), queue };
        self.staging.raddr.next = bit_cast::<G, 13>(restore_at.to_bits::<13>());
        self.stored.d.next = store;
        self.stored_at.d.next = segs;
        self.stored_seg.d.next = Segment { addr: data.address, len: seg_len };
        let stored_at = Staged { index: self.stored_at.q.val(), queue };
        self.staging.we.next = self.stored.q.val();
        self.staging.waddr.next = bit_cast::<G, 13>(stored_at.to_bits::<13>());
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
        let whole = made.whole;
        if whole {
            self.ring_commit.d.next = written;
        }
        self.ring.raddr.next = self.ring_read.q.val();
        let more_segs = self.ring_read.q.val() != self.ring_commit.q.val();
        if !self.seg_full.q.val() || self.seg.ready.val() {
            self.seg_full.d.next = more_segs;
            self.seg_word.d.next = self.ring.rdata.val();
            if more_segs {
                self.ring_read.d.next = self.ring_read.q.val() + 1;
            }
        }
        self.seg.valid.next = self.seg_full.q.val();
        self.seg.put(self.seg_word.q.val());
        // Room for 21 staged and 16 new segments, and for 17 packets with what a batch may bring;
        // one of each is still on its way.
        let in_ring = write - self.ring_read.q.val();
        let packets_most = if self._small { lit::<8>(4) } else { lit::<8>(40) };
        self.room.d.next = in_ring < lit::<6>(25) && self.packets.level.val() < packets_most;

        // ---- Packets.
        self.made.d.next = cut || ends || solo;
        self.made_flags.d.next = Made {
            bad: cut || (ends && dropped),
            dma: fail,
            silent: fail || (cut && !data_seen) || (ends && is_meta && !data_seen),
            marker: pass_marker,
            whole: ends && !dropped,
        };
        self.packets.in_valid.next = self.made.q.val();
        self.packets.in_data.next = Packet {
            queue,
            owner: Owner { cq: self.cq.q.val(), req_id: begun.req_id },
            len: if whole { begun.len } else { lit::<17>(0) },
            count: if whole { begun.segs } else { lit::<5>(0) },
            meta: begun.meta,
            bad: made.bad,
            dma: made.dma,
            silent: made.silent,
            marker: made.marker,
            pushed: begun.pushed && whole,
            line: begun.line,
        };
        let packet = self.packets.out_data.val();
        let owner = packet.owner;
        self.packet.valid.next = self.packets.out_valid.val();
        self.packets.out_ready.next = self.packet.ready.val();
        self.packet.put(Packet {
            queue: packet.queue & lit::<8>((1 << Q) - 1),
            owner: Owner { cq: owner.cq & lit::<8>((2 << Q) - 1), ..owner },
            ..packet
        });
    }
}
