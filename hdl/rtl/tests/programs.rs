//! Random kernels: compares their meaning in Rust, statement by statement, with the emitted Verilog
//! in Verilator and in Icarus Verilog. The kernels have intermediate reads of variables, nested
//! loops, slices written in place, arrays, registers and helpers.
//!
//! `NITOR_SEED` replays a run.

mod support;

use nitor_block::{lint, Model};
use nitor_rtl::build::{binary, mux, number, replace, slice, unary, Expr, Kernel, Op, Unary};
use nitor_rtl::prelude::*;
use nitor_rtl::{emit, with_stack, Design};
use rand::{rngs::StdRng, Rng, SeedableRng};
use support::{icarus, ports};

const BATCHES: u64 = 3;
/// Programs of a batch, each in one kernel with all others.
const PROGRAMS: usize = 30;
const INPUTS: usize = 4;
const OUTPUTS: usize = 4;
const REGISTERS: usize = 3;
const CYCLES: usize = 40;

/// A number of 8 bits, or a condition of one.
#[derive(Clone, Debug)]
enum Value {
    Input(usize),
    Register(usize),
    Variable(usize),
    Let(usize),
    Literal(u8),
    /// `step` times the index of a loop around, by its depth, plus `base`.
    Index(usize, u8, u8),
    Sum(Box<Value>, Box<Value>),
    Less(Box<Value>, Box<Value>),
    Xor(Box<Value>, Box<Value>),
    Mux(Box<Value>, Box<Value>, Box<Value>),
    /// Two bits from twice the index of a loop on.
    Pair(Box<Value>, usize),
    Helper(Box<Value>, Box<Value>),
}

#[derive(Clone, Debug)]
enum Step {
    Let(usize, Value),
    Variable(usize, Value),
    Set(usize, Value),
    /// Two bits, from twice the index of a loop on.
    Part(usize, usize, Value),
    Output(usize, Value),
    /// The output that a loop's index says.
    Array(usize, Value),
    Register(usize, Value),
    If(Value, Vec<Step>, Vec<Step>),
    Match(Value, Vec<(u8, Vec<Step>)>, Vec<Step>),
    Loop(usize, Vec<Step>),
}

/// What is in scope where a program is made.
#[derive(Clone, Default)]
struct Scope {
    variables: Vec<usize>,
    lets: Vec<usize>,
    loops: usize,
}

struct Maker {
    rng: StdRng,
    fresh: usize,
}

impl Maker {
    fn value(&mut self, scope: &Scope, depth: usize) -> Value {
        let rng = &mut self.rng;
        if depth == 0 {
            return match rng.gen_range(0..8) {
                0 => Value::Literal(rng.gen()),
                1 => Value::Register(rng.gen_range(0..REGISTERS)),
                2 | 3 if !scope.variables.is_empty() => {
                    Value::Variable(scope.variables[rng.gen_range(0..scope.variables.len())])
                }
                4 | 5 if !scope.lets.is_empty() => {
                    Value::Let(scope.lets[rng.gen_range(0..scope.lets.len())])
                }
                6 if scope.loops > 0 => Value::Index(
                    rng.gen_range(0..scope.loops),
                    rng.gen_range(0..4),
                    rng.gen_range(0..9),
                ),
                _ => Value::Input(rng.gen_range(0..INPUTS)),
            };
        }
        let kind = rng.gen_range(0..7);
        let loops = scope.loops;
        let mut below = || Box::new(self.value(scope, depth - 1));
        match kind {
            0 => Value::Sum(below(), below()),
            1 => Value::Less(below(), below()),
            2 => Value::Xor(below(), below()),
            3 => Value::Mux(below(), below(), below()),
            4 if loops > 0 => {
                let of = below();
                Value::Pair(of, self.rng.gen_range(0..loops))
            }
            5 => Value::Helper(below(), below()),
            _ => *below(),
        }
    }

    fn steps(&mut self, scope: &mut Scope, depth: usize) -> Vec<Step> {
        (0..self.rng.gen_range(1..5)).map(|_| self.step(scope, depth)).collect()
    }

    fn step(&mut self, scope: &mut Scope, depth: usize) -> Step {
        let deep = self.rng.gen_range(0..3);
        let value = self.value(scope, deep);
        let variable = |s: &mut Self, scope: &Scope| {
            let all = &scope.variables;
            (!all.is_empty()).then(|| all[s.rng.gen_range(0..all.len())])
        };
        match self.rng.gen_range(0..if depth == 0 { 10 } else { 16 }) {
            0 => {
                self.fresh += 1;
                scope.lets.push(self.fresh);
                Step::Let(self.fresh, value)
            }
            1 => {
                self.fresh += 1;
                scope.variables.push(self.fresh);
                Step::Variable(self.fresh, value)
            }
            2..=4 if !scope.variables.is_empty() => {
                Step::Set(variable(self, scope).unwrap(), value)
            }
            5 if scope.loops > 0 && !scope.variables.is_empty() => {
                let of = variable(self, scope).unwrap();
                Step::Part(of, self.rng.gen_range(0..scope.loops), value)
            }
            6 if scope.loops > 0 => Step::Array(self.rng.gen_range(0..scope.loops), value),
            7 => Step::Register(self.rng.gen_range(0..REGISTERS), value),
            10..=12 => {
                let then = self.steps(&mut scope.clone(), depth - 1);
                let otherwise = match self.rng.gen() {
                    true => self.steps(&mut scope.clone(), depth - 1),
                    false => vec![],
                };
                Step::If(value, then, otherwise)
            }
            13 => {
                let arms = [3, 0x80].map(|k| (k, self.steps(&mut scope.clone(), depth - 1)));
                let rest = self.steps(&mut scope.clone(), depth - 1);
                Step::Match(value, arms.into(), rest)
            }
            14 | 15 => {
                let mut inner = scope.clone();
                inner.loops += 1;
                let turns = self.rng.gen_range(2..5);
                Step::Loop(turns, self.steps(&mut inner, depth - 1))
            }
            _ => Step::Output(self.rng.gen_range(0..OUTPUTS), value),
        }
    }
}

/// A program's run in Rust.
struct Run<'a> {
    inputs: &'a [u8],
    registers: &'a [u8],
    locals: std::collections::BTreeMap<usize, u8>,
    indices: Vec<u8>,
    outputs: [u8; OUTPUTS],
    next: [u8; REGISTERS],
}

fn helped(a: u8, b: u8) -> u8 {
    (0..8).fold(0, |all, i| all + u8::from(a >> i & 1 == 1 && b >> (7 - i) & 1 == 1)) ^ a
}

impl Run<'_> {
    fn value(&self, value: &Value) -> u8 {
        let of = |v: &Value| self.value(v);
        match value {
            Value::Input(i) => self.inputs[*i],
            Value::Register(i) => self.registers[*i],
            Value::Variable(id) | Value::Let(id) => self.locals[id],
            Value::Literal(v) => *v,
            Value::Index(depth, step, base) => step * self.indices[*depth] + base,
            Value::Sum(a, b) => of(a).wrapping_add(of(b)),
            Value::Less(a, b) => u8::from(of(a) < of(b)),
            Value::Xor(a, b) => of(a) ^ of(b),
            Value::Mux(c, a, b) => of(if of(c) != 0 { a } else { b }),
            Value::Pair(a, depth) => of(a) >> (2 * self.indices[*depth]) & 3,
            Value::Helper(a, b) => helped(of(a), of(b)),
        }
    }

    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Let(id, v) | Step::Variable(id, v) | Step::Set(id, v) => {
                    self.locals.insert(*id, self.value(v));
                }
                Step::Part(id, depth, v) => {
                    let at = 2 * self.indices[*depth];
                    let new = self.locals[id] & !(3 << at) | (self.value(v) & 3) << at;
                    self.locals.insert(*id, new);
                }
                Step::Output(i, v) => self.outputs[*i] = self.value(v),
                Step::Array(depth, v) => {
                    self.outputs[usize::from(self.indices[*depth])] = self.value(v)
                }
                Step::Register(i, v) => self.next[*i] = self.value(v),
                Step::If(c, then, otherwise) => match self.value(c) != 0 {
                    true => self.steps(then),
                    false => self.steps(otherwise),
                },
                Step::Match(v, arms, rest) => {
                    let v = self.value(v);
                    self.steps(arms.iter().find(|a| a.0 == v).map_or(rest, |a| &a.1));
                }
                Step::Loop(turns, body) => {
                    for i in 0..*turns {
                        self.indices.push(i as u8);
                        self.steps(body);
                        self.indices.pop();
                    }
                }
            }
        }
    }
}

// The programs call what the macro makes of it.
#[allow(dead_code)]
#[kernel]
fn helper(a: Bits<8>, b: Bits<8>) -> Bits<8> {
    let mut sum = lit::<8>(0);
    for i in 0..8 {
        if a.get_bit(i) && b.get_bit(7 - i) {
            sum = sum + 1;
        }
    }
    sum ^ a
}

/// A program's tree: what `#[kernel]` would make of its source.
struct Lowering<'a> {
    k: &'a mut Kernel,
    program: usize,
    locals: std::collections::BTreeMap<usize, Expr>,
    indices: Vec<u8>,
}

impl Lowering<'_> {
    fn value(&mut self, value: &Value) -> Expr {
        let program = self.program;
        let literal = |v: u8| Expr::Literal(v.into(), 8);
        match value {
            Value::Input(i) => Expr::Signal(format!("i${i}")),
            Value::Register(i) => Expr::Signal(format!("r${}$q", program * REGISTERS + i)),
            Value::Variable(id) | Value::Let(id) => self.locals[id].clone(),
            Value::Literal(v) => literal(*v),
            Value::Index(depth, step, base) => literal(step * self.indices[*depth] + base),
            Value::Sum(a, b) => binary(self.value(a), Op::Add, self.value(b)),
            Value::Less(a, b) => {
                let less = binary(self.value(a), Op::Lt, self.value(b));
                Expr::Cast(less.boxed(), 8)
            }
            Value::Xor(a, b) => binary(self.value(a), Op::BitXor, self.value(b)),
            Value::Mux(c, a, b) => {
                let c = self.value(c);
                mux(unary(Unary::Any, c), self.value(a), self.value(b))
            }
            Value::Pair(a, depth) => {
                let at = number(2 * u128::from(self.indices[*depth]));
                Expr::Cast(slice(self.value(a), 2, at).boxed(), 8)
            }
            Value::Helper(a, b) => {
                let (a, b) = (self.value(a), self.value(b));
                helper__hdl(self.k, a, b)
            }
        }
    }

    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Let(id, v) => {
                    let v = self.value(v);
                    let local = self.k.bind("l", v);
                    self.locals.insert(*id, local);
                }
                Step::Variable(id, v) => {
                    let v = self.value(v);
                    let local = self.k.variable("v", v);
                    self.locals.insert(*id, local);
                }
                Step::Set(id, v) => {
                    let v = self.value(v);
                    self.k.set(&self.locals[id], v);
                }
                Step::Part(id, depth, v) => {
                    let at = number(2 * u128::from(self.indices[*depth]));
                    let v = slice(self.value(v), 2, number(0));
                    let local = self.locals[id].clone();
                    self.k.set(&local, replace(local.clone(), 2, at, v));
                }
                Step::Output(i, v) => self.output(*i, v),
                Step::Array(depth, v) => self.output(self.indices[*depth].into(), v),
                Step::Register(i, v) => {
                    let v = self.value(v);
                    self.k.assign(format!("r${}$d", self.program * REGISTERS + i), v);
                }
                Step::If(c, then, otherwise) => {
                    let c = self.value(c);
                    self.k.begin();
                    self.steps(then);
                    self.k.begin();
                    self.steps(otherwise);
                    self.k.end_if(unary(Unary::Any, c));
                }
                Step::Match(v, arms, rest) => {
                    let v = self.value(v);
                    self.k.begin_match();
                    for (key, body) in arms {
                        self.k.begin();
                        self.steps(body);
                        self.k.end_arm(vec![number((*key).into())]);
                    }
                    self.k.begin();
                    self.steps(rest);
                    self.k.end_arm(vec![]);
                    self.k.end_match(v);
                }
                Step::Loop(turns, body) => {
                    self.k.begin_loop(["i", "j", "k"][self.indices.len()]);
                    for i in 0..*turns {
                        self.indices.push(i as u8);
                        self.k.begin();
                        self.steps(body);
                        self.k.end_turn(i as i128);
                        self.indices.pop();
                    }
                    self.k.end_loop();
                }
            }
        }
    }

    fn output(&mut self, i: usize, v: &Value) {
        let v = self.value(v);
        self.k.assign(format!("o${}", self.program * OUTPUTS + i), v);
    }
}

/// A block whose kernel is all programs, one behind the other.
#[derive(LogicBlock, Default)]
struct Programs {
    clock: Signal<In, Clock>,
    reset: Signal<In, Bit>,
    i: [Signal<In, Bits<8>>; INPUTS],
    o: Vec<Signal<Out, Bits<8>>>,
    r: Vec<Reg<Bits<8>>>,
    _programs: Vec<Vec<Step>>,
}

impl Logic for Programs {
    fn update(&mut self) {}

    fn hdl(&self) -> Verilog {
        let mut k = Kernel::new("Programs", "");
        for (program, steps) in self._programs.iter().enumerate() {
            for i in program * REGISTERS..(program + 1) * REGISTERS {
                k.wire(format!("r${i}$clock"), "clock".into());
                k.wire(format!("r${i}$reset"), "reset".into());
                k.wire(format!("r${i}$d"), format!("r${i}$q"));
            }
            for i in program * OUTPUTS..(program + 1) * OUTPUTS {
                k.assign(format!("o${i}"), Expr::Literal(0, 8));
            }
            let (locals, indices) = Default::default();
            Lowering { k: &mut k, program, locals, indices }.steps(steps);
        }
        k.finish()
    }
}

fn design(programs: Vec<Vec<Step>>) -> Design {
    with_stack(move || {
        let block = Programs {
            o: (0..programs.len() * OUTPUTS).map(|_| Default::default()).collect(),
            r: (0..programs.len() * REGISTERS).map(|_| Default::default()).collect(),
            _programs: programs,
            ..Default::default()
        };
        emit(&block, "programs").unwrap()
    })
}

#[test]
fn random_programs_mean_the_same_everywhere() {
    let seed = std::env::var("NITOR_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261);
    eprintln!("NITOR_SEED={seed}");
    for batch in 0..BATCHES {
        let mut maker = Maker { rng: StdRng::seed_from_u64(seed + batch), fresh: 0 };
        let programs: Vec<Vec<Step>> = (0..PROGRAMS)
            .map(|_| {
                let mut scope = Scope::default();
                (0..8).map(|_| maker.step(&mut scope, 3)).collect()
            })
            .collect();
        let mut rng = maker.rng;
        let inputs: Vec<[u8; INPUTS]> = (0..CYCLES)
            .map(|_| [(); INPUTS].map(|_| if rng.gen_range(0..4) == 0 { 3 } else { rng.gen() }))
            .collect();
        let mut registers = vec![[0u8; REGISTERS]; PROGRAMS];
        let expected: Vec<Vec<u8>> = inputs
            .iter()
            .map(|inputs| {
                let runs = programs.iter().zip(&mut registers);
                runs.flat_map(|(program, registers)| {
                    let mut run = Run {
                        inputs,
                        registers: &registers.clone(),
                        locals: Default::default(),
                        indices: vec![],
                        outputs: [0; OUTPUTS],
                        next: *registers,
                    };
                    run.steps(program);
                    *registers = run.next;
                    run.outputs
                })
                .collect()
            })
            .collect();
        let design = design(programs.clone());
        let text = design.to_string();
        // Nobody would write all of this.
        let off = ["UNSIGNED", "CMPCONST", "UNUSEDSIGNAL"];
        let off = off.map(|w| format!("/* verilator lint_off {w} */\n")).concat();
        lint(format!("{off}{text}"), "programs").unwrap_or_else(|e| panic!("{e}\n{text}"));
        let mut block =
            Model::build(text.clone(), "programs", &ports(&design)).unwrap().block(seed);
        block.set("reset", 1);
        block.tick();
        block.set("reset", 0);
        let bench: Vec<Vec<(String, u128)>> = inputs
            .iter()
            .map(|inputs| {
                inputs.iter().enumerate().map(|(i, v)| (format!("i_{i}"), (*v).into())).collect()
            })
            .collect();
        let second = icarus::clocked(&design, "programs", &bench);
        for (cycle, (inputs, expected)) in inputs.iter().zip(&expected).enumerate() {
            for (i, v) in inputs.iter().enumerate() {
                block.set(format!("i_{i}").as_str(), u64::from(*v));
            }
            block.eval();
            for (i, expected) in expected.iter().enumerate() {
                let (name, program) = (format!("o_{i}"), &programs[i / OUTPUTS]);
                let got = block.get(name.as_str());
                let at = || format!("batch {batch}, cycle {cycle}, {name}\n{program:#?}\n{text}");
                assert_eq!(got, u64::from(*expected), "Verilator, {}", at());
                if let Some(second) = &second {
                    assert_eq!(second[cycle][&name], u128::from(*expected), "Icarus, {}", at());
                }
            }
            block.tick();
        }
    }
}
