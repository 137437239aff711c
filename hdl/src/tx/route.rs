//! Reads what is between an IP header and TCP or UDP, for what makes the pseudo header another than
//! the IP header says.
//!
//! **Ports.** `start` comes with the place of the first byte, that of the L4 header (at most 256)
//! and which protocol: of IPv4 the options are read, of IPv6 its Next Header and all behind. `row`
//! asks for a beat of the frame, which is at `data` in the same cycle. `busy` falls when `refused`
//! is known, which then stays.
//!
//! **Refused** is what a checksum over the addresses of the IP header would be wrong for (RFC 8200,
//! 8.1: the final destination counts; RFC 6275: the home address; RFC 791: where a source route
//! ends), or over this frame alone:
//!
//! | header | what is refused |
//! |---|---|
//! | IPv6 | a routing header with segments left, a home address option |
//! | IPv6 | a jumbo payload option, a fragment |
//! | IPv4 | a loose or strict source route that is not used up |
//!
//! So is what the card can't read to its end: an IPv6 header other than those, hop-by-hop options
//! and destination options, or one that does not end where TCP or UDP begins; an IPv4 option of a
//! length that can't be, or that goes on where L4 begins.
//!
//! **Speed.** A byte a cycle: of IPv4 3 cycles and the options, of IPv6 37 and the extension
//! headers.

use super::lanes::*;
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Header {
    /// IPv6's own, from Next Header on.
    Base,
    /// Hop-by-hop or destination options, or those of IPv4.
    Options,
    Routing,
    Fragment,
    /// TCP or UDP.
    L4,
    /// Another.
    Other,
}

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Part {
    Type,
    Length,
    /// A source route's.
    Pointer,
    Value,
}

const HOP_BY_HOP: usize = 0;
const ROUTING: usize = 43;
const FRAGMENT: usize = 44;
const DESTINATION: usize = 60;
const TCP: usize = 6;
const UDP: usize = 17;
const JUMBO: usize = 0xc2;
const HOME_ADDRESS: usize = 0xc9;
const LOOSE: usize = 131;
const STRICT: usize = 137;
/// Of IPv6's header from Next Header on.
const BASE_LEN: usize = 34;

#[derive(LogicBlock, Default)]
pub struct TxRoute<const D: usize, const K: usize, const L: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub start: Signal<In, Bit>,
    pub from: Signal<In, Bits<10>>,
    pub l4: Signal<In, Bits<10>>,
    pub v6: Signal<In, Bit>,
    pub row: Signal<Out, Bits<4>>,
    pub data: Signal<In, Bits<D>>,
    pub busy: Signal<Out, Bit>,
    pub refused: Signal<Out, Bit>,
    reading: Reg<Bit>,
    at: Reg<Bits<10>>,
    end: Reg<Bits<10>>,
    is_v6: Reg<Bit>,
    // The byte in hand.
    valid: Reg<Bit>,
    last: Reg<Bit>,
    byte: Reg<Bits<8>>,
    // The header it is in: its place up to 4, bytes left with this one, what follows.
    kind: Reg<Header>,
    index: Reg<Bits<3>>,
    left: Reg<Bits<12>>,
    next: Reg<Header>,
    // The option it is in.
    part: Reg<Part>,
    routes: Reg<Bit>,
    value: Reg<Bits<8>>,
    /// IPv4's options are at their end.
    over: Reg<Bit>,
    bad: Reg<Bit>,
}

impl<const D: usize, const K: usize, const L: usize> Logic for TxRoute<D, K, L> {
    /// Looks for what makes a frame's pseudo header another than its IP header says.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; reading, valid, kind, index, next, part, bad);
        registers!(self, clock; at, end, is_v6, last, byte, left, routes, value, over);

        // ---- Bytes.
        let at = self.at.q.val();
        let data = self.data.val();
        self.row.next = bit_cast::<4, 10>(at >> lit::<10>(L));
        let ends = at + 1 == self.end.q.val();
        self.valid.d.next = self.reading.q.val();
        self.last.d.next = ends;
        self.byte.d.next = pick::<D, K>(data, lane::<K>(at));
        if self.reading.q.val() {
            self.at.d.next = at + 1;
            self.reading.d.next = !ends;
        }

        // ---- Headers of IPv6. IPv4's options are one of no end.
        let byte = self.byte.q.val();
        let v6 = self.is_v6.q.val();
        let kind = self.kind.q.val();
        let base = kind == Header::Base;
        let index = self.index.q.val();
        let left = self.left.q.val();
        let next = if index != 0 {
            self.next.q.val()
        } else if byte == lit::<8>(HOP_BY_HOP) || byte == lit::<8>(DESTINATION) {
            Header::Options
        } else if byte == lit::<8>(ROUTING) {
            Header::Routing
        } else if byte == lit::<8>(FRAGMENT) {
            Header::Fragment
        } else if byte == lit::<8>(TCP) || byte == lit::<8>(UDP) {
            Header::L4
        } else {
            Header::Other
        };
        let closes = index.any() && left == 1 && v6;
        let mut bad = false;
        let mut part = self.part.q.val();
        let mut over = self.over.q.val();
        if self.valid.q.val() {
            if index < 4 {
                self.index.d.next = index + 1;
            }
            self.next.d.next = next;
            self.left.d.next = left - 1;
            if index == 1 && !base {
                // In units of 8 bytes without the first, but for a fragment's header, which has no
                // more.
                self.left.d.next = if kind == Header::Fragment {
                    lit::<12>(6)
                } else {
                    (bit_cast::<12, 8>(byte) << lit::<12>(3)) + 6
                };
            }
            if kind == Header::Routing && index == 3 {
                bad = byte.any();
            }
            if kind == Header::Fragment {
                // Its place, and whether there are more.
                bad = (index == 2 && byte.any()) || (index == 3 && (byte & lit::<8>(0xf9)).any());
            }
            if kind == Header::Options && (index >= 2 || !v6) {
                match self.part.q.val() {
                    Part::Type => {
                        let pad = if v6 { !byte.any() } else { byte == 1 };
                        self.routes.d.next =
                            !v6 && (byte == lit::<8>(LOOSE) || byte == lit::<8>(STRICT));
                        over = over || (!v6 && !byte.any());
                        bad = v6 && (byte == lit::<8>(HOME_ADDRESS) || byte == lit::<8>(JUMBO));
                        if !pad {
                            part = Part::Length;
                        }
                    }
                    Part::Length => {
                        self.value.d.next = if v6 { byte } else { byte - 2 };
                        let none = if v6 { !byte.any() } else { byte == 2 };
                        // IPv4's counts type and length.
                        let short = !v6 && (byte < 2 || (self.routes.q.val() && byte == 2));
                        bad = short;
                        part = if none {
                            Part::Type
                        } else if self.routes.q.val() {
                            Part::Pointer
                        } else {
                            Part::Value
                        };
                    }
                    Part::Pointer => {
                        // Beyond the option there is nothing left of the route.
                        bad = bit_cast::<9, 8>(byte) < bit_cast::<9, 8>(self.value.q.val()) + 3;
                        self.value.d.next = self.value.q.val() - 1;
                        part = if self.value.q.val() == 1 { Part::Type } else { Part::Value };
                    }
                    Part::Value => {
                        self.value.d.next = self.value.q.val() - 1;
                        if self.value.q.val() == 1 {
                            part = Part::Type;
                        }
                    }
                }
            }
            if closes {
                self.kind.d.next = next;
                self.index.d.next = lit::<3>(0);
                part = Part::Type;
            }
            // L4 begins behind the last byte, and nowhere before.
            let arrives = closes && next == Header::L4;
            if v6 && (arrives != self.last.q.val() || kind == Header::Other) {
                bad = true;
            }
            if !v6 && self.last.q.val() && part != Part::Type && !over {
                bad = true;
            }
            self.bad.d.next = self.bad.q.val() || (bad && !self.over.q.val());
        }
        self.part.d.next = part;
        self.over.d.next = over;

        // ---- From the beginning.
        if self.start.val() {
            let v6 = self.v6.val();
            self.reading.d.next = true;
            self.at.d.next = self.from.val();
            self.end.d.next = self.l4.val();
            self.is_v6.d.next = v6;
            self.kind.d.next = if v6 { Header::Base } else { Header::Options };
            self.index.d.next = lit::<3>(0);
            self.left.d.next = lit::<12>(BASE_LEN);
            self.part.d.next = Part::Type;
            self.routes.d.next = false;
            self.over.d.next = false;
            self.bad.d.next = false;
        }
        self.busy.next = self.reading.q.val() || self.valid.q.val();
        self.refused.next = self.bad.q.val();
    }
}
