//! Executes the host's requests: configuration and BAR0, one dword at a time, on two register buses; BAR2 a beat at a time.
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
//! | memory write to BAR0, any length and byte enables | walked dword by dword; a dword without enabled bytes costs a cycle |
//! | memory read of 1 or 2 dwords from BAR0 | answered; without enabled bytes (a flush) with a dword of 0 |
//! | memory write to BAR2, any length and byte enables | passed on as it comes, a beat a cycle |
//! | memory read from BAR2 | answered with zeros: lines are written and not read. A completion ends at each multiple of 128 bytes |
//! | longer memory read from BAR0 | completer abort: BAR0 is registers |
//! | type 0 configuration request for function 0 | answered |
//! | memory outside the BARs or while memory space is off, I/O, locked, atomic, type 1, other functions | unsupported request; a write is dropped |
//! | a message that the card has to know and does not | unsupported request |
//! | poisoned write, or any other with data | dropped; what is not posted is answered as an unsupported request |
//!
//! Refusals and aborts pulse `stat_unsupported`, poisoned data `stat_poisoned`. For [super::errors] there is besides what the error is: one a request, and
//! where a poisoned one is refused anyway that it is unsupported; `err_answered` if its completion tells the requester, who of
//! a poisoned one learns too little from it; its header.
//!
//! A posted write waits for the register buses only, never for the upstream direction: a
//! non-posted request is taken only when its completion has room, and in turn with the writes on offer.
//!
//! A beat is taken into a register together with what it is: BAR matched, format, length. What is done with it follows from that, and
//! leaves by registers too: 2 cycles from a request to its bus, 4 for one that is answered; from a bus's answer to `cpl` 1. A write of one dword occupies the
//! bus as long as its slave needs, the block 2 cycles at the least; one to BAR2, or one that is refused, as many cycles as it has beats.
//! Nothing is held but one beat, one access and one completion: further requests wait in `pcie/rx`.

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
    // The beat at hand: of a non-posted request, or of a write; `q_first`: its TLP's first.
    q_valid: Reg<Bit>,
    q_np: Reg<Bit>,
    q_first: Reg<Bit>,
    q_data: Reg<Bits<D>>,
    // Its TLP's header: what of the address is left, what matched, dwords to come.
    q_hdr: Reg<Bits<128>>,
    q_low: Reg<Bits<32>>,
    q_bar0: Reg<Bits<2>>,
    q_bar2: Reg<Bits<2>>,
    addr: Reg<Bits<24>>,
    left: Reg<Bits<11>>,
    first: Reg<Bit>,
    /// The dword of `q_data` that is next.
    at: Reg<Bits<4>>,
    /// A write has begun and not ended.
    open: Reg<Bit>,
    /// A write was taken since the last non-posted request.
    np_first: Reg<Bit>,
    // A non-posted request: seen, so that what follows holds; what it asks for; whether its bus is asked.
    seen: Reg<Bit>,
    configures: Reg<Bit>,
    config_write: Reg<Bit>,
    memory: Reg<Bit>,
    reads: Reg<Bit>,
    zeroes: Reg<Bit>,
    odd: Reg<Bits<4>>,
    lower: Reg<Bits<7>>,
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
    // The completion: its beats to come, and dwords of others behind it.
    cpl_valid: Reg<Bit>,
    cpl_sop: Reg<Bit>,
    cpl_beats: Reg<Bits<4>>,
    zeros: Reg<Bits<11>>,
    /// Of a locked read.
    cpl_locked: Reg<Bit>,
    /// Traffic class and attributes.
    cpl_class: Reg<Bits<5>>,
    cpl_full: Reg<Bit>,
    cpl_len: Reg<Bits<6>>,
    cpl_status: Reg<Bits<3>>,
    cpl_count: Reg<Bits<12>>,
    cpl_whose: Reg<Bits<24>>,
    cpl_lower: Reg<Bits<7>>,
    cpl_data: Reg<Bits<64>>,
    unsupported: Reg<Bit>,
    parity: Reg<Bit>,
    // Unsupported, aborted, poisoned, answered.
    error: Reg<Bits<4>>,
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

/// Beats of so many dwords, at most 32.
#[kernel]
fn beats<const D: usize>(dwords: Bits<6>) -> Bits<4> {
    bit_cast::<4, 6>((dwords + lit::<6>(D / 32 - 1)) >> lit::<6>(clog2(D / 32)))
}

/// Bytes from the first enabled one to the last, of a read of one or two dwords, and where they begin.
#[kernel]
fn first_byte(be: Bits<4>) -> Bits<2> {
    if be.get_bit(0) || be == 0 {
        lit::<2>(0)
    } else {
        if be.get_bit(1) {
            lit::<2>(1)
        } else {
            if be.get_bit(2) {
                lit::<2>(2)
            } else {
                lit::<2>(3)
            }
        }
    }
}

/// One past the last enabled byte.
#[kernel]
fn end_byte(be: Bits<4>) -> Bits<4> {
    if be.get_bit(3) {
        lit::<4>(4)
    } else {
        if be.get_bit(2) {
            lit::<4>(3)
        } else {
            if be.get_bit(1) {
                lit::<4>(2)
            } else {
                lit::<4>(1)
            }
        }
    }
}

/// Of the Byte Count of a memory read (specification, table 2-38): bytes of its last dword, less those before the first; the others are
/// four a dword.
#[kernel]
fn odd_bytes(hdr: Bits<128>) -> Bits<4> {
    let first = hdr.get_bits::<4>(32);
    let last = hdr.get_bits::<4>(36);
    let one = hdr.get_bits::<10>(0) == 1;
    end_byte(if one { first } else { last }) - bit_cast::<4, 2>(first_byte(first))
}

/// Which parts of a memory request's address match: {BAR0, below 4 GB, BAR2's lower half, its upper half}.
#[kernel]
fn matches(hdr: Bits<128>, bar0: Bits<32>, bar2: Bits<64>, inside: Bits<64>) -> Bits<4> {
    let wide = hdr.get_bit(29);
    let high = if wide { hdr.get_bits::<32>(64) } else { lit::<32>(0) };
    let low = if wide { hdr.get_bits::<32>(96) } else { hdr.get_bits::<32>(64) };
    let to_bar0 = low.get_bits::<18>(14) == bar0.get_bits::<18>(14);
    let to_bar2 = (low & !inside.get_bits::<32>(0)) == bar2.get_bits::<32>(0);
    lit::<4>(0)
        .replace_bit(3, to_bar0)
        .replace_bit(2, high == 0)
        .replace_bit(1, to_bar2)
        .replace_bit(0, high == bar2.get_bits::<32>(32))
}

impl<const D: usize> Logic for Target<D> {
    /// Executes configuration and memory requests dword by dword.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; bus_dev, q_valid, q_np, q_first, q_bar0, q_bar2, left, first, at, open, np_first);
        registers!(self, clock, reset; seen, configures, config_write, memory, reads, zeroes, odd, lower, now, asked);
        registers!(self, clock, reset; cfg_valid, bar_valid, bus_write);
        registers!(self, clock; q_data, q_hdr, q_low, addr);
        registers!(self, clock, reset; line_valid);
        registers!(self, clock, reset; cpl_valid, cpl_sop, cpl_beats, zeros, cpl_locked, cpl_class, cpl_full);
        registers!(self, clock, reset; unsupported, parity, error);
        registers!(self, clock; bus_addr, bus_wdata, bus_be, line_addr, line_data, line_dwords, line_first, line_last, cpl_len, cpl_status,
            cpl_count, cpl_whose, cpl_lower, cpl_data, error_hdr);
        self.stat_unsupported.next = self.unsupported.q.val();
        self.stat_poisoned.next = self.parity.q.val();
        self.err_unsupported.next = self.error.q.val().get_bit(3);
        self.err_aborted.next = self.error.q.val().get_bit(2);
        self.err_poisoned.next = self.error.q.val().get_bit(1);
        self.err_answered.next = self.error.q.val().get_bit(0);
        self.err_hdr.next = self.error_hdr.q.val();
        self.bdf.next = self.bus_dev.q.val();

        // ---- A beat is taken, with what its header says. Beats that nothing waits for make room for the next at once.
        let valid = self.q_valid.q.val();
        let np = valid && self.q_np.q.val();
        let hdr = self.q_hdr.q.val();
        let poisoned = hdr.get_bit(14);
        let in_bar = self.q_bar0.q.val().all();
        let in_bar2 = self.q_bar2.q.val().all() && !in_bar;
        let ours = in_bar && !poisoned;
        let passes = valid && !self.q_np.q.val() && !ours;
        let free = !valid || passes;
        // In turn, where there is room for a completion; a write never waits for one to leave.
        let np_turn = !self.open.q.val()
            && !self.cpl_valid.q.val()
            && (!self.posted.valid.val() || self.np_first.q.val());
        let from_np = np_turn && self.np.valid.val();
        let take_np = free && from_np;
        let take_posted = free && !from_np && self.posted.valid.val();
        self.np.ready.next = free && np_turn;
        self.posted.ready.next = free && !from_np;

        let new = if from_np { self.np.hdr.val() } else { self.posted.hdr.val() };
        let wide = new.get_bit(29);
        let low = if wide { new.get_bits::<32>(96) } else { new.get_bits::<32>(64) };
        let bar2_mask = lit::<64>((1u64 << self._log_bar2) - 1);
        // Where a message goes is no address.
        let enabled = self.mem_enable.val() && !new.get_bit(28);
        // Both are held against the BARs, whichever is taken.
        let bar0 = self.bar0_base.val();
        let bar2 = self.bar2_base.val();
        let of_np = matches(self.np.hdr.val(), bar0, bar2, bar2_mask);
        let of_posted = matches(self.posted.hdr.val(), bar0, bar2, bar2_mask);
        let hits = if from_np { of_np } else { of_posted };
        let length = new.get_bits::<10>(0);
        let dwords = if length == 0 { lit::<11>(1024) } else { bit_cast::<11, 10>(length) };
        let starts = take_np || (take_posted && self.posted.sop.val());
        if free {
            self.q_valid.d.next = take_np || take_posted;
            self.q_np.d.next = take_np;
            self.q_first.d.next = starts;
            let word = if from_np {
                self.np.data.val().get_bits::<32>(0)
            } else {
                self.posted.data.val().get_bits::<32>(0)
            };
            self.q_data.d.next = self.posted.data.val().set_slice::<32>(0, word);
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
        self.line_first.d.next =
            if self.q_first.q.val() { hdr.get_bits::<4>(32) } else { lit::<4>(15) };
        self.line_last.d.next = if beat_last && hdr.get_bits::<10>(0) != 1 {
            hdr.get_bits::<4>(36)
        } else {
            lit::<4>(15)
        };
        let refused = passes && self.q_first.q.val() && !in_bar && !in_bar2;
        let broken = passes && self.q_first.q.val() && poisoned;

        // ---- A dword at a time to or from BAR0.
        let last = rest == 1;
        let be = if self.first.q.val() {
            hdr.get_bits::<4>(32)
        } else if last {
            hdr.get_bits::<4>(36)
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
            let shift = cat::<4, 5, 9>(self.at.q.val(), lit::<5>(0));
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
            self.q_bar0.d.next = if enabled { hits.get_bits::<2>(2) } else { lit::<2>(0) };
            self.q_bar2.d.next = if self._log_bar2 == 0 {
                lit::<2>(0)
            } else if enabled {
                hits.get_bits::<2>(0)
            } else {
                lit::<2>(0)
            };
            let inside = lit::<24>(0xff_fffc) & (bit_cast::<24, 64>(bar2_mask) | 0x3fff);
            self.addr.d.next = bit_cast::<24, 32>(low) & inside;
            self.left.d.next = dwords;
            self.first.d.next = true;
        }

        // ---- A non-posted request: what it is, a cycle later what becomes of it.
        let kind = hdr.get_bits::<8>(24);
        let is_write = kind == tlp::CFG_WR0;
        let is_memory = kind == tlp::MRD32 || kind == tlp::MRD64;
        // Never served, but its completion is of a kind of its own.
        let is_locked = hdr.get_bits::<5>(24) == 1;
        let sized = is_memory || is_locked;
        let asked_low = self.q_low.q.val();
        let few = hdr.get_bits::<10>(0) == 1 || hdr.get_bits::<10>(0) == 2;
        let to_128 = lit::<6>(32) - bit_cast::<6, 5>(asked_low.get_bits::<5>(2));
        self.seen.d.next = np;
        self.configures.d.next =
            (kind == tlp::CFG_RD0 || (is_write && !poisoned)) && asked_low.get_bits::<3>(16) == 0;
        self.config_write.d.next = is_write && self.q_np.q.val();
        self.memory.d.next = is_memory;
        self.reads.d.next = is_memory && in_bar && few;
        self.zeroes.d.next = is_memory && in_bar2;
        let lower = cat::<5, 2, 7>(asked_low.get_bits::<5>(2), first_byte(hdr.get_bits::<4>(32)));
        self.lower.d.next = if sized { lower } else { lit::<7>(0) };
        self.odd.d.next = if sized { odd_bytes(hdr) } else { lit::<4>(4) };
        if !self.seen.q.val() {
            self.now.d.next =
                if rest < bit_cast::<11, 6>(to_128) { bit_cast::<6, 11>(rest) } else { to_128 };
        }
        let serves = self.reads.q.val() || self.configures.q.val();
        let at_once = asks && !serves;
        if step_config && self.config_write.q.val() {
            self.bus_dev.d.next = asked_low.get_bits::<16>(16);
        }
        if np && (step || step_config) {
            self.asked.d.next = true;
        }
        // Without enabled bytes nothing was asked.
        let answered = np && self.asked.q.val() && bus_free;
        let rdata = if bar_answers {
            self.bar.rdata.val()
        } else if cfg_answers {
            self.cfg.rdata.val()
        } else {
            lit::<32>(0)
        };
        let both = hdr.get_bits::<10>(0) == 2 && self.reads.q.val();
        let done = at_once || (answered && (rest == 0 || self.configures.q.val()));
        if answered {
            self.asked.d.next = false;
            self.cpl_data.d.next = if both && rest == 0 {
                self.cpl_data.q.val().set_slice::<32>(32, rdata)
            } else {
                bit_cast::<64, 32>(rdata)
            };
        }
        if at_once {
            self.cpl_data.d.next = lit::<64>(0);
        }
        let declined = at_once && !self.zeroes.q.val();
        let aborts = declined && self.memory.q.val() && in_bar;
        let spoiled = declined && poisoned && hdr.get_bit(30);
        let ours_spoiled = spoiled && self.config_write.q.val() && asked_low.get_bits::<3>(16) == 0;
        self.unsupported.d.next = refused || declined;
        self.parity.d.next = broken || spoiled;
        let mut error = lit::<4>(0);
        error = error.replace_bit(3, refused || (declined && !aborts && !ours_spoiled));
        error = error.replace_bit(2, aborts);
        error = error.replace_bit(1, (broken && !refused) || ours_spoiled);
        error = error.replace_bit(0, declined && !spoiled);
        self.error.d.next = error;
        self.error_hdr.d.next = hdr;
        if done {
            self.q_valid.d.next = false;
            self.seen.d.next = false;
            self.cpl_valid.d.next = true;
            self.cpl_sop.d.next = true;
            self.cpl_class.d.next = cat::<3, 2, 5>(hdr.get_bits::<3>(20), hdr.get_bits::<2>(12));
            self.cpl_full.d.next = self.zeroes.q.val() || (serves && !self.config_write.q.val());
            self.cpl_locked.d.next = is_locked;
            self.cpl_len.d.next = if self.zeroes.q.val() {
                self.now.q.val()
            } else {
                bit_cast::<6, 2>(hdr.get_bits::<2>(0))
            };
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
            let signed = if odd.get_bit(3) { lit::<12>(0xff0) } else { lit::<12>(0) };
            let whole = if self.memory.q.val() || is_locked {
                (bit_cast::<12, 10>(hdr.get_bits::<10>(0)) << 2) - 4
            } else {
                lit::<12>(0)
            };
            self.cpl_count.d.next = whole + (signed | bit_cast::<12, 4>(odd));
            self.cpl_whose.d.next = hdr.get_bits::<24>(40);
            self.cpl_lower.d.next = self.lower.q.val();
        }

        // ---- Zeros beyond the first completion: from a multiple of 128 bytes on, without the host's writes waiting.
        let sent = self.cpl_len.q.val();
        let skipped = self.cpl_lower.q.val().get_bits::<2>(0);
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
                self.cpl_lower.d.next = lit::<7>(0);
            }
        }

        self.bar.valid.next = self.bar_valid.q.val();
        self.bar.write.next = self.bus_write.q.val();
        self.bar.addr.next = bit_cast::<16, 14>(self.bus_addr.q.val());
        self.bar.wdata.next = self.bus_wdata.q.val();
        self.bar.be.next = self.bus_be.q.val();
        self.cfg.valid.next = self.cfg_valid.q.val();
        self.cfg.write.next = self.bus_write.q.val();
        self.cfg.addr.next = bit_cast::<16, 12>(self.bus_addr.q.val().get_bits::<12>(0));
        self.cfg.wdata.next = self.bus_wdata.q.val();
        self.cfg.be.next = self.bus_be.q.val();

        let full = self.cpl_full.q.val();
        let class = self.cpl_class.q.val();
        let dw0 = lit::<32>(0)
            .set_slice::<8>(24, if full { lit::<8>(tlp::CPLD) } else { lit::<8>(tlp::CPL) })
            .replace_bit(24, self.cpl_locked.q.val())
            .set_slice::<3>(20, class.get_bits::<3>(2))
            .set_slice::<2>(12, class.get_bits::<2>(0))
            .set_slice::<6>(0, if full { self.cpl_len.q.val() } else { lit::<6>(0) });
        let state =
            cat::<3, 13, 16>(self.cpl_status.q.val(), bit_cast::<13, 12>(self.cpl_count.q.val()));
        let dw1 = cat::<16, 16, 32>(self.bus_dev.q.val(), state);
        let dw2 =
            cat::<24, 8, 32>(self.cpl_whose.q.val(), bit_cast::<8, 7>(self.cpl_lower.q.val()));
        self.cpl.valid.next = self.cpl_valid.q.val();
        self.cpl.sop.next = self.cpl_sop.q.val();
        self.cpl.eop.next = self.cpl_beats.q.val() == 1;
        self.cpl.hdr.next =
            cat::<64, 64, 128>(bit_cast::<64, 32>(dw2), cat::<32, 32, 64>(dw1, dw0));
        self.cpl.data.next = bit_cast::<D, 64>(self.cpl_data.q.val());

        self.line.valid.next = self.line_valid.q.val();
        self.line.addr.next = self.line_addr.q.val();
        self.line.data.next = self.line_data.q.val();
        self.line.dwords.next = self.line_dwords.q.val();
        self.line.first_be.next = self.line_first.q.val();
        self.line.last_be.next = self.line_last.q.val();
    }
}
