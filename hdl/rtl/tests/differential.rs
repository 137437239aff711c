//! Compares thousands of random expressions: RustHDL's `Bits` against the emitted Verilog in
//! Verilator and in Icarus Verilog.
//!
//! `NITOR_SEED` replays a run.

mod support;

use nitor_block::bitvec::prelude::*;
use nitor_block::Model;
use nitor_rtl::build::{cast, number, slice, Expr, Kernel, Op, Unary};
use nitor_rtl::prelude::*;
use nitor_rtl::{emit, with_stack, Design};
use rand::{rngs::StdRng, Rng, SeedableRng};
use std::collections::BTreeMap;
use support::{icarus, ports};

const WIDTHS: [usize; 10] = [1, 4, 8, 13, 16, 31, 32, 33, 64, 128];
const BATCHES: usize = 8;
const EXPRESSIONS: usize = 300;
const VECTORS: usize = 24;

/// Runs `$body` with the constant `$N` equal to `$width`.
macro_rules! with_width {
    ($width:expr, $N:ident, $body:expr) => {
        match $width {
            1 => {
                const $N: usize = 1;
                $body
            }
            4 => {
                const $N: usize = 4;
                $body
            }
            8 => {
                const $N: usize = 8;
                $body
            }
            13 => {
                const $N: usize = 13;
                $body
            }
            16 => {
                const $N: usize = 16;
                $body
            }
            31 => {
                const $N: usize = 31;
                $body
            }
            32 => {
                const $N: usize = 32;
                $body
            }
            33 => {
                const $N: usize = 33;
                $body
            }
            64 => {
                const $N: usize = 64;
                $body
            }
            128 => {
                const $N: usize = 128;
                $body
            }
            other => panic!("no test of width {other}"),
        }
    };
}

/// A block whose kernel is a list of expressions, one an output.
#[derive(LogicBlock, Default)]
struct Expressions {
    i1: [Signal<In, Bits<1>>; 3],
    i4: [Signal<In, Bits<4>>; 3],
    i8: [Signal<In, Bits<8>>; 3],
    i13: [Signal<In, Bits<13>>; 3],
    i16: [Signal<In, Bits<16>>; 3],
    i31: [Signal<In, Bits<31>>; 3],
    i32: [Signal<In, Bits<32>>; 3],
    i33: [Signal<In, Bits<33>>; 3],
    i64: [Signal<In, Bits<64>>; 3],
    i128: [Signal<In, Bits<128>>; 3],
    o1: Vec<Signal<Out, Bits<1>>>,
    o4: Vec<Signal<Out, Bits<4>>>,
    o8: Vec<Signal<Out, Bits<8>>>,
    o13: Vec<Signal<Out, Bits<13>>>,
    o16: Vec<Signal<Out, Bits<16>>>,
    o31: Vec<Signal<Out, Bits<31>>>,
    o32: Vec<Signal<Out, Bits<32>>>,
    o33: Vec<Signal<Out, Bits<33>>>,
    o64: Vec<Signal<Out, Bits<64>>>,
    o128: Vec<Signal<Out, Bits<128>>>,
    _code: Vec<(String, Expr)>,
}

impl Logic for Expressions {
    fn update(&mut self) {}

    fn hdl(&self) -> Verilog {
        let mut k = Kernel::new("Expressions", "");
        for (name, value) in &self._code {
            k.assign(name.clone(), value.clone());
        }
        k.finish()
    }
}

type Inputs = BTreeMap<String, (usize, u128)>;

fn mask(width: usize) -> u128 {
    u128::MAX >> (128 - width)
}

/// What the expression is in Rust, by RustHDL's own `Bits`.
fn evaluate(e: &Expr, inputs: &Inputs) -> (usize, u128) {
    match e {
        Expr::Signal(name) => inputs[name],
        Expr::Literal(v, w) => (*w, *v),
        Expr::Cast(e, w) => {
            let (_, v) = evaluate(e, inputs);
            (*w, v & mask(*w))
        }
        Expr::Concat(parts) => parts.iter().fold((0, 0), |(w, v), part| {
            let (n, x) = evaluate(part, inputs);
            (w + n, if n == 128 { x } else { v << n | x })
        }),
        Expr::Mux(c, t, f) => evaluate(if evaluate(c, inputs).1 == 1 { t } else { f }, inputs),
        Expr::Select(test, cases) => {
            let test = evaluate(test, inputs).1;
            let hit =
                |p: &[Expr]| p.is_empty() || p.iter().any(|p| index(p, inputs) as u128 == test);
            evaluate(&cases.iter().find(|c| hit(&c.0)).unwrap().1, inputs)
        }
        Expr::Replace(a, w, i, v) => {
            let ((n, a), i) = (evaluate(a, inputs), index(i, inputs));
            let v = evaluate(v, inputs).1;
            let place = |x: u128| if i < 128 { x << i & mask(n) } else { 0 };
            (n, a & !place(mask(*w)) | place(v))
        }
        Expr::Unary(op, a) => {
            let (w, a) = evaluate(a, inputs);
            with_width!(w, N, {
                let a = lit::<N>(a);
                match op {
                    Unary::Not => (w, (!a).to_u128()),
                    Unary::All => (1, u128::from(a.all())),
                    Unary::Any => (1, u128::from(a.any())),
                    Unary::Xor => (1, u128::from(a.xor())),
                    Unary::Neg => panic!("not generated"),
                }
            })
        }
        Expr::Slice(a, w, i) => {
            let ((_, a), i) = (evaluate(a, inputs), index(i, inputs));
            (*w, if i < 128 { (a >> i) & mask(*w) } else { 0 })
        }
        Expr::Binary(l, op, r) => {
            let (w, a) = evaluate(l, inputs);
            if let Op::Shl | Op::Shr = op {
                let by = index(r, inputs) as u64;
                return with_width!(w, N, {
                    let a = lit::<N>(a);
                    match op {
                        Op::Shl => (w, (a << by).to_u128()),
                        _ => (w, (a >> by).to_u128()),
                    }
                });
            }
            let (_, b) = match &**r {
                Expr::Number(v) => (w, *v),
                r => evaluate(r, inputs),
            };
            with_width!(w, N, {
                let (a, b) = (lit::<N>(a), lit::<N>(b));
                let flag = |f: bool| (1, u128::from(f));
                match op {
                    Op::Add => (w, (a + b).to_u128()),
                    Op::Sub => (w, (a - b).to_u128()),
                    Op::BitAnd => (w, (a & b).to_u128()),
                    Op::BitOr => (w, (a | b).to_u128()),
                    Op::BitXor => (w, (a ^ b).to_u128()),
                    Op::Eq => flag(a == b),
                    Op::Ne => flag(a != b),
                    Op::Lt => flag(a < b),
                    Op::Le => flag(a <= b),
                    Op::Gt => flag(a > b),
                    Op::Ge => flag(a >= b),
                    Op::LogicalAnd => flag(a.any() && b.any()),
                    Op::LogicalOr => flag(a.any() || b.any()),
                    _ => panic!("not generated"),
                }
            })
        }
        other => panic!("not generated: {other:?}"),
    }
}

fn index(e: &Expr, inputs: &Inputs) -> usize {
    match e {
        Expr::Number(v) => *v as usize,
        e => evaluate(e, inputs).1 as usize,
    }
}

fn pick<T: Copy>(rng: &mut StdRng, of: &[T]) -> T {
    of[rng.gen_range(0..of.len())]
}

fn value(rng: &mut StdRng, width: usize) -> u128 {
    // Corners carry and wrap; anything else is as likely.
    let v = match rng.gen_range(0..6) {
        0 => 0,
        1 => u128::MAX,
        2 => 1,
        3 => 1 << (width - 1),
        _ => rng.gen(),
    };
    v & mask(width)
}

fn boxed(e: Expr) -> Box<Expr> {
    Box::new(e)
}

fn generate(rng: &mut StdRng, width: usize, depth: usize) -> Expr {
    if depth == 0 {
        return match rng.gen_range(0..4) {
            0 => Expr::Literal(value(rng, width), width),
            _ => Expr::Signal(format!("i{width}${}", rng.gen_range(0..3))),
        };
    }
    let below = |rng: &mut StdRng, w| {
        let depth = rng.gen_range(0..depth);
        generate(rng, w, depth)
    };
    match rng.gen_range(0..14) {
        0..=3 => {
            let op = pick(rng, &[0, 1, 2, 3, 4]);
            let op = [Op::Add, Op::Sub, Op::BitAnd, Op::BitOr, Op::BitXor][op];
            let l = below(rng, width);
            let r = match rng.gen_range(0..4) {
                0 => number(value(rng, width)),
                _ => below(rng, width),
            };
            Expr::Binary(boxed(l), op, boxed(r))
        }
        4 => Expr::Unary(Unary::Not, boxed(below(rng, width))),
        5 => {
            let op = if rng.gen() { Op::Shl } else { Op::Shr };
            let by = match rng.gen() {
                true if width >= 16 => below(rng, 4),
                _ => number(rng.gen_range(0..width) as u128),
            };
            Expr::Binary(boxed(below(rng, width)), op, boxed(by))
        }
        6 => {
            let from = pick(rng, &WIDTHS);
            cast(below(rng, from), width)
        }
        7 => {
            let from = pick(rng, &WIDTHS);
            let at = match rng.gen() {
                true => number(rng.gen_range(0..from) as u128),
                false => {
                    let narrow = pick(rng, &[4, 8]);
                    below(rng, narrow)
                }
            };
            slice(below(rng, from), width, at)
        }
        8 if width == 1 => {
            let of = pick(rng, &WIDTHS);
            let op = [Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge][rng.gen_range(0..6)];
            Expr::Binary(boxed(below(rng, of)), op, boxed(below(rng, of)))
        }
        9 if width == 1 => match rng.gen() {
            true => {
                let of = pick(rng, &WIDTHS);
                let op = [Unary::All, Unary::Any, Unary::Xor][rng.gen_range(0..3)];
                Expr::Unary(op, boxed(below(rng, of)))
            }
            false => {
                let op = if rng.gen() { Op::LogicalAnd } else { Op::LogicalOr };
                Expr::Binary(boxed(below(rng, 1)), op, boxed(below(rng, 1)))
            }
        },
        10 => Expr::Mux(boxed(below(rng, 1)), boxed(below(rng, width)), boxed(below(rng, width))),
        11 => {
            let mut cases = vec![(vec![], below(rng, width))];
            for n in 0..rng.gen_range(1..4) {
                cases.insert(0, (vec![number(3 * n), number(3 * n + 1)], below(rng, width)));
            }
            Expr::Select(boxed(below(rng, 4)), cases)
        }
        12 if width >= 8 => {
            // Over the top, too.
            let part = pick(rng, &[1, 4, 8]);
            let at = match rng.gen() {
                true => number(rng.gen_range(0..=width - part) as u128),
                false => {
                    let narrow = pick(rng, &[4, 8]);
                    below(rng, narrow)
                }
            };
            let (base, value) = (below(rng, width), below(rng, part));
            Expr::Replace(boxed(base), part, boxed(at), boxed(value))
        }
        _ => {
            // Of parts that there are tests of.
            let splits =
                [(8, 4, 4), (16, 8, 8), (32, 16, 16), (32, 31, 1), (33, 32, 1), (64, 33, 31)];
            match splits.iter().find(|s| s.0 == width) {
                Some(&(_, a, b)) => Expr::Concat(vec![below(rng, a), below(rng, b)]),
                None => below(rng, width),
            }
        }
    }
}

fn design(expressions: &[(String, Expr)]) -> Design {
    let code = expressions.to_vec();
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for (name, _) in expressions {
        let width: usize = name[1..name.find('$').unwrap()].parse().unwrap();
        *counts.entry(width).or_default() += 1;
    }
    with_stack(move || {
        let outputs = |w: usize| counts.get(&w).copied().unwrap_or(0);
        macro_rules! many {
            ($w:expr) => {
                (0..outputs($w)).map(|_| Default::default()).collect()
            };
        }
        let block = Expressions {
            o1: many!(1),
            o4: many!(4),
            o8: many!(8),
            o13: many!(13),
            o16: many!(16),
            o31: many!(31),
            o32: many!(32),
            o33: many!(33),
            o64: many!(64),
            o128: many!(128),
            _code: code,
            ..Default::default()
        };
        emit(&block, "expressions").unwrap()
    })
}

fn verilog(name: &str) -> String {
    name.replace('$', "_")
}

#[test]
fn random_expressions_mean_the_same_everywhere() {
    let seed = std::env::var("NITOR_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261);
    eprintln!("NITOR_SEED={seed}");
    for batch in 0..BATCHES {
        let mut rng = StdRng::seed_from_u64(seed + batch as u64);
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        let expressions: Vec<(String, Expr)> = (0..EXPRESSIONS)
            .map(|_| {
                let width = pick(&mut rng, &WIDTHS);
                let n = counts.entry(width).or_default();
                *n += 1;
                (format!("o{width}${}", *n - 1), generate(&mut rng, width, 4))
            })
            .collect();
        let vectors: Vec<Inputs> = (0..VECTORS)
            .map(|_| {
                let names = WIDTHS.iter().flat_map(|&w| (0..3).map(move |i| (w, i)));
                names.map(|(w, i)| (format!("i{w}${i}"), (w, value(&mut rng, w)))).collect()
            })
            .collect();
        let design = design(&expressions);
        // Random comparisons may be constant; nobody would write them.
        let off = ["UNSIGNED", "CMPCONST", "UNUSEDSIGNAL"]
            .map(|w| format!("/* verilator lint_off {w} */\n"));
        let off = off.concat();
        nitor_block::lint(format!("{off}{design}"), "expressions").unwrap();
        let model = Model::build(design.to_string(), "expressions", &ports(&design)).unwrap();
        let mut block = model.block(seed);
        let bench: Vec<icarus::Vector> = vectors
            .iter()
            .map(|inputs| inputs.iter().map(|(name, (_, v))| (verilog(name), *v)).collect())
            .collect();
        let second = icarus::settled(&design, "expressions", &bench);
        for (v, inputs) in vectors.iter().enumerate() {
            for (name, (w, x)) in inputs {
                let words = [*x as u64, (*x >> 64) as u64];
                block.set_bits(verilog(name).as_str(), &words.view_bits::<Lsb0>()[..*w]);
            }
            block.eval();
            for (name, e) in &expressions {
                let (_, expected) = evaluate(e, inputs);
                let got: u128 = block.get_bits(verilog(name).as_str()).load_le();
                assert_eq!(got, expected, "Verilator, batch {batch}, {name} = {e:?} on {inputs:?}");
                if let Some(second) = &second {
                    assert_eq!(
                        second[v][&verilog(name)],
                        expected,
                        "Icarus, batch {batch}, {name} = {e:?} on {inputs:?}"
                    );
                }
            }
        }
    }
}
