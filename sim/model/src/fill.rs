//! Fills memories with random words before the simulation starts. Verilator itself gives every word
//! of a memory the same random value, so that a read of a wrong or stale address would go
//! unnoticed.

use std::fmt::Write;

/// The same Verilog, where each memory begins with random words. Their seed is a register without
/// an initial value, which the model draws for each instance from its own seed; it is public so
/// that Verilator keeps it. (`$random` with a seed, in Verilator 5.048, reseeds the whole model.)
pub fn filled(verilog: &str) -> String {
    let mut text = String::with_capacity(verilog.len());
    for line in verilog.lines() {
        text.push_str(line);
        if let Some(Memory { name, width, depth }) = Memory::declared(line) {
            let (at, part) = (format!("fill_{name}"), format!("fill_{name}_part"));
            let (seed, word) = (format!("fill_{name}_seed"), format!("fill_{name}_word"));
            let parts = width.div_ceil(32);
            // Xorshift, 32 bits at a time.
            let step = format!(
                "{word} = {word} ^ {word} << 13; {word} = {word} ^ {word} >> 7; \
                 {word} = {word} ^ {word} << 17;"
            );
            let _ = write!(
                text,
                " /* verilator coverage_off */ reg [63:0] {seed} /* verilator public_flat_rw */; \
                 reg [63:0] {word}; integer {at}, {part}; initial begin {word} = {seed} | 1; \
                 for ({at} = 0; {at} < {depth}; {at} = {at} + 1) \
                 for ({part} = 0; {part} < {parts}; {part} = {part} + 1) begin {step} \
                 {name}[{at}] = {{{name}[{at}], {word}[31:0]}}; end end \
                 /* verilator coverage_on */"
            );
        }
        text.push('\n');
    }
    text
}

/// A memory as the emitter declares it.
struct Memory<'a> {
    name: &'a str,
    width: usize,
    depth: usize,
}

impl<'a> Memory<'a> {
    fn declared(line: &'a str) -> Option<Self> {
        let (_, rest) = line.split_once("reg [")?;
        let (high, rest) = rest.split_once(":0] ")?;
        let (name, rest) = rest.split_once(" [0:")?;
        let last = rest.strip_suffix("];")?;
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let (high, last): (usize, usize) = (high.parse().ok()?, last.parse().ok()?);
        plain.then_some(Memory { name, width: high + 1, depth: last + 1 })
    }
}
