//! Packets get a place in the TX buffer, and their segments are asked for; long TCP packets are cut
//! into frames.
//!
//! **Ports.** `packet` and `seg` come from `tx/parse`. `data` asks for the payload: a frame starts
//! at a row of its own and its bytes lie end to end, all as one operation {lap, slot}. `info` tells
//! `tx/out` of each frame, in order, before its first request. `push` tells `tx/llq` where a
//! packet's pushed bytes are and go. `free_rows` and `free_slot` come back from `tx/out`, both in
//! the order of the frames.
//!
//! **Frames.** A packet is a frame, but for one with `tso_en`: that is cut into frames of `mss`
//! bytes of payload, the last maybe shorter. The first has the packet's header before its payload.
//! Later ones leave as many bytes free at their start, which `tx/offload` fills, so nothing is read
//! twice. Where a segment reaches beyond its frame, the rest of the segment waits in a register.
//! Pushed bytes are the packet's first, so the first frame begins with them, and its segments lie
//! behind. Of a frame are known: its bytes, where in its rows those begin that are read (`skip`),
//! and how many those are, which may be none.
//!
//! **Room.** The buffer is a ring of 2^(B+1) rows, a frame takes as many as its bytes need.
//! Operation slots are a ring of 2^S, and only a frame that reads takes one: not one that is pushed
//! whole. A frame waits until there is room for all of it. Room always comes: frames before it need
//! nothing more from here. So a packet that is cut may be longer than the buffer.
//!
//! **Too long.** A frame over `max_frame` (or over 16384 bytes, or the buffer, or with offloads 2^B
//! rows, which is what `tx/offload` holds) makes its packet bad: its segments are passed over, it
//! goes on without rows and slot. That is decided once a packet, by its first frame, which is the
//! longest: firmware may lower `max_frame` while a packet is cut, and segments that were asked for
//! must not be passed over.
//!
//! **Offloads** that make no sense make their packet bad too, rather than a frame that is wrong in
//! the end: a checksum to be put behind the frame's end or into a protocol that is not TCP or UDP;
//! a pseudo header of neither IPv4 nor IPv6, of an IP header without room for its addresses, or
//! with L4 more than 256 bytes behind the frame's beginning; with `tso_en`, which stands for TCP
//! and all its checksums, an mss below 8, UDP, a TCP header below 20 bytes, headers beyond 256
//! bytes or the packet's end, more bytes pushed than the first frame has. `l3_csum_en` does nothing
//! to IPv6.
//!
//! **Speed.** A packet of one segment takes 2 cycles, one of n takes n + 1; 4 cycles from a packet
//! at the input to its request. A packet that is cut takes 4 more, and each frame of it 4 at least:
//! its rows mostly take longer to fill. With `_plain` there are no offloads: all bits that ask for
//! them are taken as 0; with `_lineless` nothing is pushed.

use super::offload::MAX_HDR;
use super::words::*;
use crate::common::iface::*;
use crate::common::skid::Skid;
use nitor_abi::tx::{l3, l4};
use nitor_rtl::prelude::*;

/// So that no operation has more than 255 pieces: 128 of 128 bytes each, and two more in every
/// segment.
const MAX_LEN: usize = 16384;
/// What is left of TCP's least segment of 48 bytes behind 40 of options. With less, a packet would
/// be so many frames that whoever waits for its end waits for seconds.
const MIN_MSS: usize = 8;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Cut {
    /// The frame is measured.
    Known,
    /// A packet to be cut.
    Begin,
    /// How much payload the next frame has.
    Next,
    Measure,
    /// Its rows are counted.
    Count,
}

/// A read of a frame's payload.
#[record]
struct DataRead {
    last: Bit,
    op: Bits<9>,
    dst: Bits<20>,
    len: Bits<16>,
    addr: Bits<48>,
}

#[derive(LogicBlock, Default)]
pub struct TxGather<const K: usize, const L: usize, const S: usize, const B: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub max_frame: Signal<In, Bits<16>>,
    pub packet: PacketSnk,
    pub seg: SegmentSnk,
    pub data: ReadReqSrc,
    pub push: PushSrc,
    pub info: FrameSrc,
    pub free_rows: Signal<In, Bits<16>>,
    pub free_slot: Signal<In, Bit>,
    limit: Reg<Bits<16>>,
    off_limit: Reg<Bits<16>>,
    // The next packet, and where its L4 header is. Without pushed bytes `header_length` is 0.
    queued: Reg<Bit>,
    queued_packet: Reg<Packet>,
    queued_l4: Reg<Bits<10>>,
    // The packet looked at.
    current: Reg<Bit>,
    current_packet: Reg<Packet>,
    /// What its frames get, but for `first`, `last` and `hdr`.
    word: Reg<Offloads>,
    off: Reg<Bit>,
    hdr: Reg<Bits<10>>,
    // Its next frame. `rest` is the payload from there on.
    cut: Reg<Cut>,
    first: Reg<Bit>,
    last: Reg<Bit>,
    rest: Reg<Bits<17>>,
    part: Reg<Bits<14>>,
    /// The header without what of it is pushed, below 0 if payload is; 0 after the first frame.
    ahead: Reg<Bits<17>>,
    /// The packet or frame makes sense, and is not too long.
    good: Reg<Bit>,
    frame_len: Reg<Bits<17>>,
    /// Its rows, and one less.
    rows: Reg<Bits<12>>,
    rows_less: Reg<Bits<12>>,
    wanted: Reg<Bits<16>>,
    skip: Reg<Bits<9>>,
    // Rows and operation slots.
    row: Reg<Bits<16>>,
    rows_used: Reg<Bits<12>>,
    slot: Reg<Bits<S>>,
    even_lap: Reg<Bit>,
    slots_used: Reg<Bits<9>>,
    // The frame offered to `tx/out`.
    offer: Reg<Bit>,
    offer_frame: Reg<Frame>,
    // What is offered to `tx/llq`.
    pushes: Reg<Bit>,
    pushes_word: Reg<Push>,
    // The frame whose segments pass, or the packet whose segments are passed over.
    asking: Reg<Bit>,
    passing: Reg<Bit>,
    left: Reg<Bits<5>>,
    bytes: Reg<Bits<16>>,
    // The rest of a segment that reached beyond its frame; `over_by` is added a cycle later.
    over: Reg<Bit>,
    over_seg: Reg<Segment>,
    over_by: Reg<Bits<16>>,
    dst: Reg<Bits<20>>,
    op: Reg<Bits<9>>,
    requests: Skid<DataRead>,
    _plain: bool,
    _lineless: bool,
}

impl<const K: usize, const L: usize, const S: usize, const B: usize> TxGather<K, L, S, B> {
    pub fn new(plain: bool, lineless: bool, small: bool) -> Self {
        Self { requests: Skid::new(small), _plain: plain, _lineless: lineless, ..Self::default() }
    }
}

impl<const K: usize, const L: usize, const S: usize, const B: usize> Logic
    for TxGather<K, L, S, B>
{
    /// Gives packets rows and slots, and turns their segments into read requests.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; limit, off_limit, queued, current, off, cut, first, last,
            ahead, good, rows, rows_less, wanted, skip, row, rows_used, pushes);
        registers!(self, clock, reset; slot, even_lap, slots_used, offer, asking, passing, left,
            bytes, over, over_by);
        registers!(self, clock; queued_packet, queued_l4, current_packet, word, hdr, rest, part,
            frame_len, offer_frame, pushes_word, over_seg, dst, op);
        clocked!(self, clock, reset; requests);

        let buffer = if (1 << (B + 1 + L)) < MAX_LEN {
            lit::<16>(1 << (B + 1 + L))
        } else {
            lit::<16>(MAX_LEN)
        };
        let off_buffer =
            if (1 << (B + L)) < MAX_LEN { lit::<16>(1 << (B + L)) } else { lit::<16>(MAX_LEN) };
        let max_frame = self.max_frame.val();
        self.limit.d.next = if max_frame < buffer { max_frame } else { buffer };
        self.off_limit.d.next = if max_frame < off_buffer { max_frame } else { off_buffer };

        // ---- The next packet.
        let on = !self._plain;
        self.packet.ready.next = !self.queued.q.val();
        let take = self.queued.q.val() && !self.current.q.val();
        if !self.queued.q.val() {
            let packet = self.packet.get();
            let headers = packet.meta.headers;
            let pushes = packet.pushed && !self._lineless;
            let header_length = if pushes { packet.meta.header_length } else { lit::<8>(0) };
            self.queued.d.next = self.packet.valid.val();
            self.queued_packet.d.next =
                Packet { meta: Meta { header_length, ..packet.meta }, ..packet };
            self.queued_l4.d.next =
                bit_cast::<10, 8>(headers.l3_hdr_off) + bit_cast::<10, 8>(headers.l3_hdr_len);
        } else if take {
            self.queued.d.next = false;
        }

        // ---- The packet looked at.
        let queued = self.queued_packet.q.val();
        let meta = queued.meta;
        let v4 = meta.l3_proto == lit::<4>(l3::IPV4);
        let v6 = meta.l3_proto == lit::<4>(l3::IPV6);
        let tso = meta.tso_en && on;
        let tcp =
            meta.l4_proto == lit::<5>(l4::TCP) || (tso && meta.l4_proto == lit::<5>(l4::UNKNOWN));
        let udp = meta.l4_proto == lit::<5>(l4::UDP);
        let ask_ip = (meta.l3_csum_en && on) || tso;
        let ask_l4 = (meta.l4_csum_en && on) || tso;
        let full = ask_l4 && (tso || !meta.l4_csum_partial);
        let l3_off = meta.headers.l3_hdr_off;
        let l3_len = meta.headers.l3_hdr_len;
        let words = meta.headers.l4_hdr_words;
        let has_addresses = l3_len >= 20;
        let v4_len = has_addresses && l3_len <= 60 && (l3_len & lit::<8>(3)) == 0;
        let v6_len = l3_len >= 40 && (l3_len & lit::<8>(1)) == 0;
        let no_l3 = !((v4 && v4_len) || (v6 && (v6_len || !full)));
        let no_l4 = !(tcp || (udp && !tso));
        let l4_at = self.queued_l4.q.val();
        let len = queued.len;
        let off = ask_ip || ask_l4;
        let far = full && l4_at > lit::<10>(MAX_HDR);
        let senseless = ((ask_ip || full) && no_l3)
            || far
            || (ask_l4 && no_l4)
            || (tso && (words < 5 || meta.headers.mss < lit::<14>(MIN_MSS)));
        // A checksum must end within the frame.
        let need = l4_at
            + if !ask_l4 {
                lit::<10>(0)
            } else if udp {
                lit::<10>(8)
            } else {
                lit::<10>(18)
            };
        let outside = off && bit_cast::<17, 10>(need) > len;
        let limit = if off { self.off_limit.q.val() } else { self.limit.q.val() };
        let too_long = len > bit_cast::<17, 16>(limit) && !tso;
        // Of a frame that is not too long.
        let frame_len = self.frame_len.q.val();
        let measured = if take || !on { len } else { frame_len };
        let rows = bit_cast::<12, 17>((measured + lit::<17>(K - 1)) >> lit::<17>(L));
        let rows_less = bit_cast::<12, 17>((measured - 1) >> lit::<17>(L));
        let packet = self.current_packet.q.val();
        let plain = !packet.bad && !packet.dma && !packet.marker;
        if take {
            let queued_plain = !(queued.bad || queued.dma || queued.marker);
            let cuts = tso && queued_plain;
            self.current.d.next = true;
            self.current_packet.d.next = queued;
            let none = Offloads::from_bits(lit::<{ Offloads::BITS }>(0));
            self.word.d.next = if off {
                Offloads {
                    ip: ask_ip && v4,
                    l4: ask_l4,
                    full,
                    udp,
                    v6,
                    tso,
                    l3_off,
                    l3_len,
                    ..none
                }
            } else {
                none
            };
            self.off.d.next = off;
            self.good.d.next = queued_plain && !(senseless || outside || too_long);
            // What is no segment tells whether there is an IP header.
            let sized = (v4 && v4_len) || (v6 && v6_len);
            self.hdr.d.next = if tso {
                l4_at + (bit_cast::<10, 6>(words) << lit::<10>(2))
            } else {
                bit_cast::<10, 1>(sized.into())
            };
            self.cut.d.next = if cuts { Cut::Begin } else { Cut::Known };
            self.first.d.next = true;
            self.last.d.next = !cuts;
            self.frame_len.d.next = len;
            self.rows.d.next = rows;
            self.rows_less.d.next = rows_less;
            self.wanted.d.next = bit_cast::<16, 17>(len) - bit_cast::<16, 8>(meta.header_length);
            self.skip.d.next = bit_cast::<9, 8>(meta.header_length);
        }
        let off = self.off.q.val() && on;
        let read = self.good.q.val();
        // So as if one row more were used.
        let filled = self.rows_used.q.val() + self.rows_less.q.val();
        let fits = !filled.get_bit(B + 1) && !self.slots_used.q.val().get_bit(S);
        let push = packet.meta.header_length;
        let pushed = push.any() && self.first.q.val();
        let known = self.current.q.val() && (self.cut.q.val() == Cut::Known || !on);
        let go = known
            && !self.offer.q.val()
            && !self.asking.q.val()
            && ((fits && !self.pushes.q.val()) || !read);
        let asks = read && self.wanted.q.val().any();
        if self.push.ready.val() {
            self.pushes.d.next = false;
        }
        if go && read && pushed {
            self.pushes.d.next = true;
            self.pushes_word.d.next = Push { row: self.row.q.val(), line: packet.line, len: push };
        }
        self.push.valid.next = self.pushes.q.val();
        self.push.put(self.pushes_word.q.val());

        // ---- A packet that is cut: its next frame.
        let hdr = bit_cast::<17, 10>(self.hdr.q.val());
        let mss = packet.meta.headers.mss;
        let step = if self.current.q.val() && on { self.cut.q.val() } else { Cut::Known };
        match step {
            Cut::Known => {}
            Cut::Begin => {
                self.rest.d.next = packet.len - hdr;
                self.ahead.d.next = hdr - bit_cast::<17, 8>(push);
                self.cut.d.next = Cut::Next;
                if !read || self.hdr.q.val() > lit::<10>(MAX_HDR) || hdr > packet.len {
                    self.good.d.next = false;
                    self.last.d.next = true;
                    self.cut.d.next = Cut::Known;
                }
            }
            Cut::Next => {
                let more = self.rest.q.val() > bit_cast::<17, 14>(mss);
                self.last.d.next = !more;
                self.part.d.next = if more { mss } else { bit_cast::<14, 17>(self.rest.q.val()) };
                self.cut.d.next = Cut::Measure;
            }
            Cut::Measure => {
                let part = bit_cast::<17, 14>(self.part.q.val());
                self.frame_len.d.next = hdr + part;
                let wanted = self.ahead.q.val() + part;
                self.ahead.d.next = lit::<17>(0);
                self.wanted.d.next = bit_cast::<16, 17>(wanted);
                // Below 0: more is pushed than the frame has.
                if wanted >= lit::<17>(1 << 16) {
                    self.good.d.next = false;
                }
                self.skip.d.next = if self.first.q.val() {
                    bit_cast::<9, 8>(push)
                } else {
                    bit_cast::<9, 10>(self.hdr.q.val())
                };
                self.rest.d.next = self.rest.q.val() - part;
                self.cut.d.next = Cut::Count;
            }
            Cut::Count => {
                self.rows.d.next = rows;
                self.rows_less.d.next = rows_less;
                let limit = bit_cast::<17, 16>(self.off_limit.q.val());
                if self.first.q.val() && frame_len > limit {
                    self.good.d.next = false;
                }
                self.cut.d.next = Cut::Known;
            }
        }

        // ---- Its place.
        let left_used = self.rows_used.q.val() - bit_cast::<12, 16>(self.free_rows.val());
        let mut used = left_used;
        let mut slots = self.slots_used.q.val();
        if self.free_slot.val() {
            slots = slots - 1;
        }
        if self.info.ready.val() {
            self.offer.d.next = false;
        }
        let op = Op { slot: bit_cast::<8, S>(self.slot.q.val()), lap: !self.even_lap.q.val() };
        if go {
            // One bad frame is one bad packet.
            let ends = self.last.q.val() || !read || !on;
            self.current.d.next = !ends;
            self.first.d.next = false;
            if !ends {
                self.cut.d.next = Cut::Next;
            }
            let mut word = Offloads::from_bits(lit::<{ Offloads::BITS }>(0));
            if on {
                word = self.word.q.val();
                word.hdr = if off { bit_cast::<9, 10>(self.hdr.q.val()) } else { lit::<9>(0) };
            }
            word.first = self.first.q.val() || !on;
            word.last = ends;
            self.offer.d.next = true;
            self.offer_frame.d.next = Frame {
                read,
                bad: packet.bad || (plain && !read),
                dma: packet.dma,
                silent: packet.silent,
                marker: packet.marker,
                owner: packet.owner,
                len: bit_cast::<16, 17>(frame_len),
                row: self.row.q.val(),
                word,
                slot: asks,
                push: read && pushed,
            };
            self.asking.d.next = asks || (!read && packet.count.any());
            self.passing.d.next = !read;
            self.left.d.next = packet.count;
            self.bytes.d.next = self.wanted.q.val();
            self.dst.d.next = (bit_cast::<20, 16>(self.row.q.val()) << lit::<20>(L))
                + bit_cast::<20, 9>(self.skip.q.val());
            self.op.d.next = op.to_bits::<9>();
            if read {
                let row = self.row.q.val() + bit_cast::<16, 12>(self.rows.q.val());
                self.row.d.next = row & lit::<16>((1 << (B + 1)) - 1);
                used = left_used + self.rows.q.val();
            }
            if asks {
                self.slot.d.next = self.slot.q.val() + 1;
                if self.slot.q.val().all() {
                    self.even_lap.d.next = !self.even_lap.q.val();
                }
                slots = slots + 1;
            }
        }
        self.rows_used.d.next = used & lit::<12>((1 << (B + 2)) - 1);
        self.slots_used.d.next = slots;
        self.info.valid.next = self.offer.q.val();
        self.info.put(self.offer_frame.q.val());

        // ---- Its segments. None is asked for before `tx/out` knows of the frame.
        let open = self.asking.q.val()
            && self.requests.in_ready.val()
            && (!self.offer.q.val() || self.info.ready.val());
        let over = self.over.q.val() && on;
        let seg = if over { self.over_seg.q.val() } else { self.seg.get() };
        let reaches = seg.len >= self.bytes.q.val();
        let beyond = seg.len > self.bytes.q.val() && on;
        let pass = open && (over || self.seg.valid.val());
        self.seg.ready.next = open && !over;
        self.over_by.d.next = lit::<16>(0);
        let mut left_over = self.over_seg.q.val();
        if over {
            left_over.addr = left_over.addr + bit_cast::<48, 16>(self.over_by.q.val());
        }
        if pass {
            self.left.d.next = self.left.q.val() - 1;
            self.bytes.d.next = self.bytes.q.val() - seg.len;
            self.dst.d.next = self.dst.q.val() + bit_cast::<20, 16>(seg.len);
            if self.passing.q.val() {
                self.asking.d.next = self.left.q.val() != 1;
            } else {
                self.asking.d.next = !reaches;
                self.over.d.next = beyond;
                // The frame behind is not asked for before `over_by` is added.
                self.over_by.d.next = self.bytes.q.val();
                left_over = Segment { len: seg.len - self.bytes.q.val(), ..seg };
            }
        }
        self.over_seg.d.next = left_over;
        self.requests.in_valid.next = pass && !self.passing.q.val();
        self.requests.in_data.next = DataRead {
            last: reaches,
            op: self.op.q.val(),
            dst: self.dst.q.val(),
            len: if reaches { self.bytes.q.val() } else { seg.len },
            addr: seg.addr,
        };
        let read = self.requests.out_data.val();
        self.data.valid.next = self.requests.out_valid.val();
        self.requests.out_ready.next = self.data.ready.val();
        self.data.put(ReadReq {
            addr: bit_cast::<64, 48>(read.addr),
            len: read.len,
            dst: read.dst,
            op: read.op,
            last: read.last,
        });
    }
}
