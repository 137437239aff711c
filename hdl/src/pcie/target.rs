//! Executes the host's requests: configuration and BAR0 a dword at a time on two register buses,
//! BAR2 a beat at a time.
//!
//! | port | what |
//! |---|---|
//! | `posted`, `np` | requests as `pcie/rx` checked them |
//! | `cfg`, `bar` | register buses; byte offsets in configuration space and in BAR0 |
//! | `line` | writes to BAR2 |
//! | `cpl` | completions, one beat each but those of BAR2 |
//! | `bdf` | bus, device and function number as of the last configuration write |
//!
//! | request | what happens |
//! |---|---|
//! | memory write to BAR0, any length and byte enables | a bus access a dword |
//! | memory read of 1 or 2 dwords from BAR0 | answered; a flush, without byte enables, with 0 |
//! | memory write to BAR2, any length and byte enables | passed on as it comes, a beat a cycle |
//! | memory read from BAR2 | answered with zeros: nobody reads lines |
//! | longer memory read from BAR0 | completer abort: BAR0 is registers |
//! | type 0 configuration request for function 0 | answered |
//! | memory outside the BARs, or while memory space is off | unsupported request |
//! | I/O, locked, atomic, type 1, other functions | unsupported request |
//! | a message that the card would have to know | unsupported request |
//! | poisoned write, or any other poisoned request with data | dropped |
//!
//! A refused write is dropped. A poisoned request that is not posted is answered as an unsupported
//! request. A dword of BAR0 without enabled bytes costs a cycle. A completion of BAR2 ends at each
//! multiple of 128 bytes.
//!
//! Refusals and aborts pulse `stat_unsupported`, poisoned data `stat_poisoned`. `err_*` is for
//! [super::errors]: one error a request, and the request's header. A poisoned request that is
//! refused anyway counts as unsupported. `err_answered` says that the request's completion tells
//! the requester of the error; of a poisoned request it tells too little.
//!
//! A posted write waits for the register buses only, never for the upstream direction. The block
//! takes a non-posted request only when its completion has room, and in turn with the writes on
//! offer.
//!
//! The block takes a beat into a register together with what it is: which BAR matches, format,
//! length. Its outputs are registers, too. A request reaches its bus after 2 cycles, one that is
//! answered after 4; from a bus's answer to `cpl` it takes 1. A write of one dword keeps the bus as
//! long as its slave needs, and the block 2 cycles at the least. A write to BAR2, or a refused one,
//! keeps the block a cycle a beat. The block stores one beat, one access and one completion;
//! further requests wait in `pcie/rx`.

use super::tlp;
use crate::common::iface::*;
use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct Target<const D: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub posted: TlpSnk<D>,
    pub np: TlpSnk<D>,
    pub cfg: RegBusSrc,
    pub bar: RegBusSrc,
    pub line: LineWriteSrc<D>,
    pub cpl: TlpSrc<D>,
    pub bar0_base: Signal<In, Bits<32>>,
    pub bar2_base: Signal<In, Bits<64>>,
    pub mem_enable: Signal<In, Bit>,
    pub bdf: Signal<Out, Bits<16>>,
    pub stat_unsupported: Signal<Out, Bit>,
    pub stat_poisoned: Signal<Out, Bit>,
    pub err_unsupported: Signal<Out, Bit>,
    pub err_aborted: Signal<Out, Bit>,
    pub err_poisoned: Signal<Out, Bit>,
    pub err_answered: Signal<Out, Bit>,
    pub err_hdr: Signal<Out, Bits<128>>,
    bus_dev: Reg<Bits<16>>,
    // The beat in work: of a non-posted request, or of a write; `q_first`: the TLP's first.
    q_valid: Reg<Bit>,
    q_np: Reg<Bit>,
    q_first: Reg<Bit>,
    q_data: Reg<Bits<D>>,
    // The TLP's header, its address' lower half, what matched, the next dword's place, dwords to
    // come.
    q_hdr: Reg<tlp::Request>,
    q_low: Reg<Bits<32>>,
    q_bar0: Reg<Matched>,
    q_bar2: Reg<Matched>,
    addr: Reg<Bits<24>>,
    left: Reg<Bits<11>>,
    first: Reg<Bit>,
    /// The dword of `q_data` that is next.
    at: Reg<Bits<4>>,
    /// A write has begun and not ended.
    open: Reg<Bit>,
    /// A write was taken since the last non-posted request.
    np_first: Reg<Bit>,
    // A non-posted request: `seen`, from when on the others count; what it asks for; its bus is
    // `asked`.
    seen: Reg<Bit>,
    configures: Reg<Bit>,
    config_write: Reg<Bit>,
    memory: Reg<Bit>,
    reads: Reg<Bit>,
    zeroes: Reg<Bit>,
    odd: Reg<Bits<4>>,
    lower: Reg<LowerAddress>,
    now: Reg<Bits<6>>,
    asked: Reg<Bit>,
    // The access on a bus.
    cfg_valid: Reg<Bit>,
    bar_valid: Reg<Bit>,
    bus_write: Reg<Bit>,
    bus_addr: Reg<Bits<14>>,
    bus_wdata: Reg<Bits<32>>,
    bus_be: Reg<Bits<4>>,
    // The beat for BAR2.
    line_valid: Reg<Bit>,
    line_addr: Reg<Bits<24>>,
    line_data: Reg<Bits<D>>,
    line_dwords: Reg<Bits<5>>,
    line_first: Reg<Bits<4>>,
    line_last: Reg<Bits<4>>,
    // The completion: its beats to come, and dwords of the completions behind it.
    cpl_valid: Reg<Bit>,
    cpl_sop: Reg<Bit>,
    cpl_beats: Reg<Bits<4>>,
    zeros: Reg<Bits<11>>,
    /// The completion is of a locked read.
    cpl_locked: Reg<Bit>,
    cpl_class: Reg<Class>,
    cpl_full: Reg<Bit>,
    cpl_len: Reg<Bits<6>>,
    cpl_status: Reg<Bits<3>>,
    cpl_count: Reg<Bits<12>>,
    cpl_whose: Reg<Whose>,
    cpl_lower: Reg<LowerAddress>,
    cpl_data: Reg<Halves>,
    unsupported: Reg<Bit>,
    parity: Reg<Bit>,
    error: Reg<RequestError>,
    error_hdr: Reg<Bits<128>>,
    _log_bar2: usize,
}

impl<const D: usize> Target<D> {
    /// `log_bar2`: log2 of BAR2's bytes, at least 12 and at most 24; 0: there is none.
    pub fn new(log_bar2: usize) -> Self {
        assert!(log_bar2 == 0 || (12..=24).contains(&log_bar2));
        Self { _log_bar2: log_bar2, ..Self::default() }
    }
}

/// The halves of a request's address that match those of a BAR.
#[record]
pub struct Matched {
    high: Bit,
    low: Bit,
}

#[record]
pub struct Hits {
    bar2: Matched,
    bar0: Matched,
}

/// What is wrong with a request.
#[record]
pub struct RequestError {
    /// Its completion tells the requester.
    answered: Bit,
    poisoned: Bit,
    aborted: Bit,
    unsupported: Bit,
}

/// Of a request, what its completion repeats.
#[record]
pub struct Class {
    attributes: Bits<2>,
    traffic_class: Bits<3>,
}

#[record]
pub struct Whose {
    tag: Bits<8>,
    requester: Bits<16>,
}

/// Bits 6:0 of an address.
#[record]
pub struct LowerAddress {
    byte: Bits<2>,
    dword: Bits<5>,
}

/// Beats of so many dwords, at most 32.
#[kernel]
fn beats<const D: usize>(dwords: Bits<6>) -> Bits<4> {
    bit_cast::<4, 6>((dwords + lit::<6>(D / 32 - 1)) >> lit::<6>(clog2(D / 32)))
}

/// The first enabled byte of a dword; 0 if there is none.
#[kernel]
fn first_byte(be: Bits<4>) -> Bits<2> {
    if be == 0 || (be & 1) != 0 {
        lit::<2>(0)
    } else if (be & 2) != 0 {
        lit::<2>(1)
    } else if (be & 4) != 0 {
        lit::<2>(2)
    } else {
        lit::<2>(3)
    }
}

/// One past the last enabled byte.
#[kernel]
fn end_byte(be: Bits<4>) -> Bits<4> {
    if be >= 8 {
        lit::<4>(4)
    } else if be >= 4 {
        lit::<4>(3)
    } else if be >= 2 {
        lit::<4>(2)
    } else {
        lit::<4>(1)
    }
}

/// Of the Byte Count of a memory read (specification, table 2-38): bytes of its last dword, less
/// those before the first; the others are four a dword.
#[kernel]
fn odd_bytes(hdr: tlp::Request) -> Bits<4> {
    let end = end_byte(if hdr.dw0.length == 1 { hdr.first_be } else { hdr.last_be });
    end - bit_cast::<4, 2>(first_byte(hdr.first_be))
}

/// log2 of BAR0's bytes.
const LOG_BAR0: u64 = 14;

/// The BARs that a memory request's address matches.
#[kernel]
fn matches(hdr: tlp::Request, bar0: Bits<32>, bar2: Halves, inside: Bits<32>) -> Hits {
    let high = if hdr.dw0.format.wide { hdr.dw2 } else { lit::<32>(0) };
    let low = tlp::low_address(hdr);
    Hits {
        bar0: Matched { low: (low >> LOG_BAR0) == (bar0 >> LOG_BAR0), high: high == 0 },
        bar2: Matched { low: (low & !inside) == bar2.low, high: high == bar2.high },
    }
}

impl<const D: usize> Logic for Target<D> {
    /// Executes configuration and memory requests dword by dword.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; bus_dev, q_valid, q_np, q_first, q_bar0, q_bar2, left);
        registers!(self, clock, reset; first, at, open, np_first, seen, configures, config_write);
        registers!(self, clock, reset; memory, reads, zeroes, odd, lower, now, asked, cfg_valid);
        registers!(self, clock, reset; bar_valid, bus_write, line_valid, cpl_valid, cpl_sop);
        registers!(self, clock, reset; cpl_beats, zeros, cpl_locked, cpl_class, cpl_full);
        registers!(self, clock, reset; unsupported, parity, error);
        registers!(self, clock; q_data, q_hdr, q_low, addr, bus_addr, bus_wdata, bus_be);
        registers!(self, clock; line_addr, line_data, line_dwords, line_first, line_last);
        registers!(self, clock; cpl_len, cpl_status, cpl_count, cpl_whose, cpl_lower, cpl_data);
        registers!(self, clock; error_hdr);
        self.stat_unsupported.next = self.unsupported.q.val();
        self.stat_poisoned.next = self.parity.q.val();
        let error = self.error.q.val();
        self.err_unsupported.next = error.unsupported;
        self.err_aborted.next = error.aborted;
        self.err_poisoned.next = error.poisoned;
        self.err_answered.next = error.answered;
        self.err_hdr.next = self.error_hdr.q.val();
        self.bdf.next = self.bus_dev.q.val();

        // ---- A beat is taken, with what its header says. Beats that nothing waits for make room
        // for the next at once.
        let valid = self.q_valid.q.val();
        let np = valid && self.q_np.q.val();
        let hdr = self.q_hdr.q.val();
        let length = hdr.dw0.length;
        let poisoned = hdr.dw0.poisoned;
        let in_bar = self.q_bar0.q.val().high && self.q_bar0.q.val().low;
        let in_bar2 = self.q_bar2.q.val().high && self.q_bar2.q.val().low && !in_bar;
        let ours = in_bar && !poisoned;
        let passes = valid && !self.q_np.q.val() && !ours;
        let free = !valid || passes;
        // A non-posted request has its turn when there is room for a completion; a write never
        // waits for one.
        let np_turn = !self.open.q.val()
            && !self.cpl_valid.q.val()
            && (!self.posted.valid.val() || self.np_first.q.val());
        let from_np = np_turn && self.np.valid.val();
        let take_np = free && from_np;
        let take_posted = free && !from_np && self.posted.valid.val();
        self.np.ready.next = free && np_turn;
        self.posted.ready.next = free && !from_np;

        let of_np = tlp::Request::from_bits(self.np.hdr.val());
        let of_posted = tlp::Request::from_bits(self.posted.hdr.val());
        let new = if from_np { of_np } else { of_posted };
        let low = tlp::low_address(new);
        let bar2_mask = lit::<32>((1u64 << self._log_bar2) - 1);
        // A message has no address.
        let enabled = self.mem_enable.val() && !new.dw0.format.message;
        // Both addresses are compared with the BARs, before one is chosen.
        let bar0 = self.bar0_base.val();
        let bar2 = Halves::from_bits(self.bar2_base.val());
        let np_hits = matches(of_np, bar0, bar2, bar2_mask);
        let posted_hits = matches(of_posted, bar0, bar2, bar2_mask);
        let hits = if from_np { np_hits } else { posted_hits };
        let dwords = tlp::dwords(new.dw0.length);
        let starts = take_np || (take_posted && self.posted.sop.val());
        if free {
            self.q_valid.d.next = take_np || take_posted;
            self.q_np.d.next = take_np;
            self.q_first.d.next = starts;
            let posted = self.posted.data.val();
            let word = if from_np { self.np.data.val() } else { posted };
            let first_dword = lit::<D>(0xffff_ffffu32);
            self.q_data.d.next = (posted & !first_dword) | (word & first_dword);
            self.at.d.next = lit::<4>(0);
        }
        if take_np {
            self.np_first.d.next = false;
        } else if take_posted {
            self.np_first.d.next = true;
            self.open.d.next = !self.posted.eop.val();
        }

        // ---- A write to BAR2 passes; what is refused is swallowed.
        let rest = self.left.q.val();
        let place = self.addr.q.val();
        let beat_dwords = lit::<11>(D / 32);
        let beat_last = rest <= beat_dwords;
        let lines = if self._log_bar2 == 0 { false } else { passes && in_bar2 && !poisoned };
        self.line_valid.d.next = lines;
        self.line_data.d.next = self.q_data.q.val();
        self.line_addr.d.next = place;
        self.line_dwords.d.next =
            if beat_last { bit_cast::<5, 11>(rest) } else { lit::<5>(D / 32) };
        self.line_first.d.next = if self.q_first.q.val() { hdr.first_be } else { lit::<4>(15) };
        self.line_last.d.next = if beat_last && length != 1 { hdr.last_be } else { lit::<4>(15) };
        let refused = passes && self.q_first.q.val() && !in_bar && !in_bar2;
        let broken = passes && self.q_first.q.val() && poisoned;

        // ---- A dword at a time to or from BAR0.
        let last = rest == 1;
        let be = if self.first.q.val() {
            hdr.first_be
        } else if last {
            hdr.last_be
        } else {
            lit::<4>(15)
        };
        let walks = valid && !self.q_np.q.val() && ours;
        let asks = np && self.seen.q.val() && !self.asked.q.val();
        let bar_answers = self.bar_valid.q.val() && self.bar.ready.val();
        let cfg_answers = self.cfg_valid.q.val() && self.cfg.ready.val();
        let bus_free =
            (!self.bar_valid.q.val() && !self.cfg_valid.q.val()) || bar_answers || cfg_answers;
        let step = bus_free && (walks || (asks && self.reads.q.val()));
        let step_config = bus_free && asks && self.configures.q.val();
        if bus_free {
            self.bar_valid.d.next = step && be.any();
            self.cfg_valid.d.next = step_config;
            self.bus_write.d.next = !self.q_np.q.val() || self.config_write.q.val();
            self.bus_addr.d.next = bit_cast::<14, 24>(place);
            let shift = bit_cast::<9, 4>(self.at.q.val()) << 5;
            self.bus_wdata.d.next = bit_cast::<32, D>(self.q_data.q.val() >> shift);
            self.bus_be.d.next = be;
        }
        if passes {
            self.left.d.next = rest - beat_dwords;
            self.addr.d.next = place + lit::<24>(D / 8);
        } else if step {
            self.left.d.next = rest - 1;
            self.addr.d.next = place + 4;
            self.at.d.next = self.at.q.val() + 1;
            self.first.d.next = false;
            if walks && (last || self.at.q.val() == lit::<4>(D / 32 - 1)) {
                self.q_valid.d.next = false;
            }
        }
        if starts {
            self.q_hdr.d.next = new;
            self.q_low.d.next = low;
            let none = Matched { high: false, low: false };
            self.q_bar0.d.next = if enabled { hits.bar0 } else { none };
            self.q_bar2.d.next = if self._log_bar2 == 0 {
                none
            } else if enabled {
                hits.bar2
            } else {
                none
            };
            let inside = lit::<24>(0xff_fffc)
                & (bit_cast::<24, 32>(bar2_mask) | lit::<24>((1 << LOG_BAR0) - 1));
            self.addr.d.next = bit_cast::<24, 32>(low) & inside;
            self.left.d.next = dwords;
            self.first.d.next = true;
        }

        // ---- A non-posted request: what it is, a cycle later what becomes of it.
        let kind = hdr.dw0.format.to_bits::<8>();
        let is_write = kind == tlp::CFG_WR0;
        let is_memory = kind == tlp::MRD32 || kind == tlp::MRD64;
        // A locked read is never served, but its completion has a type of its own.
        let is_locked = !hdr.dw0.format.message && hdr.dw0.format.code == 1;
        let sized = is_memory || is_locked;
        let asked_low = self.q_low.q.val();
        let few = length == 1 || length == 2;
        let dword_in_128 = bit_cast::<5, 10>(tlp::LowAddress::from_bits(asked_low).dword);
        let to_128 = lit::<6>(32) - bit_cast::<6, 5>(dword_in_128);
        let config_address = tlp::ConfigAddress::from_bits(asked_low);
        self.seen.d.next = np;
        let to_function_0 = config_address.function == 0;
        self.configures.d.next = (kind == tlp::CFG_RD0 || (is_write && !poisoned)) && to_function_0;
        self.config_write.d.next = is_write && self.q_np.q.val();
        self.memory.d.next = is_memory;
        self.reads.d.next = is_memory && in_bar && few;
        self.zeroes.d.next = is_memory && in_bar2;
        let lower = LowerAddress { byte: first_byte(hdr.first_be), dword: dword_in_128 };
        let no_lower = LowerAddress::from_bits(lit::<7>(0));
        self.lower.d.next = if sized { lower } else { no_lower };
        self.odd.d.next = if sized { odd_bytes(hdr) } else { lit::<4>(4) };
        if !self.seen.q.val() {
            self.now.d.next =
                if rest < bit_cast::<11, 6>(to_128) { bit_cast::<6, 11>(rest) } else { to_128 };
        }
        let serves = self.reads.q.val() || self.configures.q.val();
        let at_once = asks && !serves;
        if step_config && self.config_write.q.val() {
            self.bus_dev.d.next = bit_cast::<16, 32>(asked_low >> 16);
        }
        if np && (step || step_config) {
            self.asked.d.next = true;
        }
        // Without enabled bytes no bus was asked.
        let answered = np && self.asked.q.val() && bus_free;
        let rdata = if bar_answers {
            self.bar.rdata.val()
        } else if cfg_answers {
            self.cfg.rdata.val()
        } else {
            lit::<32>(0)
        };
        let both = length == 2 && self.reads.q.val();
        let done = at_once || (answered && (rest == 0 || self.configures.q.val()));
        if answered {
            self.asked.d.next = false;
            self.cpl_data.d.next = if both && rest == 0 {
                Halves { high: rdata, ..self.cpl_data.q.val() }
            } else {
                Halves { low: rdata, high: lit::<32>(0) }
            };
        }
        if at_once {
            self.cpl_data.d.next = Halves::from_bits(lit::<64>(0));
        }
        let declined = at_once && !self.zeroes.q.val();
        let aborts = declined && self.memory.q.val() && in_bar;
        let spoiled = declined && poisoned && hdr.dw0.format.with_data;
        let ours_spoiled = spoiled && self.config_write.q.val() && to_function_0;
        self.unsupported.d.next = refused || declined;
        self.parity.d.next = broken || spoiled;
        self.error.d.next = RequestError {
            answered: declined && !spoiled,
            poisoned: (broken && !refused) || ours_spoiled,
            aborted: aborts,
            unsupported: refused || (declined && !aborts && !ours_spoiled),
        };
        self.error_hdr.d.next = hdr.to_bits();
        if done {
            self.q_valid.d.next = false;
            self.seen.d.next = false;
            self.cpl_valid.d.next = true;
            self.cpl_sop.d.next = true;
            self.cpl_class.d.next =
                Class { attributes: hdr.dw0.attributes, traffic_class: hdr.dw0.traffic_class };
            self.cpl_full.d.next = self.zeroes.q.val() || (serves && !self.config_write.q.val());
            self.cpl_locked.d.next = is_locked;
            self.cpl_len.d.next =
                if self.zeroes.q.val() { self.now.q.val() } else { bit_cast::<6, 10>(length & 3) };
            self.cpl_beats.d.next =
                if self.zeroes.q.val() { beats::<D>(self.now.q.val()) } else { lit::<4>(1) };
            self.zeros.d.next = if self.zeroes.q.val() {
                rest - bit_cast::<11, 6>(self.now.q.val())
            } else {
                lit::<11>(0)
            };
            self.cpl_status.d.next = if serves || self.zeroes.q.val() {
                lit::<3>(tlp::SC)
            } else if self.memory.q.val() && in_bar {
                lit::<3>(tlp::CA)
            } else {
                lit::<3>(tlp::UR)
            };
            // Modulo 4096; from -3 to 4 beside whole dwords.
            let odd = self.odd.q.val();
            let signed = if odd >= 8 { lit::<12>(0xff0) } else { lit::<12>(0) };
            let whole = if self.memory.q.val() || is_locked {
                (bit_cast::<12, 10>(length) << 2) - 4
            } else {
                lit::<12>(0)
            };
            self.cpl_count.d.next = whole + (signed | bit_cast::<12, 4>(odd));
            self.cpl_whose.d.next = Whose { tag: hdr.tag, requester: hdr.requester };
            self.cpl_lower.d.next = self.lower.q.val();
        }

        // ---- Zeros beyond the first completion: from a multiple of 128 bytes on, without the
        // host's writes waiting.
        let sent = self.cpl_len.q.val();
        let skipped = self.cpl_lower.q.val().byte;
        let zeros = self.zeros.q.val();
        let again = if zeros > 32 { lit::<6>(32) } else { bit_cast::<6, 11>(zeros) };
        if self.cpl_valid.q.val() && self.cpl.ready.val() {
            self.cpl_sop.d.next = false;
            self.cpl_beats.d.next = self.cpl_beats.q.val() - 1;
            if self.cpl_beats.q.val() == 1 {
                self.cpl_valid.d.next = zeros != 0;
                self.cpl_sop.d.next = true;
                self.cpl_beats.d.next = beats::<D>(again);
                self.zeros.d.next = zeros - bit_cast::<11, 6>(again);
                let gone = (bit_cast::<12, 6>(sent) << 2) - bit_cast::<12, 2>(skipped);
                self.cpl_len.d.next = again;
                self.cpl_count.d.next = self.cpl_count.q.val() - gone;
                self.cpl_lower.d.next = no_lower;
            }
        }

        self.bar.valid.next = self.bar_valid.q.val();
        self.bar.write.next = self.bus_write.q.val();
        self.bar.addr.next = bit_cast::<16, 14>(self.bus_addr.q.val());
        self.bar.wdata.next = self.bus_wdata.q.val();
        self.bar.be.next = self.bus_be.q.val();
        self.cfg.valid.next = self.cfg_valid.q.val();
        self.cfg.write.next = self.bus_write.q.val();
        self.cfg.addr.next = bit_cast::<16, 14>(self.bus_addr.q.val() & 0xfff);
        self.cfg.wdata.next = self.bus_wdata.q.val();
        self.cfg.be.next = self.bus_be.q.val();

        let full = self.cpl_full.q.val();
        let class = self.cpl_class.q.val();
        let format = tlp::Format::from_bits(lit::<8>(tlp::CPL));
        let locked = bit_cast::<4, 1>(self.cpl_locked.q.val().into());
        let dw0 = tlp::Dw0 {
            length: if full { bit_cast::<10, 6>(self.cpl_len.q.val()) } else { lit::<10>(0) },
            attributes: class.attributes,
            traffic_class: class.traffic_class,
            format: tlp::Format { code: format.code | locked, with_data: full, ..format },
            ..tlp::Dw0::from_bits(lit::<32>(0))
        };
        let whose = self.cpl_whose.q.val();
        self.cpl.valid.next = self.cpl_valid.q.val();
        self.cpl.sop.next = self.cpl_sop.q.val();
        self.cpl.eop.next = self.cpl_beats.q.val() == 1;
        self.cpl.hdr.next = tlp::Completion {
            dw0,
            byte_count: self.cpl_count.q.val(),
            byte_count_modified: false,
            status: self.cpl_status.q.val(),
            completer: self.bus_dev.q.val(),
            lower_address: self.cpl_lower.q.val().to_bits(),
            reserved: false,
            tag: whose.tag,
            requester: whose.requester,
            dw3: lit::<32>(0),
        }
        .to_bits();
        self.cpl.data.next = bit_cast::<D, 64>(self.cpl_data.q.val().to_bits());

        self.line.valid.next = self.line_valid.q.val();
        self.line.addr.next = self.line_addr.q.val();
        self.line.data.next = self.line_data.q.val();
        self.line.dwords.next = self.line_dwords.q.val();
        self.line.first_be.next = self.line_first.q.val();
        self.line.last_be.next = self.line_last.q.val();
    }
}
