//! Of [DmaRead]: a tag is never used again before its read was answered, and a read is answered
//! once.
//!
//! A read is reported timed out when its own time is over, and not before.
//!
//! The answer takes some cycles: a tag may be out again before `done` of the read before, but no
//! more than [ON_THE_WAY] cycles.

use super::read::DmaRead;
use super::tlp;
use nitor_rtl::prelude::*;

/// From the end of a completion to `done`.
const ON_THE_WAY: usize = 7;

/// Whose read it is.
#[record]
pub struct Name {
    op: Bits<9>,
    client: Bits<2>,
}

/// The reads that are followed have this bit of the operation's number clear, the others set.
const OTHERS: usize = 7;

/// Four tags, any of them, whatever completions come: right ones, wrong ones, none.
#[derive(LogicBlock, Default)]
pub struct ReadTags {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub req_valid: Signal<In, Bits<4>>,
    pub req_addr: Signal<In, Bits<12>>,
    pub req_len: Signal<In, Bits<16>>,
    pub req_op: Signal<In, Bits<9>>,
    pub np_ready: Signal<In, Bit>,
    pub cpl_valid: Signal<In, Bit>,
    pub cpl_sop: Signal<In, Bit>,
    pub cpl_eop: Signal<In, Bit>,
    pub cpl_hdr: Signal<In, Bits<128>>,
    pub any_tag: Signal<In, Bits<2>>,
    pub given: Signal<Out, Bit>,
    pub ok: Signal<Out, Bit>,
    read: DmaRead<64, 8, 3, 2>,
    /// The tag is on a read whose `done` has not come; it was on a read before.
    busy: Reg<Bit>,
    used: Reg<Bit>,
    op: Reg<Name>,
    /// The read before is still owed an answer; its name; for how long.
    owed: Reg<Bit>,
    before: Reg<Name>,
    age: Reg<Bits<4>>,
    second: Reg<Bit>,
    /// Within a completion.
    inside: Reg<Bit>,
}

impl ReadTags {
    /// No time-out comes as early as the proof goes.
    pub fn new() -> Self {
        Self { read: DmaRead::new(25_000, false, false), ..Self::default() }
    }
}

impl Logic for ReadTags {
    /// No tag is used again before its read was answered; no read is answered twice.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; busy, used, op, owed, before, age, second, inside);
        clocked!(self, clock, reset; read);
        self.read.flush.next = false;
        for c in 0..4 {
            self.read.req[c].valid.next = self.req_valid.val().get_bit(c);
            self.read.req[c].addr.next = bit_cast::<64, 12>(self.req_addr.val());
            self.read.req[c].len.next = self.req_len.val();
            self.read.req[c].dst.next = lit::<20>(0);
            self.read.req[c].op.next = self.req_op.val();
            self.read.req[c].last.next = true;
        }
        self.read.np.ready.next = self.np_ready.val();
        self.read.cpl.valid.next = self.cpl_valid.val();
        self.read.cpl.sop.next = self.cpl_sop.val();
        self.read.cpl.eop.next = self.cpl_eop.val();
        self.read.cpl.hdr.next = self.cpl_hdr.val();
        self.read.cpl.data.next = lit::<64>(0);
        self.read.mrrs.next = lit::<3>(0);
        self.read.requester.next = lit::<16>(0);
        self.read.ext_tag.next = false;
        self.read.bus_master.next = true;
        self.read.read_timeout.next = lit::<5>(0);

        let issued = self.read.bus.issue_valid.val();
        let mine = issued && self.read.issue_tag.val() == self.any_tag.val();
        let issued_op = self.read.bus.issue_op.val();
        let name = Name { op: issued_op, client: self.read.bus.issue_client.val() };
        let done = self.read.bus.done_valid.val();
        let done_name =
            Name { op: self.read.bus.done_op.val(), client: self.read.bus.done_client.val() };
        let used = self.used.q.val();
        let answered = done && used && done_name == self.op.q.val();
        let second = self.second.q.val();
        let answered_before = done && second && done_name == self.before.q.val();
        self.age.d.next = self.age.q.val() + 1;
        if answered_before {
            self.owed.d.next = false;
        }
        if answered {
            self.busy.d.next = false;
        }
        if mine {
            self.busy.d.next = true;
            self.used.d.next = true;
            self.second.d.next = used;
            self.op.d.next = name;
            self.before.d.next = self.op.q.val();
            self.owed.d.next = self.busy.q.val() && !answered;
            self.age.d.next = lit::<4>(0);
        }
        if self.cpl_valid.val() && self.read.cpl.ready.val() {
            self.inside.d.next = !self.cpl_eop.val();
        }
        let framed = !self.cpl_valid.val() || self.cpl_sop.val() != self.inside.q.val();
        // An answer must tell which read it is for: each read that is followed has a name of its
        // own.
        let apart = mine != issued_op.get_bit(OTHERS);
        let new = !mine
            || ((!used || name != self.op.q.val()) && (!second || name != self.before.q.val()));
        let named = !issued || (apart && new);
        self.given.next = framed && named;
        self.ok.next = (!self.owed.q.val() || self.age.q.val() <= lit::<4>(ON_THE_WAY))
            && (!mine || !self.owed.q.val() || answered_before)
            && (!answered || self.busy.q.val())
            && (!answered_before || self.owed.q.val());
    }
}

/// A time-out in cycles, and those that a report takes after it at least.
const PATIENCE: usize = 6;
const REPORT: u64 = 8;

/// An operation that says whether it is followed.
#[record]
pub struct Marked {
    mark: Bit,
    op: Bits<8>,
}

/// Two tags, reads of a dword; right answers at any time or never, between completions that are
/// nobody's.
#[derive(LogicBlock, Default)]
pub struct ReadLate {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub req_valid: Signal<In, Bit>,
    pub np_ready: Signal<In, Bit>,
    pub cpl_valid: Signal<In, Bit>,
    pub cpl_tag: Signal<In, Bits<1>>,
    /// The completion is for another requester.
    pub cpl_astray: Signal<In, Bit>,
    /// The read that is issued now is the one to follow.
    pub mark: Signal<In, Bit>,
    pub op: Signal<In, Bits<8>>,
    pub given: Signal<Out, Bit>,
    pub ok: Signal<Out, Bit>,
    read: DmaRead<64, 8, 3, 1>,
    /// Tags whose read is sent and not answered.
    asked: Reg<Bits<2>>,
    marked: Reg<Bit>,
    age: Reg<Bits<6>>,
}

impl ReadLate {
    pub fn new() -> Self {
        Self { read: DmaRead::ticking(PATIENCE, 0), ..Self::default() }
    }
}

impl Logic for ReadLate {
    /// A read is not reported timed out before its own time is over.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; asked, marked, age);
        clocked!(self, clock, reset; read);
        self.read.flush.next = false;
        for c in 0..4 {
            self.read.req[c].valid.next = self.req_valid.val() && lit::<2>(c) == 0;
            self.read.req[c].addr.next = lit::<64>(0);
            self.read.req[c].len.next = lit::<16>(4);
            self.read.req[c].dst.next = lit::<20>(0);
            self.read.req[c].op.next =
                Marked { mark: self.mark.val(), op: self.op.val() }.to_bits();
            self.read.req[c].last.next = true;
        }
        let tag = bit_cast::<8, 1>(self.cpl_tag.val());
        let requester = bit_cast::<16, 1>(Bits::<1>::from(self.cpl_astray.val()));
        self.read.np.ready.next = self.np_ready.val();
        self.read.cpl.valid.next = self.cpl_valid.val();
        self.read.cpl.sop.next = true;
        self.read.cpl.eop.next = true;
        let dw0 = tlp::Dw0 {
            length: lit::<10>(1),
            format: tlp::Format::from_bits(lit::<8>(tlp::CPLD)),
            ..tlp::Dw0::from_bits(lit::<32>(0))
        };
        self.read.cpl.hdr.next = tlp::Completion {
            dw0,
            byte_count: lit::<12>(4),
            tag,
            requester,
            ..tlp::Completion::from_bits(lit::<128>(0))
        }
        .to_bits();
        self.read.cpl.data.next = lit::<64>(0);
        self.read.mrrs.next = lit::<3>(0);
        self.read.requester.next = lit::<16>(0);
        self.read.ext_tag.next = false;
        self.read.bus_master.next = true;
        self.read.read_timeout.next = lit::<5>(0);

        let mut asked = self.asked.q.val();
        let owed = asked.get_bit(self.cpl_tag.val().index());
        if self.cpl_valid.val() && self.read.cpl.ready.val() && !self.cpl_astray.val() {
            asked = asked.replace_bit(self.cpl_tag.val().index(), false);
        }
        if self.read.np.valid.val() && self.np_ready.val() {
            let sent = tlp::Request::from_bits(self.read.np.hdr.val()).tag;
            asked = asked.replace_bit(bit_cast::<1, 8>(sent).index(), true);
        }
        self.asked.d.next = asked;
        // The one that is followed has an operation of its own.
        let issued =
            self.read.bus.issue_valid.val() && Marked::from_bits(self.read.bus.issue_op.val()).mark;
        let ended =
            self.read.bus.done_valid.val() && Marked::from_bits(self.read.bus.done_op.val()).mark;
        let marked = self.marked.q.val();
        if issued {
            self.marked.d.next = true;
        }
        let age = self.age.q.val();
        if marked && !age.all() {
            self.age.d.next = age + 1;
        }
        let right = !self.cpl_valid.val() || self.cpl_astray.val() || owed;
        self.given.next = right && !(issued && marked);
        self.ok.next =
            !ended || !self.read.bus.done_err.val() || age >= lit::<6>(PATIENCE as u64 + REPORT);
    }
}
