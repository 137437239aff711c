//! The transmit side: one stream of TLPs from completions, posted writes and reads, within the
//! link's credits.
//!
//! | port | what |
//! |---|---|
//! | `cpl`, `inline`, `payload` | TLPs with data; one of `inline_privileged` passes a flush |
//! | `np` | memory reads, headers alone |
//! | `message_*` | error messages: see [super::errors]; `requester` is who sends them |
//! | `link` | to the link layer |
//! | `fc_ph`, `fc_pd` | cumulative limits of posted headers and data; a data credit is 16 bytes |
//! | `fc_nph` | the same of non-posted headers |
//! | `fc_cplh`, `fc_cpld` | the same of completions' headers and data |
//! | `fc_cpl_infinite` | [Infinite]: a root port sets no limit to completions; a switch may |
//! | `flush`, `bus_master` | see below |
//! | `idle` | during `flush`: no DMA can follow |
//!
//! The block takes a TLP whole, and only with its credits. TLPs leave in the order in which they
//! were taken, across all inputs. So a completion never passes a posted write taken before it. A
//! completion taken later is not held up by writes that wait for credits. Reads and completions
//! without credits block nobody. The turn goes round, and no input starves. A posted TLP without
//! credits that has its turn is not passed by the other posted input: small TLPs do not eat a large
//! one's credits.
//!
//! **Speed.** A beat leaves 1 cycle after it was taken, one a cycle, without a gap between TLPs of
//! one input or of several. An idle input is granted in the cycle after it is seen. While fewer
//! credits are left than three of the largest TLPs need (3 headers, 96 data; 24 data for
//! completions, of 128 bytes at most), the block looks at a header before it grants, which costs
//! two cycles a TLP. While `link` stalls the block holds two beats and the inputs wait. With
//! `small` the output takes a beat in two cycles, enough for gigabits. Every `ready` follows from
//! registers, `flush` and `bus_master` alone. Limits of posted TLPs and reads never count as
//! infinite: who grants infinite credits keeps them ahead.
//!
//! `press`: frames from the wire pile up. Reads then go only when `payload` does not, but one after
//! eight of its TLPs at the latest: the wire can't wait, and frames to send can.
//!
//! A message is rare and goes first, as soon as a TLP ends and there is a posted header's credit.
//! After a message, a posted TLP that waits goes before the next one. `flush` and `bus_master` do
//! not concern messages. A message costs a cycle besides its own.
//!
//! `flush`: the block drops a DMA TLP whose first beat it takes while `flush` is high, unless the
//! TLP is privileged. TLPs taken before are sent to their end. While `bus_master` is low posted
//! TLPs wait, and the block drops a read that it takes. The read engine sees the same two signals
//! in the same cycle, so it knows of each read whether it was sent. Completions go on in both
//! cases. The block drops beats without `sop` where a TLP should begin: the rest of a TLP whose
//! source was reset during a flush. When `flush` falls DMA sources offer nothing older.

use super::tlp::{self, HeaderSnk};
use crate::common::iface::*;
use crate::common::skid::Skid;
use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct TlpTx<const D: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub cpl: TlpSnk<D>,
    pub inline: TlpSnk<D>,
    pub inline_privileged: Signal<In, Bit>,
    pub payload: TlpSnk<D>,
    pub np: HeaderSnk,
    pub message_valid: Signal<In, Bit>,
    pub message: Signal<In, Bits<2>>,
    pub message_ready: Signal<Out, Bit>,
    pub requester: Signal<In, Bits<16>>,
    pub link: TlpSrc<D>,
    pub fc_ph: Signal<In, Bits<8>>,
    pub fc_pd: Signal<In, Bits<12>>,
    pub fc_nph: Signal<In, Bits<8>>,
    pub fc_cplh: Signal<In, Bits<8>>,
    pub fc_cpld: Signal<In, Bits<12>>,
    pub fc_cpl_infinite: Signal<In, Bits<2>>,
    pub flush: Signal<In, Bit>,
    pub bus_master: Signal<In, Bit>,
    pub press: Signal<In, Bit>,
    pub idle: Signal<Out, Bit>,
    pub stat_write: Signal<Out, Bit>,
    pub stat_completion: Signal<Out, Bit>,
    // The limits, a cycle late.
    limit_ph: Reg<Bits<8>>,
    limit_pd: Reg<Bits<12>>,
    limit_nph: Reg<Bits<8>>,
    limit_cplh: Reg<Bits<8>>,
    limit_cpld: Reg<Bits<12>>,
    // Credits spent.
    ph: Reg<Bits<8>>,
    pd: Reg<Bits<12>>,
    nph: Reg<Bits<8>>,
    cplh: Reg<Bits<8>>,
    cpld: Reg<Bits<12>>,
    // The input whose beats are taken, if any; its number.
    turn: Reg<Turn>,
    grant: Reg<Bits<2>>,
    /// The grant was for a TLP to drop, without a look at credits.
    bare: Reg<Bit>,
    /// The granted input's TLP has begun.
    mid: Reg<Bit>,
    /// A message is next, so no input has the grant.
    says: Reg<Bit>,
    /// No other posted TLP has gone since the last message.
    said_last: Reg<Bit>,
    /// The posted input that goes next when both wait: 1 for `payload`.
    owed: Reg<Bit>,
    /// TLPs of `payload` that a read has let pass.
    yielded: Reg<Bits<3>>,
    beats: Skid<Bits<D>>,
    sides: Skid<tlp::Side>,
    stat: Reg<TxStats>,
    // A cycle ago there were credits for any three posted TLPs, for three reads, for one read.
    plenty: Reg<Bit>,
    plenty_reads: Reg<Bit>,
    read_fits: Reg<Bit>,
    // There were credits for the TLP on offer a cycle ago; no posted TLP can have begun since
    // (`quiet`).
    message_fits: Reg<Bit>,
    inline_fits: Reg<Bit>,
    payload_fits: Reg<Bit>,
    quiet: Reg<Bit>,
    // The same for completions.
    plenty_cpl: Reg<Bit>,
    cpl_fits: Reg<Bit>,
    cpl_quiet: Reg<Bit>,
    /// A beat is on its way to the output.
    pushed: Reg<Bit>,
}

impl<const D: usize> TlpTx<D> {
    pub fn new(small: bool) -> Self {
        Self { beats: Skid::new(small), sides: Skid::new(small), ..Self::default() }
    }
}

const CPL: u64 = 0;
const INLINE: u64 = 1;
const PAYLOAD: u64 = 2;
const READ: u64 = 3;

/// A bit for each input, by its number.
#[record]
pub struct Turn {
    cpl: Bit,
    inline: Bit,
    payload: Bit,
    read: Bit,
}

/// An input's number.
#[record]
pub struct Number {
    low: Bit,
    high: Bit,
}

/// Completions whose credits have no limit.
#[record]
pub struct Infinite {
    headers: Bit,
    data: Bit,
}

#[record]
pub struct TxStats {
    write: Bit,
    completion: Bit,
}

/// Data credits of a TLP: 16 bytes each.
#[kernel]
fn data_credits(hdr: Bits<128>) -> Bits<12> {
    let dwords = tlp::dwords(tlp::Request::from_bits(hdr).dw0.length);
    (bit_cast::<12, 11>(dwords) + 3) >> 2
}

/// The same of a completion, which may have none.
#[kernel]
fn completion_credits(hdr: Bits<128>) -> Bits<12> {
    if tlp::Request::from_bits(hdr).dw0.format.with_data {
        data_credits(hdr)
    } else {
        lit::<12>(0)
    }
}

/// `required` more fit below `limit`: specification, section 2.6.1.2.
#[kernel]
fn fits<const N: usize>(limit: Bits<N>, sent: Bits<N>, required: Bits<N>) -> Bit {
    !(limit - (sent + required)).get_bit(N - 1)
}

/// At least one is left; a difference with its top bit set is less than none.
#[kernel]
fn any_left<const N: usize>(left: Bits<N>) -> Bit {
    left.any() && !left.get_bit(N - 1)
}

/// At least 3 * 2^K are left.
#[kernel]
fn enough<const N: usize, const K: usize>(left: Bits<N>) -> Bit {
    let units = left >> lit::<4>(K);
    !left.get_bit(N - 1) && ((units >> 2).any() || (units & 3) == 3)
}

impl<const D: usize> Logic for TlpTx<D> {
    /// Merges completions, posted writes and reads within the link's credits.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; limit_ph, limit_pd, limit_nph, limit_cplh, limit_cpld);
        registers!(self, clock, reset; ph, pd, nph, cplh, cpld, turn, grant, bare, mid, says);
        registers!(self, clock, reset; said_last, owed, yielded, stat, plenty, plenty_reads);
        registers!(self, clock, reset; read_fits, message_fits, inline_fits, payload_fits, quiet);
        registers!(self, clock, reset; plenty_cpl, cpl_fits, cpl_quiet, pushed);
        clocked!(self, clock, reset; beats, sides);
        let flush = self.flush.val();
        let dma = self.bus_master.val();
        self.limit_ph.d.next = self.fc_ph.val();
        self.limit_pd.d.next = self.fc_pd.val();
        self.limit_nph.d.next = self.fc_nph.val();
        self.limit_cplh.d.next = self.fc_cplh.val();
        self.limit_cpld.d.next = self.fc_cpld.val();

        // The granted input's beat.
        let grant = self.grant.q.val();
        let room = self.sides.in_ready.val();
        let turn = self.turn.q.val();
        let posted_goes = !self.bare.q.val() || flush;
        // The read may have been granted while credits did not matter.
        let read_goes = flush || !dma || self.read_fits.q.val();
        let cpl_open = room && turn.cpl;
        let inline_open = room && turn.inline && posted_goes;
        let payload_open = room && turn.payload && posted_goes;
        let read_open = room && turn.read && read_goes;
        self.cpl.ready.next = cpl_open;
        self.inline.ready.next = inline_open;
        self.payload.ready.next = payload_open;
        self.np.ready.next = read_open;
        let sop = match grant {
            CPL => self.cpl.sop.val(),
            INLINE => self.inline.sop.val(),
            PAYLOAD => self.payload.sop.val(),
            _ => true,
        };
        let eop = match grant {
            CPL => self.cpl.eop.val(),
            INLINE => self.inline.eop.val(),
            PAYLOAD => self.payload.eop.val(),
            _ => true,
        };
        let hdr = match grant {
            CPL => self.cpl.hdr.val(),
            INLINE => self.inline.hdr.val(),
            PAYLOAD => self.payload.hdr.val(),
            _ => self.np.hdr.val(),
        };
        let data = match grant {
            CPL => self.cpl.data.val(),
            INLINE => self.inline.data.val(),
            PAYLOAD => self.payload.data.val(),
            _ => lit::<D>(0),
        };
        let unwanted = match grant {
            CPL => false,
            INLINE => flush && !self.inline_privileged.val(),
            PAYLOAD => flush,
            _ => flush || !dma,
        };
        let drop = !self.mid.q.val() && (unwanted || !sop);
        let posted = grant == INLINE || grant == PAYLOAD;
        let take = (cpl_open && self.cpl.valid.val())
            || (inline_open && self.inline.valid.val())
            || (payload_open && self.payload.valid.val())
            || (read_open && self.np.valid.val());
        let push = take && !drop;
        let begin = push && !self.mid.q.val();
        let says = self.says.q.val();
        let said = says && room && self.message_valid.val();
        self.message_ready.next = says && room;
        self.beats.in_valid.next = push || said;
        self.beats.in_data.next = data;
        self.sides.in_valid.next = push || said;
        self.sides.in_data.next = if says {
            let hdr = tlp::error_message(self.requester.val(), self.message.val());
            tlp::Side { hdr, sop: true, eop: true }
        } else {
            tlp::Side { hdr, sop, eop }
        };
        if push {
            self.mid.d.next = !eop;
        }
        if said {
            self.ph.d.next = self.ph.q.val() + 1;
            self.said_last.d.next = true;
        } else if take && (grant == INLINE || grant == PAYLOAD) {
            self.said_last.d.next = false;
        }
        if begin && posted {
            self.ph.d.next = self.ph.q.val() + 1;
            self.pd.d.next = self.pd.q.val() + data_credits(hdr);
            self.owed.d.next = grant == INLINE;
        }
        if begin && grant == PAYLOAD && self.yielded.q.val() != 7 {
            self.yielded.d.next = self.yielded.q.val() + 1;
        }
        if grant == READ || !self.press.val() {
            self.yielded.d.next = lit::<3>(0);
        }
        if begin && grant == READ {
            self.nph.d.next = self.nph.q.val() + 1;
        }
        if begin && grant == CPL {
            self.cplh.d.next = self.cplh.q.val() + 1;
            self.cpld.d.next = self.cpld.q.val() + completion_credits(hdr);
        }

        // Credits left, for the next cycle: of three, one is for a TLP that may begin in this
        // cycle, one for the next.
        let left_ph = self.limit_ph.q.val() - self.ph.q.val();
        let left_pd = self.limit_pd.q.val() - self.pd.q.val();
        let left_nph = self.limit_nph.q.val() - self.nph.q.val();
        self.plenty.d.next = enough::<8, 0>(left_ph) && enough::<12, 5>(left_pd);
        self.plenty_reads.d.next = enough::<8, 0>(left_nph);
        let some_nph = any_left::<8>(left_nph);
        let one_nph = left_nph == 1;
        let read_begins = room && turn.read;
        self.read_fits.d.next = some_nph && !(one_nph && read_begins && self.read_fits.q.val());
        let posted_turn = turn.inline || turn.payload || says;
        let posted_begins = posted_turn && !self.mid.q.val();
        self.quiet.d.next = !posted_begins;
        let some_ph = any_left::<8>(left_ph);
        self.message_fits.d.next = some_ph;
        self.inline_fits.d.next = self.inline.valid.val()
            && self.inline.sop.val()
            && some_ph
            && fits::<12>(
                self.limit_pd.q.val(),
                self.pd.q.val(),
                data_credits(self.inline.hdr.val()),
            );
        self.payload_fits.d.next = self.payload.valid.val()
            && self.payload.sop.val()
            && some_ph
            && fits::<12>(
                self.limit_pd.q.val(),
                self.pd.q.val(),
                data_credits(self.payload.hdr.val()),
            );
        let left_cplh = self.limit_cplh.q.val() - self.cplh.q.val();
        let left_cpld = self.limit_cpld.q.val() - self.cpld.q.val();
        let infinite = Infinite::from_bits(self.fc_cpl_infinite.val());
        let any_cplh = infinite.headers;
        let any_cpld = infinite.data;
        self.plenty_cpl.d.next =
            (any_cplh || enough::<8, 0>(left_cplh)) && (any_cpld || enough::<12, 3>(left_cpld));
        let cpl_begins = turn.cpl && !self.mid.q.val();
        self.cpl_quiet.d.next = !cpl_begins;
        self.cpl_fits.d.next = self.cpl.valid.val()
            && self.cpl.sop.val()
            && (any_cplh || (any_left::<8>(left_cplh)))
            && (any_cpld
                || fits::<12>(
                    self.limit_cpld.q.val(),
                    self.cpld.q.val(),
                    completion_credits(self.cpl.hdr.val()),
                ));

        // The inputs that may begin a TLP in the next cycle: with `plenty` any, else those whose
        // header has been looked at.
        let plenty = self.plenty.q.val();
        let plenty_reads = self.plenty_reads.q.val();
        let seen = self.quiet.q.val() && !posted_begins;
        let inline_first = self.inline.valid.val() && !self.owed.q.val();
        let payload_first = self.payload.valid.val() && self.owed.q.val();
        let inline_may = dma && (plenty || (seen && self.inline_fits.q.val() && !payload_first));
        let payload_may = dma && (plenty || (seen && self.payload_fits.q.val() && !inline_first));
        let drop_inline = !self.inline.sop.val() || (flush && !self.inline_privileged.val());
        let may_inline = self.inline.valid.val() && (drop_inline || inline_may);
        let may_payload =
            self.payload.valid.val() && (!self.payload.sop.val() || flush || payload_may);
        // The TLP behind the one under way does not show yet.
        let goes_on = turn.payload && self.payload.valid.val();
        let yields = self.press.val() && self.yielded.q.val() != 7 && (may_payload || goes_on);
        let may_read = self.np.valid.val()
            && !yields
            && (flush || !dma || plenty_reads || (self.read_fits.q.val() && !read_begins));
        let plenty_cpl = self.plenty_cpl.q.val();
        let may_cpl = self.cpl.valid.val()
            && (!self.cpl.sop.val()
                || plenty_cpl
                || (self.cpl_quiet.q.val() && !cpl_begins && self.cpl_fits.q.val()));
        let may = Turn { cpl: may_cpl, inline: may_inline, payload: may_payload, read: may_read };
        let may = may.to_bits::<4>();
        // In turn from the input after the last one; a TLP that is taken now is not on offer in the
        // next cycle.
        let mut chosen = lit::<4>(0);
        for c in 0..4 {
            let mut passed = take && grant == lit::<2>(c);
            for g in 0..4 {
                for o in 0..4 {
                    if (o + 7 - g) % 4 < (c + 7 - g) % 4 {
                        passed = passed || (grant == lit::<2>(g) && may.get_bit(o));
                    }
                }
            }
            chosen = chosen.replace_bit(c, may.get_bit(c) && !passed);
        }
        let found = chosen.any();
        let chosen = Turn::from_bits(chosen);
        let next =
            Number { low: chosen.inline || chosen.read, high: chosen.payload || chosen.read };
        // If no input waits the last one keeps the grant, as long as any TLP of its could go.
        let keep = match grant {
            CPL => plenty_cpl,
            READ => plenty_reads && dma && !flush,
            _ => plenty && dma && !flush,
        };
        let nobody = Turn { cpl: false, inline: false, payload: false, read: false };
        let between = if push { eop } else { !self.mid.q.val() };
        let posted_waits = dma && (self.inline.valid.val() || self.payload.valid.val());
        let may_say = (plenty || (seen && self.message_fits.q.val()))
            && !(self.said_last.q.val() && posted_waits);
        let next_says = between && !says && self.message_valid.val() && may_say;
        self.says.d.next = next_says || (says && !room && self.message_valid.val());
        if next_says {
            self.turn.d.next = nobody;
            self.bare.d.next = false;
        } else if between && !(says && !room) {
            if found {
                self.grant.d.next = next.to_bits();
                self.turn.d.next = chosen;
            } else if !keep {
                self.turn.d.next = nobody;
            }
            self.bare.d.next = flush
                && ((chosen.inline && self.inline.sop.val() && !self.inline_privileged.val())
                    || (chosen.payload && self.payload.sop.val()));
        }

        let side = self.sides.out_data.val();
        self.link.valid.next = self.sides.out_valid.val();
        self.link.sop.next = side.sop;
        self.link.eop.next = side.eop;
        self.link.hdr.next = side.hdr;
        self.link.data.next = self.beats.out_data.val();
        self.sides.out_ready.next = self.link.ready.val();
        self.beats.out_ready.next = self.link.ready.val();

        self.pushed.d.next = push || said;
        self.idle.next = !self.sides.out_valid.val()
            && !self.pushed.q.val()
            && (!self.mid.q.val() || grant == CPL);
        self.stat.d.next = TxStats { write: begin && posted, completion: begin && grant == CPL };
        self.stat_write.next = self.stat.q.val().write;
        self.stat_completion.next = self.stat.q.val().completion;
    }
}
