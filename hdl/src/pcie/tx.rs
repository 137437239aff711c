//! The transmit side: one stream of TLPs from completions, posted writes and reads, within the link's credits.
//!
//! | port | what |
//! |---|---|
//! | `cpl`, `inline`, `payload` | TLPs with data; `inline_privileged` beside `inline`: passes a flush |
//! | `np_*` | memory reads, headers alone |
//! | `message_*` | error messages: see [super::errors]; `requester` is who sends them |
//! | `link` | to the link layer |
//! | `fc_*` | cumulative limits of posted headers, posted data (16 bytes each), non-posted headers, completions' headers and data |
//! | `fc_cpl_infinite` | completions' headers (bit 0) and data (bit 1) have no limit, as a root port says; a switch may grant few |
//! | `flush`, `bus_master` | see below |
//! | `idle` | nothing is under way but what an input has yet to begin: during `flush` it means that no DMA can follow |
//!
//! A TLP is taken whole, and only with its credits: what is taken leaves in the order it was taken, across all
//! inputs. So a completion never passes a posted write taken before it, and one taken later is not held up by those
//! that wait for credits; reads and completions without credit block nobody. The turn goes round, none starves; a posted TLP that lacks credits when
//! its turn has come is not passed by the other posted input, so that small ones do not eat a large one's credits.
//!
//! A beat leaves 1 cycle after it was taken. One beat a cycle, no gap between TLPs of one input or of several; an input
//! that was idle is granted in the cycle after it is seen. While fewer credits are left than three of the largest TLPs
//! need (3 headers, 96 data; 24 data for completions, of 128 bytes at most) headers are looked at before they are granted, which costs two cycles a TLP. When `link` stalls,
//! two beats are held and the inputs wait. With `small` the output takes a beat in two cycles, which is enough for gigabits.
//! Every `ready` follows from registers, `flush` and `bus_master` alone. Of posted TLPs and reads a limit never counts as infinite: whoever grants
//! infinite credit keeps it ahead.
//!
//! `press`: what the wire brought piles up. Reads then go only when `payload` does not, one after eight of its
//! TLPs at the latest: the wire can't wait, and what is sent can.
//!
//! A message is rare and goes first, as soon as a TLP ends and a posted header may be sent; but two of them let a posted TLP that waits go between. `flush`
//! and `bus_master` are nothing to it. It costs a cycle besides its own.
//!
//! `flush`: a DMA TLP whose first beat is taken while it is high is dropped, unless privileged; those taken before are sent to
//! their end. `bus_master` low: posted TLPs wait; a read taken while it is low is dropped, and so the read engine, which sees the same
//! two signals in the same cycle, knows of each read whether it was sent. Completions go on in both cases.
//! Beats without `sop` where a TLP should begin are dropped: the rest of one whose source was reset during a flush.
//! When `flush` falls DMA sources offer nothing older.

use super::tlp;
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
    pub np_valid: Signal<In, Bit>,
    pub np_ready: Signal<Out, Bit>,
    pub np_hdr: Signal<In, Bits<128>>,
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
    // Limits as they came.
    limit_ph: Reg<Bits<8>>,
    limit_pd: Reg<Bits<12>>,
    limit_nph: Reg<Bits<8>>,
    limit_cplh: Reg<Bits<8>>,
    limit_cpld: Reg<Bits<12>>,
    // What was sent against them.
    ph: Reg<Bits<8>>,
    pd: Reg<Bits<12>>,
    nph: Reg<Bits<8>>,
    cplh: Reg<Bits<8>>,
    cpld: Reg<Bits<12>>,
    // The input whose beats are taken, a bit each if there is one; its number.
    turn: Reg<Bits<4>>,
    grant: Reg<Bits<2>>,
    /// The grant was for a TLP to drop: no credits were looked at.
    bare: Reg<Bit>,
    /// Its TLP has begun.
    mid: Reg<Bit>,
    /// Nobody's beats are taken: a message is next.
    says: Reg<Bit>,
    /// No other posted TLP has gone since the last one.
    said_last: Reg<Bit>,
    /// The posted input that goes next when both wait: 1 for `payload`.
    owed: Reg<Bit>,
    /// TLPs of `payload` that a read has let pass.
    yielded: Reg<Bits<3>>,
    beats: Skid<Bits<D>>,
    sides: Skid<Bits<130>>,
    stat: Reg<Bits<2>>,
    // Credits for any three TLPs were left a cycle ago; for a read there is one.
    plenty: Reg<Bit>,
    plenty_reads: Reg<Bit>,
    read_fits: Reg<Bit>,
    // The TLP on offer a cycle ago fitted; nothing posted can have begun since.
    message_fits: Reg<Bit>,
    inline_fits: Reg<Bit>,
    payload_fits: Reg<Bit>,
    quiet: Reg<Bit>,
    // The same of completions.
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

/// Data credits of a TLP: 16 bytes each.
#[kernel]
fn data_credits(hdr: Bits<128>) -> Bits<12> {
    let length = hdr.get_bits::<10>(0);
    let dwords = if length == 0 { lit::<12>(1024) } else { bit_cast::<12, 10>(length) };
    (dwords + 3) >> 2
}

/// The same of a completion, which may have none.
#[kernel]
fn completion_credits(hdr: Bits<128>) -> Bits<12> {
    if hdr.get_bit(30) {
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

/// At least three are left.
#[kernel]
fn three(left: Bits<8>) -> Bit {
    !left.get_bit(7) && (left.get_bits::<5>(2).any() || left.get_bits::<2>(0).all())
}

impl<const D: usize> Logic for TlpTx<D> {
    /// Merges completions, posted writes and reads within the link's credits.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; limit_ph, limit_pd, limit_nph, ph, pd, nph);
        registers!(self, clock, reset; limit_cplh, limit_cpld, cplh, cpld, plenty_cpl, cpl_fits, cpl_quiet);
        registers!(self, clock, reset; turn, grant, bare, mid, says, said_last, owed, yielded, stat, plenty, plenty_reads, read_fits, message_fits, inline_fits, payload_fits, quiet, pushed);
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
        // Credits may have been no matter when it was granted.
        let read_goes = flush || !dma || self.read_fits.q.val();
        let cpl_open = room && turn.get_bit(CPL as usize);
        let inline_open = room && turn.get_bit(INLINE as usize) && posted_goes;
        let payload_open = room && turn.get_bit(PAYLOAD as usize) && posted_goes;
        let read_open = room && turn.get_bit(READ as usize) && read_goes;
        self.cpl.ready.next = cpl_open;
        self.inline.ready.next = inline_open;
        self.payload.ready.next = payload_open;
        self.np_ready.next = read_open;
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
            _ => self.np_hdr.val(),
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
            || (read_open && self.np_valid.val());
        let push = take && !drop;
        let begin = push && !self.mid.q.val();
        let says = self.says.q.val();
        let said = says && room && self.message_valid.val();
        self.message_ready.next = says && room;
        let entry =
            cat::<1, 129, 130>(Bits::<1>::from(eop), cat::<1, 128, 129>(Bits::<1>::from(sop), hdr));
        self.beats.in_valid.next = push || said;
        self.beats.in_data.next = data;
        self.sides.in_valid.next = push || said;
        self.sides.in_data.next = if says {
            cat::<2, 128, 130>(
                lit::<2>(3),
                tlp::error_message(self.requester.val(), self.message.val()),
            )
        } else {
            entry
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

        // What is left now, for the next cycle: less one TLP that may begin in this one, and one that may in that.
        let left_ph = self.limit_ph.q.val() - self.ph.q.val();
        let left_pd = self.limit_pd.q.val() - self.pd.q.val();
        let left_nph = self.limit_nph.q.val() - self.nph.q.val();
        self.plenty.d.next = three(left_ph)
            && !left_pd.get_bit(11)
            && (left_pd.get_bits::<4>(7).any() || left_pd.get_bits::<2>(5).all());
        self.plenty_reads.d.next = three(left_nph);
        let some_nph = !left_nph.get_bit(7) && left_nph.get_bits::<7>(0).any();
        let one_nph = left_nph == 1;
        let read_begins = room && turn.get_bit(READ as usize);
        self.read_fits.d.next = some_nph && !(one_nph && read_begins && self.read_fits.q.val());
        let posted_turn = turn.get_bit(INLINE as usize) || turn.get_bit(PAYLOAD as usize) || says;
        let posted_begins = posted_turn && !self.mid.q.val();
        self.quiet.d.next = !posted_begins;
        let some_ph = !left_ph.get_bit(7) && left_ph.get_bits::<7>(0).any();
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
        let any_cplh = self.fc_cpl_infinite.val().get_bit(0);
        let any_cpld = self.fc_cpl_infinite.val().get_bit(1);
        self.plenty_cpl.d.next = (any_cplh || three(left_cplh))
            && (any_cpld
                || (!left_cpld.get_bit(11)
                    && (left_cpld.get_bits::<6>(5).any() || left_cpld.get_bits::<2>(3).all())));
        let cpl_begins = turn.get_bit(CPL as usize) && !self.mid.q.val();
        self.cpl_quiet.d.next = !cpl_begins;
        self.cpl_fits.d.next = self.cpl.valid.val()
            && self.cpl.sop.val()
            && (any_cplh || (!left_cplh.get_bit(7) && left_cplh.get_bits::<7>(0).any()))
            && (any_cpld
                || fits::<12>(
                    self.limit_cpld.q.val(),
                    self.cpld.q.val(),
                    completion_credits(self.cpl.hdr.val()),
                ));

        // Who may begin a TLP in the next cycle: with `plenty` any, else one whose header has been seen.
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
        // The TLP behind the one being taken isn't seen yet.
        let goes_on = turn.get_bit(PAYLOAD as usize) && self.payload.valid.val();
        let yields = self.press.val() && self.yielded.q.val() != 7 && (may_payload || goes_on);
        let may_read = self.np_valid.val()
            && !yields
            && (flush || !dma || plenty_reads || (self.read_fits.q.val() && !read_begins));
        let plenty_cpl = self.plenty_cpl.q.val();
        let may_cpl = self.cpl.valid.val()
            && (!self.cpl.sop.val()
                || plenty_cpl
                || (self.cpl_quiet.q.val() && !cpl_begins && self.cpl_fits.q.val()));
        let mut may = lit::<4>(0);
        may = may.replace_bit(CPL as usize, may_cpl);
        may = may.replace_bit(INLINE as usize, may_inline);
        may = may.replace_bit(PAYLOAD as usize, may_payload);
        may = may.replace_bit(READ as usize, may_read);
        // In turn from the one after the last; what is taken now is not offered again in the next cycle.
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
        let next = cat::<1, 1, 2>(
            (chosen.get_bit(2) || chosen.get_bit(3)).into(),
            (chosen.get_bit(1) || chosen.get_bit(3)).into(),
        );
        // Where nobody waits the last input keeps the grant unseen, if any TLP of its could go.
        let keep = match grant {
            CPL => plenty_cpl,
            READ => plenty_reads && dma && !flush,
            _ => plenty && dma && !flush,
        };
        let between = if push { eop } else { !self.mid.q.val() };
        let posted_waits = dma && (self.inline.valid.val() || self.payload.valid.val());
        let may_say = (plenty || (seen && self.message_fits.q.val()))
            && !(self.said_last.q.val() && posted_waits);
        let next_says = between && !says && self.message_valid.val() && may_say;
        self.says.d.next = next_says || (says && !room && self.message_valid.val());
        if next_says {
            self.turn.d.next = lit::<4>(0);
            self.bare.d.next = false;
        } else if between && !(says && !room) {
            if found {
                self.grant.d.next = next;
                self.turn.d.next = chosen;
            } else if !keep {
                self.turn.d.next = lit::<4>(0);
            }
            self.bare.d.next = flush
                && ((chosen.get_bit(INLINE as usize)
                    && self.inline.sop.val()
                    && !self.inline_privileged.val())
                    || (chosen.get_bit(PAYLOAD as usize) && self.payload.sop.val()));
        }

        let side = self.sides.out_data.val();
        self.link.valid.next = self.sides.out_valid.val();
        self.link.sop.next = side.get_bit(128);
        self.link.eop.next = side.get_bit(129);
        self.link.hdr.next = side.get_bits::<128>(0);
        self.link.data.next = self.beats.out_data.val();
        self.sides.out_ready.next = self.link.ready.val();
        self.beats.out_ready.next = self.link.ready.val();

        self.pushed.d.next = push || said;
        self.idle.next = !self.sides.out_valid.val()
            && !self.pushed.q.val()
            && (!self.mid.q.val() || grant == CPL);
        self.stat.d.next =
            lit::<2>(0).replace_bit(0, begin && posted).replace_bit(1, begin && grant == CPL);
        self.stat_write.next = self.stat.q.val().get_bit(0);
        self.stat_completion.next = self.stat.q.val().get_bit(1);
    }
}
