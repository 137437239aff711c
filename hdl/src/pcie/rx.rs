//! TLPs from the link, checked and sorted: completions to the read engine, requests to the target.
//!
//! | port | what |
//! |---|---|
//! | `link` | from the link layer: framed by `sop` and `eop`, without ECRC and prefixes |
//! | `cpl` | completions, a beat a cycle, 2 cycles after the link had it |
//! | `posted`, `np` | memory writes; non-posted requests of one beat each |
//! | `rx_np_limit` | how many non-posted headers the other end may have sent in all |
//! | `err_*` | the kinds of `stat_malformed`; in the same cycle `err_hdr` is the TLP's header |
//!
//! The block stores a memory write until the write is whole and its length is right. The write's
//! first beat shows 3 cycles after its last one came. The store has room for 32 beats (`_small`:
//! 16) and 16 headers. With `_small` it keeps only what a receiver needs of a header; the rest
//! reads 0. While the store is full `link.ready` is low. The target empties it without waiting for
//! anything upstream, so completions behind a write are late, but never stuck.
//!
//! Non-posted requests wait in a FIFO of 16 (`_small`: a register), which `rx_np_limit` keeps from
//! overflowing. The block offers a request, from a register, once the target has taken all memory
//! writes that came before it. The request never holds up anything: any number of later writes may
//! pass it while it waits ([super::order]).
//!
//! **Longest payload**: `mps`, at most 512 bytes (`_small`: 256).
//!
//! | TLP | what happens |
//! |---|---|
//! | write or message with too long a payload | swallowed |
//! | write or message that ends elsewhere than its length says | swallowed |
//! | write across 4 KB | swallowed |
//! | completion with too long a payload | swallowed: its read times out |
//! | non-posted request across 4 KB or of more than a beat | swallowed |
//! | configuration or I/O request of more than a dword | swallowed |
//! | completion that runs on | cut where its length says |
//! | completion that ends early | passed on: the read engine ends its piece |
//! | message of a traffic class other than 0, whose code asks for class 0 | swallowed |
//! | TLP of unknown type | swallowed |
//! | non-posted request beyond the limit (`err_overflow`) | swallowed |
//! | message that a function may ignore, see [ignores] | swallowed; it is not malformed |
//! | any other message | passed on with the writes, for the target to refuse; not malformed |
//!
//! All but the last two pulse `stat_malformed`.

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
    sides: Skid<tlp::Side>,
    // A beat, and what its header says.
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
    // The whole writes, and the rest of their headers. Indices have a lap bit.
    writes: Fifo<Write, 4>,
    headers: Fifo<WriteRest, 4>,
    store: LutRam<Bits<D>, 5>,
    small_store: LutRam<Bits<D>, 4>,
    begin: Reg<Bits<6>>,
    tail: Reg<Bits<6>>,
    head: Reg<Bits<6>>,
    /// The store has no place.
    full: Reg<Bit>,
    /// Beats of the first write that are gone.
    gone: Reg<Bits<6>>,
    // Non-posted requests: the dword of data, the header.
    np_data: Fifo<Bits<32>, 4>,
    np_side: Fifo<Bits<128>, 4>,
    np_few: Skid<SmallRequest>,
    /// At most 16 requests wait.
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
    /// `small`: half the store, half the largest write, and a beat in two cycles.
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

const SWALLOW: u64 = 0;
const COMPLETION: u64 = 1;
const POSTED: u64 = 2;
const NON_POSTED: u64 = 3;

/// What a receiver needs of the header of a write or message.
#[record]
pub struct WriteHeader {
    /// Bits 7:0 of the length.
    length: Bits<8>,
    wide: Bit,
    poisoned: Bit,
    message: Bit,
    first_be: Bits<4>,
    last_be: Bits<4>,
    dw2: Bits<32>,
    dw3: Bits<32>,
}

/// What [WriteHeader] leaves.
#[record]
pub struct WriteRest {
    length_high: Bits<2>,
    address_type: Bits<2>,
    attributes: Bits<2>,
    hints: Bits<5>,
    traffic_class: Bits<3>,
    reserved: Bit,
    code: Bits<4>,
    with_data: Bit,
    prefix: Bit,
    tag: Bits<8>,
    requester: Bits<16>,
}

/// A write in store.
#[record]
pub struct Write {
    header: WriteHeader,
    beats: Bits<6>,
    /// The non-posted requests that came before it.
    stamp: Bits<5>,
}

#[kernel]
fn write_header(hdr: tlp::Request) -> WriteHeader {
    WriteHeader {
        length: bit_cast::<8, 10>(hdr.dw0.length),
        wide: hdr.dw0.format.wide,
        poisoned: hdr.dw0.poisoned,
        message: hdr.dw0.format.message,
        first_be: hdr.first_be,
        last_be: hdr.last_be,
        dw2: hdr.dw2,
        dw3: hdr.dw3,
    }
}

#[kernel]
fn write_rest(hdr: tlp::Request) -> WriteRest {
    WriteRest {
        length_high: bit_cast::<2, 10>(hdr.dw0.length >> 8),
        address_type: hdr.dw0.address_type,
        attributes: hdr.dw0.attributes,
        hints: hdr.dw0.hints,
        traffic_class: hdr.dw0.traffic_class,
        reserved: hdr.dw0.reserved,
        code: hdr.dw0.format.code,
        with_data: hdr.dw0.format.with_data,
        prefix: hdr.dw0.format.prefix,
        tag: hdr.tag,
        requester: hdr.requester,
    }
}

#[kernel]
fn whole_header(kept: WriteHeader, rest: WriteRest) -> tlp::Request {
    tlp::Request {
        dw0: tlp::Dw0 {
            length: cat::<2, 8, 10>(rest.length_high, kept.length),
            address_type: rest.address_type,
            attributes: rest.attributes,
            poisoned: kept.poisoned,
            hints: rest.hints,
            traffic_class: rest.traffic_class,
            reserved: rest.reserved,
            format: tlp::Format {
                code: rest.code,
                message: kept.message,
                wide: kept.wide,
                with_data: rest.with_data,
                prefix: rest.prefix,
            },
        },
        first_be: kept.first_be,
        last_be: kept.last_be,
        tag: rest.tag,
        requester: rest.requester,
        dw2: kept.dw2,
        dw3: kept.dw3,
    }
}

/// Messages without a meaning for the card, by their codes: Unlock, PM_Active_State_Nak,
/// PME_Turn_Off (answered where the link is looked after), those of old hot-plug slots,
/// Set_Slot_Power_Limit, and type 1 of vendors.
#[kernel]
fn ignores(code: Bits<8>) -> Bit {
    match code {
        0x00 | 0x14 | 0x19 | 0x40 | 0x41 | 0x43 | 0x44 | 0x45 | 0x47 | 0x48 | 0x50 | 0x7f => true,
        _ => false,
    }
}

/// Codes of messages that have traffic class 0 (2.2.8): Unlock, LTR, OBFF and power management,
/// interrupts, errors, slot power.
#[kernel]
fn best_effort(code: Bits<8>) -> Bit {
    match code >> 4 {
        0 | 1 | 2 | 3 | 5 => true,
        _ => false,
    }
}

/// What a receiver needs of a non-posted request: all but reserved bits and hints; its data's
/// dword.
#[record]
pub struct SmallRequest {
    length: Bits<10>,
    attributes: Bits<2>,
    poisoned: Bit,
    traffic_class: Bits<3>,
    format: tlp::Format,
    first_be: Bits<4>,
    last_be: Bits<4>,
    tag: Bits<8>,
    requester: Bits<16>,
    dw2: Bits<32>,
    dw3: Bits<32>,
    word: Bits<32>,
}

#[kernel]
fn small_request(hdr: tlp::Request, word: Bits<32>) -> SmallRequest {
    SmallRequest {
        length: hdr.dw0.length,
        attributes: hdr.dw0.attributes,
        poisoned: hdr.dw0.poisoned,
        traffic_class: hdr.dw0.traffic_class,
        format: hdr.dw0.format,
        first_be: hdr.first_be,
        last_be: hdr.last_be,
        tag: hdr.tag,
        requester: hdr.requester,
        dw2: hdr.dw2,
        dw3: hdr.dw3,
        word,
    }
}

#[kernel]
fn request_header(small: SmallRequest) -> tlp::Request {
    tlp::Request {
        dw0: tlp::Dw0 {
            length: small.length,
            attributes: small.attributes,
            poisoned: small.poisoned,
            traffic_class: small.traffic_class,
            format: small.format,
            ..tlp::Dw0::from_bits(lit::<32>(0))
        },
        first_be: small.first_be,
        last_be: small.last_be,
        tag: small.tag,
        requester: small.requester,
        dw2: small.dw2,
        dw3: small.dw3,
    }
}

/// Where a TLP goes, whatever its length; atomic operations and all of I/O to be refused by the
/// target.
#[kernel]
fn classify(kind: Bits<8>) -> Bits<2> {
    match kind {
        tlp::CPL | tlp::CPLD | tlp::CPL_LOCKED | tlp::CPLD_LOCKED => lit::<2>(COMPLETION),
        tlp::MWR32 | tlp::MWR64 => lit::<2>(POSTED),
        tlp::MRD32 | tlp::MRD64 | tlp::MRD_LOCKED32 | tlp::MRD_LOCKED64 => lit::<2>(NON_POSTED),
        tlp::IO_RD | tlp::IO_WR => lit::<2>(NON_POSTED),
        tlp::CFG_RD0 | tlp::CFG_WR0 | tlp::CFG_RD1 | tlp::CFG_WR1 => lit::<2>(NON_POSTED),
        tlp::FETCH_ADD32 | tlp::FETCH_ADD64 | tlp::SWAP32 | tlp::SWAP64 => lit::<2>(NON_POSTED),
        tlp::CAS32 | tlp::CAS64 => lit::<2>(NON_POSTED),
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
        clocked!(self, clock, reset; beats, sides, writes, headers, order);
        clocked!(self, clock, reset; np_data, np_side, np_few);
        clocked!(self, clock; store, small_store);
        self.beats.in_valid.next = self.link.valid.val();
        self.beats.in_data.next = self.link.data.val();
        self.sides.in_valid.next = self.link.valid.val();
        self.sides.in_data.next = tlp::Side {
            hdr: self.link.hdr.val(),
            sop: self.link.sop.val(),
            eop: self.link.eop.val(),
        };
        self.link.ready.next = self.sides.in_ready.val();

        // What the header says.
        let side = self.sides.out_data.val();
        let header = tlp::Request::from_bits(side.hdr);
        let format = header.dw0.format;
        let kind = format.to_bits::<8>();
        let with_data = format.with_data;
        let length = header.dw0.length;
        let in_dwords = tlp::dwords(length);
        let filled =
            (bit_cast::<16, 11>(in_dwords) + lit::<16>(D / 32 - 1)) >> lit::<16>(clog2(D / 32));
        let promised = if with_data { bit_cast::<9, 16>(filled) } else { lit::<9>(1) };
        let message = match kind & 0xf8 {
            tlp::MSG | tlp::MSG_D => true,
            _ => false,
        };
        let code = tlp::Message::from_bits(side.hdr).code;
        let ignored = message && ignores(code);
        let header_class = if message && !ignored { lit::<2>(POSTED) } else { classify(kind) };
        let memory = !format.message && (format.code == 0 || format.code == 1);
        let offset = tlp::LowAddress::from_bits(tlp::low_address(header)).dword;
        let crosses = bit_cast::<12, 10>(offset) + bit_cast::<12, 11>(in_dwords) > 1024;
        let one_dword = match kind {
            tlp::IO_RD | tlp::IO_WR | tlp::CFG_RD0 | tlp::CFG_WR0 => true,
            tlp::CFG_RD1 | tlp::CFG_WR1 => true,
            _ => false,
        };
        let most = match self.mps.val() {
            0 => lit::<11>(32),
            1 => lit::<11>(64),
            _ => lit::<11>(if self._small { 64 } else { 128 }),
        };
        let header_bad = (header_class == SWALLOW && !ignored)
            || (memory && crosses)
            || (with_data && in_dwords > most && header_class != NON_POSTED)
            || (one_dword && length != 1)
            || (message && best_effort(code) && header.dw0.traffic_class.any());

        // The beat's way.
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
        // For the next cycle: this one's beats count.
        let places = if self._small { lit::<6>(16) } else { lit::<6>(32) };
        let filled_up = (held & places).any();
        let last_place = (held | !(places - 1)).all();
        let pop = self.writes.out_valid.val() && self.posted.ready.val();
        self.full.d.next = !pop && (filled_up || (last_place && go && to_posted));
        let next = room || !valid;
        self.sides.out_ready.next = next;
        self.beats.out_ready.next = next;
        if next {
            self.m_valid.d.next = self.sides.out_valid.val();
            self.m_sop.d.next = side.sop;
            self.m_eop.d.next = side.eop;
            self.m_hdr.d.next = side.hdr;
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

        // Beats of writes are stored as they come; a write counts when it is whole.
        let write_hdr = tlp::Request::from_bits(if sop { hdr } else { self.hdr.q.val() });
        let whole = go && to_posted && eop && at_end;
        let stored = self.tail.q.val() + 1;
        self.store.we.next = go && to_posted && !self._small;
        self.store.waddr.next = bit_cast::<5, 6>(self.tail.q.val());
        self.store.wdata.next = data;
        self.small_store.we.next = go && to_posted && self._small;
        self.small_store.waddr.next = bit_cast::<4, 6>(self.tail.q.val());
        self.small_store.wdata.next = data;
        self.writes.in_valid.next = whole;
        self.writes.in_data.next = Write {
            header: write_header(write_hdr),
            beats: stored - self.begin.q.val(),
            stamp: self.order.stamp.val(),
        };
        self.headers.in_valid.next = whole && !self._small;
        self.headers.in_data.next = write_rest(write_hdr);
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
        let write_ends = self.gone.q.val() + 1 == write.beats;
        self.store.raddr.next = bit_cast::<5, 6>(self.head.q.val());
        self.posted.valid.next = self.writes.out_valid.val();
        self.posted.sop.next = self.gone.q.val() == 0;
        self.posted.eop.next = write_ends;
        self.small_store.raddr.next = bit_cast::<4, 6>(self.head.q.val());
        let rest = if self._small {
            WriteRest { with_data: true, ..WriteRest::from_bits(lit::<45>(0)) }
        } else {
            self.headers.out_data.val()
        };
        self.posted.hdr.next = whole_header(write.header, rest).to_bits();
        self.posted.data.next =
            if self._small { self.small_store.rdata.val() } else { self.store.rdata.val() };
        self.writes.out_ready.next = self.posted.ready.val() && write_ends;
        self.headers.out_ready.next = self.posted.ready.val() && write_ends;
        if pop {
            self.head.d.next = self.head.q.val() + 1;
            self.gone.d.next = if write_ends { lit::<6>(0) } else { self.gone.q.val() + 1 };
        }

        // A non-posted request has at most one dword of data that counts. Its header credit comes
        // back when it is taken, or at once if it goes nowhere.
        let non_posted = go && sop && class == NON_POSTED;
        let stays = non_posted && to == NON_POSTED && !wrong_end;
        let np_room =
            if self._small { self.np_few.in_ready.val() } else { self.np_side.in_ready.val() };
        let push_np = stays && np_room;
        let first_word = bit_cast::<32, D>(data);
        self.np_data.in_valid.next = push_np && !self._small;
        self.np_data.in_data.next = first_word;
        self.np_side.in_valid.next = push_np && !self._small;
        self.order.came.next = push_np;
        self.np_side.in_data.next = hdr;
        self.np_few.in_valid.next = push_np && self._small;
        self.np_few.in_data.next = small_request(tlp::Request::from_bits(hdr), first_word);
        let few = self.np_few.out_data.val();
        let np =
            if self._small { request_header(few).to_bits() } else { self.np_side.out_data.val() };
        let np_word = if self._small { few.word } else { self.np_data.out_data.val() };
        let np_there =
            if self._small { self.np_few.out_valid.val() } else { self.np_side.out_valid.val() };
        self.order.waits.next = self.writes.out_valid.val();
        self.order.oldest.next = write.stamp;
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
