//! The emitter refuses what cannot be expressed in Verilog, with the block's name and the cause.

use nitor_rtl::build::{number, slice, Expr, Kernel, Op, Unary};
use nitor_rtl::{emit, prelude::*};
use std::rc::Rc;

fn refused(block: &impl Block, name: &str, cause: &str) {
    let error = emit(block, "top").unwrap_err();
    assert_eq!((error.block.as_str(), error.cause.as_str()), (name, cause));
    assert_eq!(error.to_string(), format!("{name}: {cause}"));
}

#[derive(LogicBlock, Default)]
struct Inner {
    i: Signal<In, Bits<8>>,
    o: Signal<Out, Bits<8>>,
}

impl Logic for Inner {
    #[kernel]
    fn update(&mut self) {
        self.o.next = self.i.val();
    }
}

/// Blocks that are alike but for what each does wrong.
macro_rules! blocks {
    ($($name:ident $update:item)*) => {$(
        #[derive(LogicBlock, Default)]
        struct $name {
            clock: Signal<In, Clock>,
            reset: Signal<In, Bit>,
            f: Signal<In, Bit>,
            a: Signal<In, Bits<8>>,
            x: Signal<Out, Bits<8>>,
            inner: Inner,
            r: Reg<Bits<8>>,
        }

        impl Logic for $name {
            $update
        }
    )*};
}

blocks! {
    DrivesInput
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; r);
        self.inner.i.next = self.r.q.val();
        self.x.next = self.inner.o.val();
        self.a.next = lit::<8>(0);
    }

    DrivesInside
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; r);
        self.inner.i.next = self.r.q.val();
        self.x.next = self.a.val();
        self.inner.o.next = self.a.val();
    }

    LeavesOutput
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; r);
        self.inner.i.next = self.inner.o.val();
    }

    LeavesInside
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; r);
        self.x.next = self.inner.o.val();
    }

    LatchInRegister
    #[kernel]
    fn update(&mut self) {
        clocked!(self, clock, reset; r);
        self.inner.i.next = self.r.q.val();
        self.x.next = self.inner.o.val();
        if self.f.val() {
            self.r.d.next = self.a.val();
        }
    }

    LatchInMatch
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; r);
        self.inner.i.next = self.r.q.val();
        match self.a.val() {
            0 => self.x.next = self.inner.o.val(),
            1 => self.x.next = self.a.val(),
            _ => {}
        }
    }

    GatedReset
    #[kernel]
    fn update(&mut self) {
        self.r.clock.next = self.clock.val();
        if self.f.val() {
            self.r.reset.next = self.reset.val();
        } else {
            self.r.reset.next = true;
        }
        self.r.d.next = self.a.val();
        self.inner.i.next = self.r.q.val();
        self.x.next = self.inner.o.val();
    }

    ReplacesBeyond
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; r);
        self.inner.i.next = self.r.q.val();
        self.x.next = self.inner.o.val().set_slice::<4>(6, self.a.val().get_bits::<4>(0));
    }

    WideNumber
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; r);
        self.inner.i.next = self.r.q.val();
        self.x.next = if self.a.val() == 300 { self.a.val() } else { self.inner.o.val() };
    }

    WidePattern
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; r);
        self.inner.i.next = self.r.q.val();
        self.x.next = match self.a.val() {
            300 => self.a.val(),
            _ => self.inner.o.val(),
        };
    }
}

#[test]
fn kernels_without_verilog() {
    macro_rules! no {
        ($($name:ident: $cause:expr;)*) => {
            $(refused(&$name::default(), "top", $cause);)*
        };
    }
    no! {
        DrivesInput: "`a` is an input and cannot be driven here";
        DrivesInside: "`inner.o` is an output of a block inside";
        LeavesOutput: "`x` is not driven";
        LeavesInside: "`inner.i` is not driven";
        LatchInRegister: "`r.d` is not assigned on every path (a latch)";
        LatchInMatch: "`x` is not assigned on every path (a latch)";
        GatedReset: "`r.reset` must be wired without condition";
        ReplacesBeyond: "bits 9:6 of 8 are replaced";
        WideNumber: "0x12c does not fit in 8 bits";
        WidePattern: "0x12c does not fit in 8 bits";
    }
}

#[derive(LogicBlock, Default)]
struct Literal {
    a: Signal<In, Bits<15>>,
    x: Signal<Out, Bit>,
    inner: Half,
    _limit: usize,
}

const HERE: u32 = line!();

impl Logic for Literal {
    #[kernel]
    fn update(&mut self) {
        self.inner.a.next = self.a.val();
        self.x.next = self.a.val() > lit::<15>(8 * self._limit) && self.inner.x.val();
    }
}

#[kernel]
fn least<const N: usize>(a: Bits<N>, b: Bit) -> Bits<N> {
    if b {
        lit::<N>(N as i32 - 17)
    } else {
        a
    }
}

#[derive(LogicBlock, Default)]
struct Half {
    a: Signal<In, Bits<15>>,
    x: Signal<Out, Bit>,
    _negative: bool,
}

impl Logic for Half {
    #[kernel]
    fn update(&mut self) {
        self.x.next =
            if self._negative { least::<15>(self.a.val(), true).any() } else { self.a.val().any() };
    }
}

/// A literal that does not fit is refused with its block and line, as RustHDL's simulator refuses it; it is not cut.
#[test]
fn literals_that_do_not_fit() {
    let at = |lines: u32| format!("{}:{}", file!(), HERE + lines);
    let mut block = Literal { _limit: 0x7ff, ..Literal::default() };
    assert!(emit(&block, "top").unwrap().to_string().contains("15'h3ff8"));
    block._limit = 0x3fff;
    refused(&block, "top", &format!("{}: 0x1fff8 does not fit in 15 bits", at(6)));
    block._limit = 1;
    block.inner._negative = true;
    refused(&block, "top.inner", &format!("{}: -2 is negative", at(13)));

    let wide = Expr::Cast(Box::new(number(0x1fff8)), 8);
    refused(&hand(drives(wide)), "top", "0x1fff8 does not fit in 8 bits");
}

/// What a block's `hdl` gives.
#[derive(Default, Clone)]
struct Code(Option<Rc<dyn Fn() -> Verilog>>);

/// A block with Verilog of its own.
#[derive(LogicBlock, Default)]
struct Hand {
    a: Signal<In, Bits<8>>,
    x: Signal<Out, Bits<8>>,
    _code: Code,
}

impl Logic for Hand {
    fn update(&mut self) {}

    fn hdl(&self) -> Verilog {
        self._code.0.as_ref().map_or(Verilog::Empty, |code| code())
    }
}

fn hand(code: Code) -> Hand {
    Hand { _code: code, ..Hand::default() }
}

fn fixed(code: Verilog) -> Code {
    Code(Some(Rc::new(move || code.clone())))
}

fn built(build: impl Fn(&mut Kernel) + 'static) -> Code {
    Code(Some(Rc::new(move || {
        let mut k = Kernel::new("Hand", "");
        build(&mut k);
        k.finish()
    })))
}

/// `x` driven by an expression.
fn drives(value: Expr) -> Code {
    built(move |k| k.assign("x".to_string(), value.clone()))
}

fn a() -> Box<Expr> {
    Box::new(Expr::Signal("a".to_string()))
}

#[test]
fn blocks_without_verilog() {
    refused(&hand(Code::default()), "top", "the block has no Verilog");
    let text = Verilog::Custom("assign x = a;".to_string());
    refused(&hand(fixed(text)), "top", "a leaf is made with nitor_rtl::leaf");
    let wrapper = Verilog::Wrapper(Wrapper { code: String::new(), cores: String::new() });
    let cause = "wrappers and black boxes are not supported; write a leaf";
    refused(&hand(fixed(wrapper)), "top", cause);
}

#[test]
fn expressions_without_a_width() {
    let arithmetic = "arithmetic on numbers without a width; use lit::<N>(..)";
    let sum = || Expr::Binary(Box::new(number(1)), Op::Add, Box::new(number(2)));
    refused(&hand(drives(sum())), "top", arithmetic);
    refused(&hand(drives(Expr::Cast(Box::new(sum()), 8))), "top", arithmetic);
    let not = Expr::Unary(Unary::Any, Box::new(number(1)));
    let not = Expr::Cast(Box::new(not), 8);
    refused(&hand(drives(not)), "top", "Any of a number without a width");

    // A variable that is never anything but a number.
    let count = built(|k| {
        let count = k.bind("count", number(3));
        k.assign("x".to_string(), count);
    });
    refused(&hand(count), "top", "`count` has no width; use lit::<N>(..)");
}

#[test]
fn operators_and_widths() {
    let of = |op| Expr::Binary(a(), op, a());
    refused(&hand(drives(of(Op::Mul))), "top", "multiplication is not supported");
    let bit = slice(*a(), 1, number(0));
    refused(&hand(drives(bit)), "top", "an expression of 1 bits where 8 are needed");
    let mixed = Expr::Binary(a(), Op::Add, Box::new(Expr::Literal(1, 4)));
    refused(&hand(drives(mixed)), "top", "operands of Add are 8 and 4 bits wide");
    let elsewhere = Expr::Signal("b".to_string());
    refused(&hand(drives(elsewhere)), "top", "`b` is not a signal of this block");
    let negative = Expr::Unary(Unary::Neg, a());
    refused(&hand(drives(negative)), "top", "negation is not supported; subtract from zero");
}

#[derive(LogicBlock, Default)]
struct Middle {
    a: Signal<In, Bits<8>>,
    x: Signal<Out, Bits<8>>,
    hands: [Hand; 2],
}

impl Logic for Middle {
    #[kernel]
    fn update(&mut self) {
        for i in 0..2 {
            self.hands[i].a.next = self.a.val();
        }
        self.x.next = self.hands[0].x.val() & self.hands[1].x.val();
    }
}

#[derive(LogicBlock, Default)]
struct Outer {
    a: Signal<In, Bits<8>>,
    x: Signal<Out, Bits<8>>,
    middle: Middle,
}

impl Logic for Outer {
    #[kernel]
    fn update(&mut self) {
        self.middle.a.next = self.a.val();
        self.x.next = self.middle.x.val();
    }
}

#[test]
fn blocks_inside_are_named_by_their_path() {
    let mut outer = Outer::default();
    outer.middle.hands[0]._code = drives(*a());
    refused(&outer, "top.middle.hands$1", "the block has no Verilog");
    outer.middle.hands[1]._code = drives(*a());
    emit(&outer, "top").unwrap();
}

#[derive(LogicBlock, Default)]
struct Pad {
    pin: Signal<InOut, Bit>,
}

impl Logic for Pad {
    #[kernel]
    fn update(&mut self) {}
}

#[derive(LogicBlock)]
struct WideConstant {
    x: Signal<Out, Bit>,
    c: Constant<Bits<200>>,
}

impl Logic for WideConstant {
    #[kernel]
    fn update(&mut self) {
        self.x.next = self.c.val().any();
    }
}

#[test]
fn signals_that_are_neither_in_nor_out() {
    let cause = "`pin`: inout and stub signals are not supported";
    refused(&Pad::default(), "top", cause);
    let wide = WideConstant { x: Default::default(), c: Constant::new(!lit::<200>(0)) };
    refused(&wide, "top", "the constant `c` is wider than 128 bits");
}
