//! TLPs from the link, checked and sorted: completions to the read engine, requests to the target.
//!
//! | port | what |
//! |---|---|
//! | `link` | from the link layer, which frames every TLP with `sop` and `eop`; ECRC and prefixes are taken off |
//! | `cpl` | completions, as they come, 2 cycles later, one beat a cycle |
//! | `posted`, `np` | memory writes, and non-posted requests of one beat each |
//! | `rx_np_limit` | cumulative count of non-posted headers that may be sent: their FIFO of 16 (`_small`: a register) cannot overflow |
//!
//! A memory write is kept back until it is whole and its length is right, and shows 3 cycles after its end. 32 beats (`_small`: 16) and 16
//! headers are held, with `_small` of these only what a receiver needs; the rest reads 0.
//! When they are full `link.ready` falls. As the target empties them without waiting for anything upstream,
//! completions behind are late but never stuck. A non-posted request is offered, from a register, once all memory writes that came before it are taken, and
//! never holds up anything: any number of writes that came after it may pass while it waits ([super::order]).
//!
//! | TLP | what happens |
//! |---|---|
//! | write or message longer than `mps`, at most 512 bytes (`_small`: 256), or ending elsewhere than its length says; write across 4 KB | swallowed, `stat_malformed` |
//! | completion longer than `mps` | the same: its read times out |
//! | non-posted request across 4 KB, of more than a beat, configuration or I/O of more than a dword | the same |
//! | completion that runs on | cut where its length says, `stat_malformed` |
//! | completion that ends early | passed on: the read engine ends its piece; `stat_malformed` |
//! | message that a function may ignore, see [ignores] | swallowed |
//! | message of a traffic class other than 0, whose code asks for class 0 | swallowed, `stat_malformed` |
//! | any other message | passed on with the writes, for the target to refuse |
//! | unknown type; non-posted request beyond the limit (`err_overflow`) | swallowed, `stat_malformed` |
//!
//! `err_malformed`, `err_overflow` are `stat_malformed` by kinds; in the same cycle `err_hdr` is the header of what is meant.

use super::order::RequestOrder;
use super::tlp;
use crate::common::fifo::Fifo;
use crate::common::iface::*;
use crate::common::ram::LutRam;
use crate::common::skid::Skid;
use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct TlpRx<const D: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub link: TlpSnk<D>,
    pub cpl: TlpSrc<D>,
    pub posted: TlpSrc<D>,
    pub np: TlpSrc<D>,
    pub rx_np_limit: Signal<Out, Bits<8>>,
    /// Largest payload, as in Device Control.
    pub mps: Signal<In, Bits<3>>,
    pub stat_malformed: Signal<Out, Bit>,
    pub err_malformed: Signal<Out, Bit>,
    pub err_overflow: Signal<Out, Bit>,
    pub err_hdr: Signal<Out, Bits<128>>,
    // Beats from the link.
    beats: Skid<Bits<D>>,
    sides: Skid<Bits<130>>,
    // A beat, and what its header promises.
    m_valid: Reg<Bit>,
    m_sop: Reg<Bit>,
    m_eop: Reg<Bit>,
    m_hdr: Reg<Bits<128>>,
    m_data: Reg<Bits<D>>,
    m_class: Reg<Bits<2>>,
    m_bad: Reg<Bit>,
    m_promised: Reg<Bits<9>>,
    // The TLP under way: where it goes, how many beats it still has, header.
    kind: Reg<Bits<2>>,
    left: Reg<Bits<9>>,
    hdr: Reg<Bits<128>>,
    // Writes: {requests before it, beats, header} of the whole ones. Indices have a lap bit.
    writes: Fifo<Bits<94>, 4>,
    /// What else is in the headers.
    headers: Fifo<Bits<45>, 4>,
    store: LutRam<Bits<D>, 5>,
    small_store: LutRam<Bits<D>, 4>,
    begin: Reg<Bits<6>>,
    tail: Reg<Bits<6>>,
    head: Reg<Bits<6>>,
    /// No place is free.
    full: Reg<Bit>,
    /// Beats of the write at the head that are gone.
    gone: Reg<Bits<6>>,
    // What counts of a request: its dword, its header.
    np_data: Fifo<Bits<32>, 4>,
    np_side: Fifo<Bits<128>, 4>,
    np_few: Skid<Bits<152>>,
    /// Of at most 16 that wait.
    order: RequestOrder<5>,
    // The request on offer.
    np_valid: Reg<Bit>,
    np_hdr: Reg<Bits<128>>,
    np_word: Reg<Bits<32>>,
    limit: Reg<Bits<8>>,
    malformed: Reg<Bit>,
    overflow: Reg<Bit>,
    _small: bool,
}

impl<const D: usize> TlpRx<D> {
    /// `small`: half the beats held, half the largest write, and a beat in two cycles.
    pub fn new(small: bool) -> Self {
        Self {
            beats: Skid::new(small),
            sides: Skid::new(small),
            np_few: Skid::new(true),
            _small: small,
            ..Self::default()
        }
    }
}

/// Of a memory write's header, what [pack_rest] leaves of its format.
const WRITE_REST: u64 = 1 << 19;
const SWALLOW: u64 = 0;
const COMPLETION: u64 = 1;
const POSTED: u64 = 2;
const NON_POSTED: u64 = 3;
/// What a receiver needs of the header of a write: address, byte enables, poisoned, wide, length; and that it is a message.
#[kernel]
fn pack_write(hdr: Bits<128>) -> Bits<83> {
    let marks = cat::<1, 2, 3>(
        hdr.get_bits::<1>(28),
        cat::<1, 1, 2>(hdr.get_bit(14).into(), hdr.get_bit(29).into()),
    );
    let address = cat::<32, 32, 64>(hdr.get_bits::<32>(96), hdr.get_bits::<32>(64));
    cat::<64, 19, 83>(
        address,
        cat::<8, 11, 19>(hdr.get_bits::<8>(32), cat::<3, 8, 11>(marks, hdr.get_bits::<8>(0))),
    )
}

/// All else.
#[kernel]
fn pack_rest(hdr: Bits<128>) -> Bits<45> {
    let low = cat::<13, 6, 19>(hdr.get_bits::<13>(15), hdr.get_bits::<6>(8));
    cat::<24, 21, 45>(hdr.get_bits::<24>(40), cat::<2, 19, 21>(hdr.get_bits::<2>(30), low))
}

#[kernel]
fn unpack_write(x: Bits<83>, rest: Bits<45>) -> Bits<128> {
    lit::<128>(0)
        .set_slice::<8>(0, x.get_bits::<8>(0))
        .set_slice::<6>(8, rest.get_bits::<6>(0))
        .replace_bit(14, x.get_bit(9))
        .set_slice::<13>(15, rest.get_bits::<13>(6))
        .replace_bit(28, x.get_bit(10))
        .replace_bit(29, x.get_bit(8))
        .set_slice::<2>(30, rest.get_bits::<2>(19))
        .set_slice::<8>(32, x.get_bits::<8>(11))
        .set_slice::<24>(40, rest.get_bits::<24>(21))
        .set_slice::<64>(64, x.get_bits::<64>(19))
}

/// Messages without a meaning for the card, by their codes: Unlock, PM_Active_State_Nak, PME_Turn_Off (answered where the link is looked
/// after), those of old hot-plug slots, Set_Slot_Power_Limit, and type 1 of vendors.
#[kernel]
fn ignores(code: Bits<8>) -> Bit {
    match code {
        0x00 | 0x14 | 0x19 | 0x40 | 0x41 | 0x43 | 0x44 | 0x45 | 0x47 | 0x48 | 0x50 | 0x7f => true,
        _ => false,
    }
}

/// Codes of messages that have traffic class 0 (2.2.8): Unlock, LTR, OBFF and power management, interrupts, errors, slot power.
#[kernel]
fn best_effort(code: Bits<8>) -> Bit {
    match code.get_bits::<4>(4) {
        0 | 1 | 2 | 3 | 5 => true,
        _ => false,
    }
}

/// What a receiver needs of a non-posted request's header: all but reserved bits and hints.
#[kernel]
fn pack_request(hdr: Bits<128>) -> Bits<120> {
    let class = cat::<8, 3, 11>(hdr.get_bits::<8>(24), hdr.get_bits::<3>(20));
    let low = cat::<3, 10, 13>(hdr.get_bits::<3>(12), hdr.get_bits::<10>(0));
    cat::<96, 24, 120>(hdr.get_bits::<96>(32), cat::<11, 13, 24>(class, low))
}

#[kernel]
fn unpack_request(x: Bits<120>) -> Bits<128> {
    lit::<128>(0)
        .set_slice::<10>(0, x.get_bits::<10>(0))
        .set_slice::<3>(12, x.get_bits::<3>(10))
        .set_slice::<3>(20, x.get_bits::<3>(13))
        .set_slice::<8>(24, x.get_bits::<8>(16))
        .set_slice::<96>(32, x.get_bits::<96>(24))
}

/// Where a TLP goes, whatever its length; atomic operations and all of I/O to be refused by the target.
#[kernel]
fn classify(kind: Bits<8>) -> Bits<2> {
    match kind {
        tlp::CPL | tlp::CPLD | tlp::CPL_LOCKED | tlp::CPLD_LOCKED => lit::<2>(COMPLETION),
        tlp::MWR32 | tlp::MWR64 => lit::<2>(POSTED),
        0x00 | 0x20 | 0x01 | 0x21 | 0x02 | 0x42 | 0x04 | 0x44 | 0x05 | 0x45 => lit::<2>(NON_POSTED),
        0x4c | 0x6c | 0x4d | 0x6d | 0x4e | 0x6e => lit::<2>(NON_POSTED),
        _ => lit::<2>(SWALLOW),
    }
}

impl<const D: usize> Logic for TlpRx<D> {
    /// Checks and sorts TLPs from the link: completions, posted and non-posted requests.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; m_valid, m_class, m_bad, m_promised);
        registers!(self, clock, reset; kind, left, begin, tail, head, gone);
        registers!(self, clock, reset; limit, malformed, overflow, full, np_valid);
        registers!(self, clock; m_sop, m_eop, m_hdr, m_data, hdr, np_hdr, np_word);
        clocked!(self, clock, reset; beats, sides, writes, headers, order, np_data, np_side, np_few);
        clocked!(self, clock; store, small_store);
        let small = lit::<1>(self._small as usize).any();
        self.beats.in_valid.next = self.link.valid.val();
        self.beats.in_data.next = self.link.data.val();
        self.sides.in_valid.next = self.link.valid.val();
        self.sides.in_data.next = cat::<1, 129, 130>(
            Bits::<1>::from(self.link.eop.val()),
            cat::<1, 128, 129>(Bits::<1>::from(self.link.sop.val()), self.link.hdr.val()),
        );
        self.link.ready.next = self.sides.in_ready.val();

        // What the header promises.
        let side = self.sides.out_data.val();
        let header = side.get_bits::<128>(0);
        let kind = header.get_bits::<8>(24);
        let with_data = header.get_bit(30);
        let length = header.get_bits::<10>(0);
        let dwords = if length == 0 { lit::<11>(1024) } else { bit_cast::<11, 10>(length) };
        let filled =
            (bit_cast::<16, 11>(dwords) + lit::<16>(D / 32 - 1)) >> lit::<16>(clog2(D / 32));
        let promised = if with_data { bit_cast::<9, 16>(filled) } else { lit::<9>(1) };
        let message = match kind & 0xf8 {
            0x30 | 0x70 => true,
            _ => false,
        };
        let code = header.get_bits::<8>(32);
        let ignored = message && ignores(code);
        let header_class = if message && !ignored { lit::<2>(POSTED) } else { classify(kind) };
        let memory = kind.get_bits::<5>(0) == 0 || kind.get_bits::<5>(0) == 1;
        let offset =
            if header.get_bit(29) { header.get_bits::<10>(98) } else { header.get_bits::<10>(66) };
        let crosses = bit_cast::<12, 10>(offset) + bit_cast::<12, 11>(dwords) > 1024;
        let one_dword = match kind {
            0x02 | 0x42 | 0x04 | 0x44 | 0x05 | 0x45 => true,
            _ => false,
        };
        let most = match self.mps.val() {
            0 => lit::<11>(32),
            1 => lit::<11>(64),
            _ => lit::<11>(if self._small { 64 } else { 128 }),
        };
        let header_bad = (header_class == SWALLOW && !ignored)
            || (memory && crosses)
            || (with_data && dwords > most && header_class != NON_POSTED)
            || (one_dword && length != 1)
            || (message && best_effort(code) && header.get_bits::<3>(20).any());

        // What came.
        let valid = self.m_valid.q.val();
        let sop = self.m_sop.q.val();
        let eop = self.m_eop.q.val();
        let hdr = self.m_hdr.q.val();
        let data = self.m_data.q.val();
        let class = self.m_class.q.val();
        let bad_header = self.m_bad.q.val();
        let to = if sop {
            if bad_header {
                lit::<2>(SWALLOW)
            } else {
                class
            }
        } else {
            self.kind.q.val()
        };
        let left = if sop { self.m_promised.q.val() } else { self.left.q.val() };
        let at_end = left == 1;
        let wrong_end = to != SWALLOW && eop != at_end;
        let to_cpl = to == COMPLETION;
        let to_posted = to == POSTED;
        let held = self.tail.q.val() - self.head.q.val();
        let full = self.full.q.val();
        let room = (!to_cpl || self.cpl.ready.val())
            && (!to_posted || (!full && self.writes.in_ready.val()));
        let go = valid && room;
        // For the next cycle, with the beats that come and go in this one.
        let filled_up = if small { held.get_bit(4) } else { held.get_bit(5) };
        let last_place =
            if small { held.get_bits::<4>(0).all() } else { held.get_bits::<5>(0).all() };
        let pop = self.writes.out_valid.val() && self.posted.ready.val();
        self.full.d.next = !pop && (filled_up || (last_place && go && to_posted));
        let next = room || !valid;
        self.sides.out_ready.next = next;
        self.beats.out_ready.next = next;
        if next {
            self.m_valid.d.next = self.sides.out_valid.val();
            self.m_sop.d.next = side.get_bit(128);
            self.m_eop.d.next = side.get_bit(129);
            self.m_hdr.d.next = header;
            self.m_data.d.next = self.beats.out_data.val();
            self.m_class.d.next = header_class;
            self.m_bad.d.next = header_bad;
            self.m_promised.d.next = promised;
        }
        if go {
            self.kind.d.next = if wrong_end { lit::<2>(SWALLOW) } else { to };
            self.left.d.next = left - 1;
        }

        self.cpl.valid.next = valid && to_cpl;
        self.cpl.sop.next = sop;
        self.cpl.eop.next = eop || at_end;
        self.cpl.hdr.next = hdr;
        self.cpl.data.next = data;

        // Writes are stored as they come and count when whole.
        let write_hdr = if sop { hdr } else { self.hdr.q.val() };
        let whole = go && to_posted && eop && at_end;
        let stored = self.tail.q.val() + 1;
        self.store.we.next = go && to_posted && !small;
        self.store.waddr.next = self.tail.q.val().get_bits::<5>(0);
        self.store.wdata.next = data;
        self.small_store.we.next = go && to_posted && small;
        self.small_store.waddr.next = self.tail.q.val().get_bits::<4>(0);
        self.small_store.wdata.next = data;
        self.writes.in_valid.next = whole;
        self.writes.in_data.next = cat::<5, 89, 94>(
            self.order.stamp.val(),
            cat::<6, 83, 89>(stored - self.begin.q.val(), pack_write(write_hdr)),
        );
        self.headers.in_valid.next = whole && !small;
        self.headers.in_data.next = pack_rest(write_hdr);
        if go && sop {
            self.hdr.d.next = hdr;
        }
        if go && to_posted {
            self.tail.d.next = if wrong_end { self.begin.q.val() } else { stored };
        }
        if whole {
            self.begin.d.next = stored;
        }
        let write = self.writes.out_data.val();
        let write_ends = self.gone.q.val() + 1 == write.get_bits::<6>(83);
        self.store.raddr.next = self.head.q.val().get_bits::<5>(0);
        self.posted.valid.next = self.writes.out_valid.val();
        self.posted.sop.next = self.gone.q.val() == 0;
        self.posted.eop.next = write_ends;
        self.small_store.raddr.next = self.head.q.val().get_bits::<4>(0);
        let rest = if small { lit::<45>(WRITE_REST) } else { self.headers.out_data.val() };
        self.posted.hdr.next = unpack_write(write.get_bits::<83>(0), rest);
        self.posted.data.next =
            if small { self.small_store.rdata.val() } else { self.store.rdata.val() };
        self.writes.out_ready.next = self.posted.ready.val() && write_ends;
        self.headers.out_ready.next = self.posted.ready.val() && write_ends;
        if pop {
            self.head.d.next = self.head.q.val() + 1;
            self.gone.d.next = if write_ends { lit::<6>(0) } else { self.gone.q.val() + 1 };
        }

        // A non-posted request has at most one dword of data that counts. Its header credit comes back when
        // it is taken, or at once if it goes nowhere.
        let non_posted = go && sop && class == NON_POSTED;
        let stays = non_posted && to == NON_POSTED && !wrong_end;
        let np_room = if small { self.np_few.in_ready.val() } else { self.np_side.in_ready.val() };
        let push_np = stays && np_room;
        self.np_data.in_valid.next = push_np && !small;
        self.np_data.in_data.next = data.get_bits::<32>(0);
        self.np_side.in_valid.next = push_np && !small;
        self.order.came.next = push_np;
        self.np_side.in_data.next = hdr;
        self.np_few.in_valid.next = push_np && small;
        self.np_few.in_data.next = cat::<32, 120, 152>(data.get_bits::<32>(0), pack_request(hdr));
        let few = self.np_few.out_data.val();
        let np = if small {
            unpack_request(few.get_bits::<120>(0))
        } else {
            self.np_side.out_data.val()
        };
        let np_word = if small { few.get_bits::<32>(120) } else { self.np_data.out_data.val() };
        let np_there =
            if small { self.np_few.out_valid.val() } else { self.np_side.out_valid.val() };
        self.order.waits.next = self.writes.out_valid.val();
        self.order.oldest.next = write.get_bits::<5>(89);
        let behind = !self.order.free.val();
        let np_free = !self.np_valid.q.val() || self.np.ready.val();
        let pop_np = np_free && !behind;
        self.order.went.next = pop_np && np_there;
        self.np_data.out_ready.next = pop_np;
        self.np_side.out_ready.next = pop_np;
        self.np_few.out_ready.next = pop_np;
        if np_free {
            self.np_valid.d.next = np_there && !behind;
            self.np_hdr.d.next = np;
            self.np_word.d.next = np_word;
        }
        self.np.valid.next = self.np_valid.q.val();
        self.np.sop.next = true;
        self.np.eop.next = true;
        self.np.hdr.next = self.np_hdr.q.val();
        self.np.data.next = bit_cast::<D, 32>(self.np_word.q.val());
        let mut limit = self.limit.q.val();
        if pop_np && np_there {
            limit = limit + 1;
        }
        if non_posted && !push_np {
            limit = limit + 1;
        }
        self.limit.d.next = limit;
        self.rx_np_limit.next = self.limit.q.val() + lit::<8>(if self._small { 1 } else { 16 });

        let overflows = stays && !push_np;
        self.malformed.d.next = go && ((sop && bad_header) || wrong_end || overflows);
        self.overflow.d.next = overflows;
        self.stat_malformed.next = self.malformed.q.val();
        self.err_malformed.next = self.malformed.q.val() && !self.overflow.q.val();
        self.err_overflow.next = self.overflow.q.val();
        self.err_hdr.next = self.hdr.q.val();
    }
}
