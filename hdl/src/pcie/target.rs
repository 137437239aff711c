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
//! | poisoned write | dropped, `stat_poisoned`; to configuration space unsupported request too |
//!
//! Refusals and aborts pulse `stat_unsupported`. A posted write waits for the register buses only, never for the upstream direction: a
//! non-posted request is taken only when its completion has room, and after all writes on offer.
//!
//! From a request to its bus 1 cycle, from a bus's answer to `cpl` 1. A write of one dword occupies the block for 2 cycles if the bus
//! answers at once; one to BAR2 as many as it has beats. Nothing is held but one request and one completion: further requests wait in `pcie/rx`.

use super::tlp;
use crate::common::iface::*;
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum TargetState {
    Idle,
    Write,
    Read,
    Config,
    /// The rest of a write to BAR2.
    Lines,
}

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
    state: Reg<TargetState>,
    bus_dev: Reg<Bits<16>>,
    // The request at hand.
    hdr: Reg<Bits<128>>,
    addr: Reg<Bits<16>>,
    left: Reg<Bits<11>>,
    first: Reg<Bit>,
    data: Reg<Bits<D>>,
    /// Dwords of `data` not yet written.
    held: Reg<Bits<5>>,
    /// The TLP's last beat is in `data`.
    ended: Reg<Bit>,
    ours: Reg<Bit>,
    /// A write was taken since the last non-posted request.
    np_first: Reg<Bit>,
    write: Reg<Bit>,
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
    cpl_hdr: Reg<Bits<128>>,
    cpl_data: Reg<Bits<64>>,
    unsupported: Reg<Bit>,
    malformed: Reg<Bit>,
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

/// Byte Count of a memory read, modulo 4096: specification, table 2-38.
#[kernel]
fn byte_count(hdr: Bits<128>) -> Bits<12> {
    let first = hdr.get_bits::<4>(32);
    let last = hdr.get_bits::<4>(36);
    let start = bit_cast::<12, 2>(first_byte(first));
    if hdr.get_bits::<10>(0) == 1 {
        bit_cast::<12, 4>(end_byte(first)) - start
    } else {
        let dwords = bit_cast::<12, 10>(hdr.get_bits::<10>(0));
        (dwords << 2) - 4 + bit_cast::<12, 4>(end_byte(last)) - start
    }
}

#[kernel]
fn completion(
    hdr: Bits<128>,
    bdf: Bits<16>,
    status: Bits<3>,
    data: Bit,
    lower: Bits<7>,
    count: Bits<12>,
) -> Bits<128> {
    let kind = if data { lit::<8>(tlp::CPLD) } else { lit::<8>(tlp::CPL) };
    // Traffic class and attributes come back as they came.
    let dw0 = cat::<8, 24, 32>(kind, hdr.get_bits::<24>(0) & lit::<24>(0x70_30ff));
    let dw0 = if data { dw0 } else { dw0 & lit::<32>(0xffff_fc00u32) };
    let dw1 = cat::<16, 16, 32>(bdf, cat::<3, 13, 16>(status, bit_cast::<13, 12>(count)));
    let dw2 = cat::<24, 8, 32>(hdr.get_bits::<24>(40), bit_cast::<8, 7>(lower));
    cat::<64, 64, 128>(bit_cast::<64, 32>(dw2), cat::<32, 32, 64>(dw1, dw0))
}

impl<const D: usize> Logic for Target<D> {
    /// Executes configuration and memory requests dword by dword.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; state, bus_dev, hdr, addr, left, first, data, held, ended, ours, np_first, write);
        registers!(self, clock, reset; cpl_valid, cpl_sop, cpl_beats, zeros, cpl_hdr, cpl_data, unsupported, malformed);
        registers!(self, clock, reset; line_valid, line_addr, line_data, line_dwords, line_first, line_last);
        let idle = self.state.q.val() == TargetState::Idle;
        self.unsupported.d.next = false;
        self.malformed.d.next = false;
        self.stat_unsupported.next = self.unsupported.q.val();
        self.stat_poisoned.next = self.malformed.q.val();
        self.bdf.next = self.bus_dev.q.val();

        let hdr = self.hdr.q.val();
        let write_state = self.state.q.val() == TargetState::Write;
        let more = write_state && self.held.q.val() == 0 && !self.ended.q.val();
        let lines = self.state.q.val() == TargetState::Lines;
        let room = !self.cpl_valid.q.val();
        // In turn, where there is room for a completion; a write never waits for one to leave.
        let np_may = idle && room && (!self.posted.valid.val() || self.np_first.q.val());
        let take_np = np_may && self.np.valid.val();
        self.posted.ready.next = (idle && !take_np) || more || lines;
        self.np.ready.next = np_may;
        // Zeros beyond the first completion: from a multiple of 128 bytes on, without the host's writes waiting.
        let sent = self.cpl_hdr.q.val().get_bits::<6>(0);
        let skipped = self.cpl_hdr.q.val().get_bits::<2>(64);
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
                self.cpl_hdr.d.next = self
                    .cpl_hdr
                    .q
                    .val()
                    .set_slice::<6>(0, again)
                    .set_slice::<12>(32, self.cpl_hdr.q.val().get_bits::<12>(32) - gone)
                    .set_slice::<7>(64, lit::<7>(0));
            }
        }

        let beat_dwords = lit::<11>(D / 32);
        let posted_start = idle && !take_np && self.posted.valid.val();
        let new = if posted_start { self.posted.hdr.val() } else { self.np.hdr.val() };
        let wide = new.get_bit(29);
        let high = if wide { new.get_bits::<32>(64) } else { lit::<32>(0) };
        let low = if wide { new.get_bits::<32>(96) } else { new.get_bits::<32>(64) };
        let in_bar = self.mem_enable.val()
            && high == 0
            && low.get_bits::<18>(14) == self.bar0_base.val().get_bits::<18>(14);
        let bar2_mask = lit::<64>((1u64 << self._log_bar2) - 1);
        let in_bar2 = if self._log_bar2 == 0 {
            false
        } else {
            self.mem_enable.val()
                && !in_bar
                && (cat::<32, 32, 64>(high, low) & !bar2_mask) == self.bar2_base.val()
        };
        let length = new.get_bits::<10>(0);
        let dwords = if length == 0 { lit::<11>(1024) } else { bit_cast::<11, 10>(length) };
        let lower = cat::<5, 2, 7>(low.get_bits::<5>(2), first_byte(new.get_bits::<4>(32)));
        let poisoned = new.get_bit(14);
        if posted_start || take_np {
            self.hdr.d.next = new;
            self.left.d.next = dwords;
            self.first.d.next = true;
        }
        // ---- A beat for BAR2.
        let streams = posted_start && in_bar2 && !poisoned;
        let rest = self.left.q.val();
        self.line_valid.d.next = streams || (lines && self.posted.valid.val());
        self.line_data.d.next = self.posted.data.val();
        let beat_left = if lines { rest } else { dwords };
        let beat_last = beat_left <= beat_dwords;
        self.line_dwords.d.next =
            if beat_last { bit_cast::<5, 11>(beat_left) } else { lit::<5>(D / 32) };
        if lines {
            self.line_addr.d.next = self.line_addr.q.val() + lit::<24>(D / 8);
            self.line_first.d.next = lit::<4>(15);
            self.line_last.d.next = if beat_last { hdr.get_bits::<4>(36) } else { lit::<4>(15) };
            if !self.posted.valid.val() {
                self.line_addr.d.next = self.line_addr.q.val();
            }
        } else {
            self.line_addr.d.next =
                bit_cast::<24, 32>(low & bit_cast::<32, 64>(bar2_mask)) & 0xff_fffc;
            self.line_first.d.next = new.get_bits::<4>(32);
            self.line_last.d.next =
                if beat_last && length != 1 { new.get_bits::<4>(36) } else { lit::<4>(15) };
        }
        if lines && self.posted.valid.val() {
            self.left.d.next = rest - beat_dwords;
            if self.posted.eop.val() {
                self.state.d.next = TargetState::Idle;
            }
        }
        if posted_start {
            self.np_first.d.next = true;
            self.state.d.next = TargetState::Write;
            self.addr.d.next = bit_cast::<16, 14>(low.get_bits::<14>(0)) & 0xfffc;
            self.data.d.next = self.posted.data.val();
            self.held.d.next =
                if dwords > beat_dwords { lit::<5>(D / 32) } else { bit_cast::<5, 11>(dwords) };
            self.ended.d.next = self.posted.eop.val();
            // What is not ours is walked without effect.
            self.ours.d.next = in_bar && !poisoned;
            self.unsupported.d.next = !in_bar && !in_bar2;
            self.malformed.d.next = poisoned;
            if streams {
                self.left.d.next = dwords - beat_dwords;
                self.state.d.next =
                    if self.posted.eop.val() { TargetState::Idle } else { TargetState::Lines };
            }
        }
        if take_np {
            // Not with a write: a completion may still wait.
            self.cpl_data.d.next = lit::<64>(0);
            self.cpl_sop.d.next = true;
            self.cpl_beats.d.next = lit::<4>(1);
            self.zeros.d.next = lit::<11>(0);
            self.np_first.d.next = false;
            let kind = new.get_bits::<8>(24);
            let config_write = kind == tlp::CFG_WR0;
            let config =
                (kind == tlp::CFG_RD0 || (config_write && !poisoned)) && low.get_bits::<3>(16) == 0;
            let memory = kind == tlp::MRD32 || kind == tlp::MRD64;
            self.data.d.next = self.np.data.val();
            self.write.d.next = config_write;
            self.malformed.d.next = config_write && poisoned;
            if config {
                self.addr.d.next = bit_cast::<16, 12>(low.get_bits::<12>(0) & 0xffc);
                self.state.d.next = TargetState::Config;
                if config_write {
                    self.bus_dev.d.next = low.get_bits::<16>(16);
                }
            } else {
                if memory && in_bar && dwords <= 2 {
                    self.addr.d.next = bit_cast::<16, 14>(low.get_bits::<14>(0)) & 0xfffc;
                    self.state.d.next = TargetState::Read;
                } else if memory && in_bar2 {
                    let to_128 = lit::<6>(32) - bit_cast::<6, 5>(low.get_bits::<5>(2));
                    let now = if dwords < bit_cast::<11, 6>(to_128) {
                        bit_cast::<6, 11>(dwords)
                    } else {
                        to_128
                    };
                    self.cpl_valid.d.next = true;
                    self.cpl_beats.d.next = beats::<D>(now);
                    self.zeros.d.next = dwords - bit_cast::<11, 6>(now);
                    self.cpl_hdr.d.next = completion(
                        new.set_slice::<10>(0, bit_cast::<10, 6>(now)),
                        self.bus_dev.q.val(),
                        lit::<3>(tlp::SC),
                        true,
                        lower,
                        byte_count(new),
                    );
                } else {
                    let aborted = memory && in_bar;
                    self.cpl_valid.d.next = true;
                    self.cpl_hdr.d.next = completion(
                        new,
                        self.bus_dev.q.val(),
                        if aborted { lit::<3>(tlp::CA) } else { lit::<3>(tlp::UR) },
                        false,
                        if memory { lower } else { lit::<7>(0) },
                        if memory { byte_count(new) } else { lit::<12>(4) },
                    );
                    self.unsupported.d.next = true;
                }
            }
        }

        // The dword at hand.
        let last = self.left.q.val() == 1;
        let be = if self.first.q.val() {
            hdr.get_bits::<4>(32)
        } else {
            if last {
                hdr.get_bits::<4>(36)
            } else {
                lit::<4>(15)
            }
        };
        let write_now = write_state && self.held.q.val() != 0;
        let skip = !self.ours.q.val() || be == 0;
        let read_state = self.state.q.val() == TargetState::Read;
        self.bar.valid.next = (write_now && !skip) || (read_state && be != 0);
        self.bar.write.next = write_state;
        self.bar.addr.next = self.addr.q.val();
        self.bar.wdata.next = self.data.q.val().get_bits::<32>(0);
        self.bar.be.next = be;
        self.cfg.valid.next = self.state.q.val() == TargetState::Config;
        self.cfg.write.next = self.write.q.val();
        self.cfg.addr.next = self.addr.q.val();
        self.cfg.wdata.next = self.data.q.val().get_bits::<32>(0);
        self.cfg.be.next = hdr.get_bits::<4>(32);

        let step = write_now && (skip || self.bar.ready.val());
        if step {
            self.held.d.next = self.held.q.val() - 1;
            self.left.d.next = self.left.q.val() - 1;
            self.addr.d.next = self.addr.q.val() + 4;
            self.data.d.next = self.data.q.val() >> 32;
            self.first.d.next = false;
        }
        if step && self.ended.q.val() && self.held.q.val() == 1 {
            self.state.d.next = TargetState::Idle;
        }
        if more && self.posted.valid.val() {
            self.data.d.next = self.posted.data.val();
            self.held.d.next = if self.left.q.val() > beat_dwords {
                lit::<5>(D / 32)
            } else {
                bit_cast::<5, 11>(self.left.q.val())
            };
            self.ended.d.next = self.posted.eop.val();
        }

        if read_state && (be == 0 || self.bar.ready.val()) {
            let rdata = if be == 0 { lit::<32>(0) } else { self.bar.rdata.val() };
            let lower = cat::<5, 2, 7>(self.addr.q.val().get_bits::<5>(2), lit::<2>(0))
                | bit_cast::<7, 2>(first_byte(hdr.get_bits::<4>(32)));
            if self.first.q.val() {
                self.cpl_hdr.d.next = completion(
                    hdr,
                    self.bus_dev.q.val(),
                    lit::<3>(tlp::SC),
                    true,
                    lower,
                    byte_count(hdr),
                );
                self.cpl_data.d.next = bit_cast::<64, 32>(rdata);
            } else {
                self.cpl_data.d.next = self.cpl_data.q.val().set_slice::<32>(32, rdata);
            }
            self.first.d.next = false;
            self.left.d.next = self.left.q.val() - 1;
            self.addr.d.next = self.addr.q.val() + 4;
            if last {
                self.cpl_valid.d.next = true;
                self.state.d.next = TargetState::Idle;
            }
        }
        if self.state.q.val() == TargetState::Config && self.cfg.ready.val() {
            self.cpl_hdr.d.next = completion(
                hdr,
                self.bus_dev.q.val(),
                lit::<3>(tlp::SC),
                !self.write.q.val(),
                lit::<7>(0),
                lit::<12>(4),
            );
            self.cpl_data.d.next = bit_cast::<64, 32>(self.cfg.rdata.val());
            self.cpl_valid.d.next = true;
            self.state.d.next = TargetState::Idle;
        }

        self.cpl.valid.next = self.cpl_valid.q.val();
        self.cpl.sop.next = self.cpl_sop.q.val();
        self.cpl.eop.next = self.cpl_beats.q.val() == 1;
        self.cpl.hdr.next = self.cpl_hdr.q.val();
        self.cpl.data.next = bit_cast::<D, 64>(self.cpl_data.q.val());

        self.line.valid.next = self.line_valid.q.val();
        self.line.addr.next = self.line_addr.q.val();
        self.line.data.next = self.line_data.q.val();
        self.line.dwords.next = self.line_dwords.q.val();
        self.line.first_be.next = self.line_first.q.val();
        self.line.last_be.next = self.line_last.q.val();
    }
}
