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
            // Xorshift, 32 bits at a time.
            let step = format!(
                "{word} = {word} ^ {word} << 13; {word} = {word} ^ {word} >> 7; \
                 {word} = {word} ^ {word} << 17;"
            );
            let (parts, rest) = (width / 32, width % 32);
            // Unrolled, this is more C++ than the card.
            let rolled = "/* verilator unroll_disable */";
            let mut fills = String::new();
            if parts > 0 {
                let _ = write!(
                    fills,
                    "{rolled} for ({part} = 0; {part} < {parts}; {part} = {part} + 1) begin {step} \
                     {name}[{at}][{part} * 32 +: 32] = {word}[31:0]; end "
                );
            }
            if rest > 0 {
                let low = 32 * parts;
                let high = width - 1;
                let _ = write!(fills, "{step} {name}[{at}][{high}:{low}] = {word}[{rest}-1:0]; ");
            }
            let _ = write!(
                text,
                " /* verilator coverage_off */ reg [63:0] {seed} /* verilator public_flat_rw */; \
                 reg [63:0] {word}; integer {at}, {part}; initial begin {word} = {seed} | 1; \
                 {rolled} for ({at} = 0; {at} < {depth}; {at} = {at} + 1) begin {fills}end end \
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
