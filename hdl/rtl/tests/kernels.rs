//! Small kernels, each with one construct or one of RustHDL's traps: compares RustHDL's own
//! simulator with Verilator on random inputs.

mod support;

use nitor_block::{lint, Model};
use nitor_rtl::prelude::*;
use nitor_rtl::{emit, with_stack};
use rand::{rngs::StdRng, Rng, SeedableRng};
use support::ports;

fn settle(block: &mut impl Block) {
    for _ in 0..100 {
        block.update_all();
        if !block.has_changed() {
            return;
        }
    }
    panic!("the simulator does not settle");
}

trait Value: Synth {
    fn of(bits: u64) -> Self;
    fn bits(self) -> u64;
}

impl<const N: usize> Value for Bits<N> {
    fn of(bits: u64) -> Self {
        bit_cast::<N, 64>(lit::<64>(bits))
    }
    fn bits(self) -> u64 {
        bit_cast::<64, N>(self).to_u64()
    }
}

impl Value for Bit {
    fn of(bits: u64) -> Self {
        bits & 1 == 1
    }
    fn bits(self) -> u64 {
        u64::from(self)
    }
}

/// Both simulators step by step on the same inputs.
macro_rules! agree {
    ($block:ty, clocked, [$($i:ident),*], [$($o:ident),*]) => {
        agree!(@run $block, [$($i),*], [$($o),*], |uut: &mut $block, high: bool| {
            uut.clock.next = Clock { clk: high };
        })
    };
    ($block:ty, [$($i:ident),*], [$($o:ident),*]) => {
        agree!(@run $block, [$($i),*], [$($o),*], |_: &mut $block, _: bool| {})
    };
    (@run $block:ty, [$($i:ident),*], [$($o:ident),*], $clock:expr) => {{
        let design = with_stack(|| emit(&<$block>::default(), "uut")).unwrap();
        let text = design.to_string();
        lint(text.clone(), "uut").unwrap();
        let mut other = Model::build(text.clone(), "uut", &ports(&design)).unwrap().block(7);
        let mut rng = StdRng::seed_from_u64(7);
        let mut uut = <$block>::default();
        uut.connect_all();
        let has_reset = other.find_port("reset").is_some();
        for step in 0..400 {
            $({
                let value = match rng.gen_range(0..4) {
                    0 => 0,
                    1 => u64::MAX,
                    _ => rng.gen(),
                };
                let value = if stringify!($i) == "reset" { u64::from(step < 2) } else { value };
                uut.$i.next = Value::of(value);
                other.set(stringify!($i), Value::bits(uut.$i.next));
            })*
            let _ = has_reset;
            ($clock)(&mut uut, false);
            settle(&mut uut);
            other.eval();
            if step > 1 {
                $(assert_eq!(
                    other.get(stringify!($o)), Value::bits(uut.$o.val()),
                    "step {step}, {}\n{text}", stringify!($o)
                );)*
            }
            ($clock)(&mut uut, true);
            settle(&mut uut);
            if other.find_port("clock").is_some() {
                other.tick();
            }
        }
        text
    }};
}

#[derive(LogicBlock, Default)]
struct Precedence {
    a: Signal<In, Bits<8>>,
    b: Signal<In, Bits<8>>,
    c: Signal<In, Bits<16>>,
    f: Signal<In, Bit>,
    x0: Signal<Out, Bit>,
    x1: Signal<Out, Bit>,
    x2: Signal<Out, Bits<16>>,
    x3: Signal<Out, Bits<16>>,
    x4: Signal<Out, Bit>,
    x5: Signal<Out, Bit>,
    x6: Signal<Out, Bits<8>>,
    x7: Signal<Out, Bits<8>>,
    x8: Signal<Out, Bits<16>>,
    x9: Signal<Out, Bits<4>>,
}

impl Logic for Precedence {
    /// The expressions that RustHDL's own writer gets wrong.
    #[kernel]
    fn update(&mut self) {
        let a = self.a.val();
        let b = self.b.val();
        self.x0.next = a & 15 == b;
        self.x1.next = a ^ b != 200;
        self.x2.next = bit_cast::<16, 8>(a + b);
        self.x3.next = bit_cast::<16, 8>(!(a - b));
        self.x4.next = (a + 1) == 0;
        self.x5.next = (!a) == 255;
        self.x6.next = (a + 200) >> 1;
        self.x7.next = bit_cast::<8, 1>((!self.f.val()).into());
        self.x8.next = bit_cast::<16, 8>(a << 3) + self.c.val();
        self.x9.next = (a + b).get_bits::<4>(4);
    }
}

#[test]
fn precedence_and_width() {
    agree!(Precedence, [a, b, c, f], [x0, x1, x2, x3, x4, x5, x6, x7, x8, x9]);
}

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
enum Phase {
    Idle,
    Run,
    Wait,
}

#[derive(LogicBlock)]
struct Machine {
    clock: Signal<In, Clock>,
    reset: Signal<In, Bit>,
    go: Signal<In, Bit>,
    step: Signal<In, Bits<4>>,
    busy: Signal<Out, Bit>,
    count: Signal<Out, Bits<8>>,
    code: Signal<Out, Bits<4>>,
    phase: Reg<Phase>,
    total: Reg<Bits<8>>,
    taps: [Reg<Bits<4>>; 3],
    was: Signal<Out, Bits<4>>,
    seen: Reg<Bits<4>>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            total: Reg::new(lit(0x5a)),
            clock: Default::default(),
            reset: Default::default(),
            go: Default::default(),
            step: Default::default(),
            busy: Default::default(),
            count: Default::default(),
            code: Default::default(),
            phase: Default::default(),
            taps: Default::default(),
            was: Default::default(),
            seen: Default::default(),
        }
    }
}

/// Adds with saturation.
#[kernel]
fn saturating<const N: usize>(a: Bits<N>, b: Bits<N>) -> Bits<N> {
    let sum = a + b;
    if sum < a {
        !lit::<N>(0)
    } else {
        sum
    }
}

impl Logic for Machine {
    /// States, registers with a reset value, register arrays, a helper, matches on numbers.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; phase, total, taps[..]);
        registers!(self, clock; seen);
        self.seen.d.next = self.step.val();
        self.was.next = self.seen.q.val();
        const LIMIT: u64 = 9;
        let mut code = lit::<4>(0);
        match self.phase.q.val() {
            Phase::Idle => {
                if self.go.val() {
                    self.phase.d.next = Phase::Run;
                }
            }
            Phase::Run => {
                let wide = bit_cast::<8, 4>(self.step.val());
                self.total.d.next = saturating::<8>(self.total.q.val(), wide);
                code = match self.step.val() {
                    0 | 1 => lit::<4>(1),
                    LIMIT => lit::<4>(2),
                    _ => self.step.val() + 1,
                };
                if self.total.q.val() > 250 {
                    self.phase.d.next = Phase::Wait;
                    code = lit::<4>(15);
                }
            }
            Phase::Wait => {
                self.total.d.next = self.total.q.val() - 3;
                if self.total.q.val() < 20 {
                    self.phase.d.next = Phase::Idle;
                }
            }
        }
        self.taps[0].d.next = code;
        for i in 1..3 {
            self.taps[i].d.next = self.taps[i - 1].q.val();
        }
        self.busy.next = self.phase.q.val() != Phase::Idle;
        self.count.next = self.total.q.val();
        self.code.next = self.taps[2].q.val();
    }
}

#[test]
fn states_registers_and_helpers() {
    let text = agree!(Machine, clocked, [reset, go, step], [busy, count, code, was]);
    assert!(text.contains("// States, registers with a reset value"), "{text}");
    assert!(text.contains("total <= 8'd90;"), "{text}");
    assert!(text.contains("begin\n        seen <= step;\n    end"), "never reset: {text}");
}

#[derive(LogicBlock, Default)]
struct Slices {
    a: Signal<In, Bits<37>>,
    i: Signal<In, Bits<6>>,
    v: Signal<In, Bits<5>>,
    flag: Signal<In, Bit>,
    x0: Signal<Out, Bits<5>>,
    x1: Signal<Out, Bits<5>>,
    x2: Signal<Out, Bit>,
    x3: Signal<Out, Bits<37>>,
    x4: Signal<Out, Bits<37>>,
    x5: Signal<Out, Bits<42>>,
    x6: Signal<Out, Bits<8>>,
    x7: Signal<Out, Bits<6>>,
}

impl Logic for Slices {
    /// Slices by constants and by signals, replacement, concatenation, priority.
    #[kernel]
    fn update(&mut self) {
        let a = self.a.val();
        let i = self.i.val() & 31;
        self.x0.next = a.get_bits::<5>(7);
        self.x1.next = a.get_bits::<5>(i.index());
        self.x2.next = a.get_bit(i.index());
        self.x3.next = a.set_slice::<5>(30, self.v.val());
        self.x4.next = a.replace_bit(3, self.flag.val());
        self.x5.next = cat::<5, 37, 42>(self.v.val(), a);
        let mut ones = lit::<8>(0);
        for k in 0..=4 {
            if self.v.val().get_bit(k) {
                ones = ones + 1;
            }
        }
        self.x6.next = ones;
        let mut found = false;
        let mut first = lit::<6>(63);
        for k in 0..37 {
            if a.get_bit(k) && !found {
                found = true;
                first = lit::<6>(k);
            }
        }
        self.x7.next = first;
    }
}

#[test]
fn slices_and_loops() {
    agree!(Slices, [a, i, v, flag], [x0, x1, x2, x3, x4, x5, x6, x7]);
}

#[derive(LogicBlock, Default)]
struct Shadows {
    a: Signal<In, Bits<8>>,
    x: Signal<Out, Bits<8>>,
}

impl Logic for Shadows {
    /// Locals of one name in loops in loops, the outer ones read again behind the inner ones.
    #[kernel]
    fn update(&mut self) {
        let mut sum = lit::<8>(0);
        for i in 0..4 {
            let part = self.a.val() >> i;
            for j in 0..3 {
                let part = part + lit::<8>(j);
                sum = sum ^ part;
            }
            sum = sum + part;
        }
        self.x.next = sum;
    }
}

#[test]
fn names_that_hide_others() {
    agree!(Shadows, [a], [x]);
}

/// What goes with a beat.
#[record]
struct Side<const N: usize> {
    kind: Bits<3>,
    last: Bit,
    /// Of N bits.
    data: Bits<N>,
}

#[record]
struct Beat {
    side: Side<8>,
    count: Bits<4>,
}

#[kernel]
fn counted(beat: Beat) -> Beat {
    let mut beat = beat;
    beat.count = beat.count + 1;
    beat
}

#[derive(LogicBlock, Default)]
struct Records {
    clock: Signal<In, Clock>,
    reset: Signal<In, Bit>,
    a: Signal<In, Bits<8>>,
    f: Signal<In, Bit>,
    w: Signal<In, Bits<16>>,
    x0: Signal<Out, Bits<8>>,
    x1: Signal<Out, Bits<16>>,
    x2: Signal<Out, Bits<4>>,
    x3: Signal<Out, Bit>,
    x4: Signal<Out, Bits<12>>,
    beat: Reg<Beat>,
    other: Reg<Beat>,
    port: Pass<Beat>,
}

impl Logic for Records {
    /// Fields read and written, literals with and without a rest, records in records, as bits.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; beat, other);
        let beat = self.beat.q.val();
        let mut next = counted(beat);
        if self.f.val() {
            next.side.data = self.a.val();
            next.side.last = beat.side.data == self.a.val();
        } else if beat.side.last {
            next.side = Side { kind: lit::<3>(5), ..beat.side };
        }
        self.beat.d.next = next;
        self.other.d.next = Beat {
            side: Side { data: beat.side.data + 3, kind: beat.count.get_bits::<3>(1), last: true },
            count: Beat::from_bits(self.w.val()).count,
        };
        self.port.i.next = if self.f.val() { beat } else { self.other.q.val() };
        self.x0.next = self.port.o.val().side.data;
        self.x1.next = next.to_bits();
        self.x2.next = self.other.q.val().count;
        self.x3.next = self.port.o.val() == self.other.q.val();
        let side = Side::<8>::from_bits(self.w.val().get_bits::<12>(2));
        self.x4.next = side.to_bits::<12>() ^ beat.side.to_bits();
    }
}

#[derive(LogicBlock, Default)]
struct Pass<T: Synth> {
    i: Signal<In, T>,
    o: Signal<Out, T>,
}

impl<T: Synth> Logic for Pass<T> {
    /// Passes what comes.
    #[kernel]
    fn update(&mut self) {
        self.o.next = self.i.val();
    }
}

#[test]
fn records() {
    let text = agree!(Records, clocked, [reset, a, f, w], [x0, x1, x2, x3, x4]);
    // Fields by their names, those of records in records too.
    assert!(text.contains("localparam BEAT_SIDE = 0, BEAT_COUNT = 12;"), "{text}");
    assert!(text.contains("beat[BEAT_SIDE + SIDE_DATA +: 8]"), "{text}");
    assert!(text.contains("beat[BEAT_SIDE + SIDE_LAST]"), "{text}");
    assert!(text.contains("module pass_beat ("), "{text}");
    assert_eq!(Beat::BITS, 16);
    let beat = Beat::from_bits(lit::<16>(0x5a3e));
    assert_eq!((beat.count, beat.side.data), (lit::<4>(5), lit::<8>(0xa3)));
    assert_eq!(beat.to_bits::<16>(), lit::<16>(0x5a3e));
}

/// Where the fields of [Command] are.
struct Wire;

impl Wire {
    const LEN: usize = 3;
    #[allow(clippy::single_range_in_vec_init)]
    const LAYOUT: &'static nitor_rtl::Layout =
        &[("kind", &[2..5]), ("unread", &[5..9]), ("index", &[20..23, 9..12]), ("go", &[13..14])];
}

#[record(layout = Wire)]
struct Command {
    index: Bits<6>,
    kind: Bits<3>,
    go: Bit,
}

#[derive(LogicBlock, Default)]
struct LaidOut {
    clock: Signal<In, Clock>,
    reset: Signal<In, Bit>,
    w: Signal<In, Bits<24>>,
    a: Signal<In, Bits<6>>,
    f: Signal<In, Bit>,
    x0: Signal<Out, Bits<6>>,
    x1: Signal<Out, Bits<24>>,
    x2: Signal<Out, Bits<24>>,
    x3: Signal<Out, Bit>,
    held: Reg<Command>,
}

impl Logic for LaidOut {
    /// Fields in pieces and out of order, read, written and put together; what is no field's is 0.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; held);
        let command = Command::from_bits(self.w.val());
        self.held.d.next = command;
        let mut other = self.held.q.val();
        if self.f.val() {
            other.index = self.a.val() + other.index;
            other.kind = command.kind;
        }
        self.x0.next = command.index;
        self.x1.next = other.to_bits::<24>();
        let made = Command { index: self.a.val(), go: other.go, kind: lit::<3>(5) };
        self.x2.next = made.to_bits::<24>();
        self.x3.next = command == self.held.q.val();
    }
}

#[test]
fn laid_out_records() {
    let text = agree!(LaidOut, clocked, [reset, w, a, f], [x0, x1, x2, x3]);
    assert!(text.contains("COMMAND_INDEX_LO +: 3"), "{text}");
    let command = Command::from_bits(lit::<24>(0xf0_22f7));
    assert_eq!((command.index, command.kind), (lit::<6>(0b001_111), lit::<3>(5)));
    assert!(command.go);
    assert_eq!(command.to_bits::<24>(), lit::<24>(0x70_2214));
    // Also what is above the highest field has its place in a record around it.
    let TypeKind::Composite(parts) = Command::descriptor().kind else { panic!() };
    let bits = |part: &TypeField| match part.kind.kind {
        TypeKind::Bits(bits) => bits,
        _ => panic!("{part:?}"),
    };
    assert_eq!(parts.iter().map(|part| bits(part)).sum::<usize>(), Command::BITS);
}

#[record(layout = Wire)]
struct Misspelt {
    knid: Bits<3>,
}

#[record(layout = Wire)]
struct Misjudged {
    kind: Bits<4>,
}

#[test]
#[should_panic(expected = "Misspelt: the layout has no field `knid`")]
fn field_of_no_layout() {
    Misspelt::fields();
}

#[test]
#[should_panic(expected = "Misjudged: the layout has another width for `kind`")]
fn field_of_another_width() {
    Misjudged::fields();
}

/// A job for a worker.
#[stream]
struct Job<const N: usize> {
    kind: Bits<3>,
    side: Side<N>,
    last: Bit,
}

#[stream(bus)]
struct News {
    told: Bit,
    kind: Bits<3>,
}

/// A job later, unless there is none.
#[derive(LogicBlock, Default)]
struct Worker {
    clock: Signal<In, Clock>,
    reset: Signal<In, Bit>,
    job: JobSnk<8>,
    out: JobSrc<8>,
    news: NewsSrc,
    held: Reg<Job<8>>,
    full: Reg<Bit>,
}

impl Logic for Worker {
    /// Holds one job.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; held, full);
        let room = !self.full.q.val() || self.out.ready.val();
        if room {
            self.full.d.next = self.job.valid.val();
            self.held.d.next = self.job.get();
        }
        self.job.ready.next = room;
        self.out.valid.next = self.full.q.val();
        self.out.put(self.held.q.val());
        self.news.put(News { told: room && self.job.valid.val(), kind: self.job.kind.val() });
    }
}

#[derive(LogicBlock, Default)]
struct Streams {
    clock: Signal<In, Clock>,
    reset: Signal<In, Bit>,
    valid: Signal<In, Bit>,
    kind: Signal<In, Bits<3>>,
    data: Signal<In, Bits<8>>,
    ready: Signal<In, Bit>,
    f: Signal<In, Bit>,
    x0: Signal<Out, Bits<16>>,
    x1: Signal<Out, Bit>,
    x2: Signal<Out, Bits<4>>,
    x3: Signal<Out, Bit>,
    first: Worker,
    second: Worker,
    heard: Reg<News>,
}

impl Logic for Streams {
    /// A stream through two blocks, joined, and listened to.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; heard);
        clocked!(self, clock, reset; first, second);
        let kind = self.kind.val();
        let side = Side { kind, last: kind.any(), data: self.data.val() };
        let given = Job { kind, side, last: self.f.val() };
        self.first.job.valid.next = self.valid.val();
        self.first.job.put(given);
        self.x3.next = self.first.job.ready.val();
        self.second.job.valid.next = self.first.out.valid.val();
        self.first.out.ready.next = self.second.job.ready.val();
        let job = self.first.out.get();
        if self.f.val() {
            self.second.job.put(Job { last: true, ..job });
        } else {
            self.second.job.put(if job.last { job } else { given });
        }
        self.second.out.ready.next = self.ready.val();
        self.heard.d.next = self.first.news.get();
        self.x0.next = self.second.out.get().to_bits::<16>();
        self.x1.next = self.second.out.valid.val();
        self.x2.next = self.heard.q.val().to_bits::<4>() ^ self.second.news.get().to_bits::<4>();
    }
}

#[test]
fn streams() {
    let text = agree!(Streams, clocked, [reset, valid, kind, data, ready, f], [x0, x1, x2, x3]);
    // A wire each, none of them a part of a word.
    assert!(text.contains(".job_kind(second_job_kind)"), "{text}");
    assert!(text.contains(".job_valid(first_out_valid)"), "{text}");
}

#[derive(LogicBlock, Default)]
struct Chain {
    a: Signal<In, Bits<3>>,
    b: Signal<In, Bits<3>>,
    x0: Signal<Out, Bits<4>>,
    x1: Signal<Out, Bits<4>>,
    x2: Signal<Out, Bits<4>>,
}

impl Logic for Chain {
    /// Chains of `else if`, as statements, with variables, as values, with a match inside.
    #[kernel]
    fn update(&mut self) {
        let a = self.a.val();
        let b = self.b.val();
        let mut v = lit::<4>(1);
        let mut w = lit::<4>(0);
        if a == 1 {
            self.x0.next = lit::<4>(3);
            v = v + 4;
        } else if a == 2 && b == 0 {
            self.x0.next = lit::<4>(4);
        } else if a > b {
            self.x0.next = lit::<4>(5);
            w = v + 2;
            match b {
                0 => v = w + 1,
                1 | 2 => {
                    if a.get_bit(0) {
                        v = lit::<4>(9);
                    }
                }
                _ => {}
            }
        } else {
            self.x0.next = lit::<4>(6);
            v = v - 3;
        }
        self.x1.next = v + w;
        self.x2.next = if a == b {
            lit::<4>(1)
        } else if a < b {
            lit::<4>(2)
        } else {
            let sum = a + b;
            bit_cast::<4, 3>(sum)
        };
    }
}

#[test]
fn chains_of_conditions() {
    agree!(Chain, [a, b], [x0, x1, x2]);
}

#[derive(LogicBlock, Default)]
struct Child {
    clock: Signal<In, Clock>,
    reset: Signal<In, Bit>,
    step: Signal<In, Bits<8>>,
    sum: Signal<Out, Bits<8>>,
    acc: Reg<Bits<8>>,
}

impl Logic for Child {
    /// Adds up.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; acc);
        self.acc.d.next = self.acc.q.val() + self.step.val();
        self.sum.next = self.acc.q.val();
    }
}

#[derive(LogicBlock, Default)]
struct Parent {
    clock: Signal<In, Clock>,
    reset: Signal<In, Bit>,
    step: Signal<In, Bits<8>>,
    sum: Signal<Out, Bits<8>>,
    lanes: [Child; 4],
}

impl Logic for Parent {
    /// Blocks in an array, each fed by the one before.
    #[kernel]
    fn update(&mut self) {
        clocked!(self, clock, reset; lanes[..]);
        self.lanes[0].step.next = self.step.val();
        for i in 1..4 {
            self.lanes[i].step.next = self.lanes[i - 1].sum.val();
        }
        self.sum.next = self.lanes[3].sum.val();
    }
}

#[test]
fn a_block_is_emitted_once() {
    let text = agree!(Parent, clocked, [reset, step], [sum]);
    assert_eq!(text.matches("module child").count(), 1, "{text}");
    assert_eq!(text.matches("    child lanes_").count(), 4, "{text}");
}

#[derive(LogicBlock, Default)]
struct Latch {
    f: Signal<In, Bit>,
    x: Signal<Out, Bit>,
}

impl Logic for Latch {
    /// Forgets the other branch.
    #[kernel]
    fn update(&mut self) {
        if self.f.val() {
            self.x.next = true;
        }
    }
}

#[derive(LogicBlock, Default)]
struct Floating {
    x: Signal<Out, Bit>,
    child: Child,
}

impl Logic for Floating {
    /// Leaves the child's inputs open.
    #[kernel]
    fn update(&mut self) {
        self.x.next = self.child.sum.val().any();
    }
}

#[test]
fn mistakes_are_refused_by_name() {
    let error = emit(&Latch::default(), "latch").unwrap_err().to_string();
    assert!(error.contains("latch: `x` is not assigned on every path"), "{error}");
    let error = emit(&Floating::default(), "floating").unwrap_err().to_string();
    assert!(error.contains("floating: `child.clock` is not driven"), "{error}");
}
