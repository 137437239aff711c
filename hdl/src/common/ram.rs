//! Memories. Three leaf primitives in Verilog, because RustHDL has no asynchronous read and no byte
//! enables, and two row memories made of them.
//!
//! | block | write | read | on ECP5 |
//! |---|---|---|---|
//! | [LutRam] | 1 port | same cycle | DPR16X4; registers for two words |
//! | [BlockRam] | 1 port | next cycle | DP16KD; DPR16X4 for up to eight words |
//! | [ByteRam] | 1 port, byte enables | next cycle | DP16KD |
//! | [BankedRam] | two neighbouring rows, byte enables | one row, next cycle | two [ByteRam] |
//! | [RowPairRam] | one row | two neighbouring rows, next cycle | two [BlockRam] |
//!
//! A read of an address written in the same cycle returns the old word from [LutRam] and an
//! unspecified word from the others: their users never read a word that is being written
//! (`no_rw_check` lets the synthesiser rely on it). Contents are undefined after power-on: a block
//! that may read a word before it was written clears the memory by a walk after reset.
//!
//! All memories take a write and a read in every cycle.

use nitor_rtl::prelude::*;
use std::collections::BTreeMap;

/// The Verilog of an address of A bits whose highest `zeros` are ignored: how many bits remain,
/// their slice, and a wire that uses the others.
fn addressed<const A: usize>(zeros: usize) -> (usize, String, String) {
    let bits = A - zeros;
    if zeros == 0 {
        return (bits, String::new(), String::new());
    }
    let rest = format!("[{}:{bits}]", A - 1);
    let unused = format!("wire unused = &{{1'b0, waddr{rest}, raddr{rest}}};\n");
    (bits, format!("[{}:0]", bits - 1), unused)
}

/// 2^A words of type T, asynchronous read.
#[derive(LogicBlock, Default)]
pub struct LutRam<T: Synth, const A: usize> {
    pub clock: Signal<In, Clock>,
    pub we: Signal<In, Bit>,
    pub waddr: Signal<In, Bits<A>>,
    pub wdata: Signal<In, T>,
    pub raddr: Signal<In, Bits<A>>,
    pub rdata: Signal<Out, T>,
    _mem: BTreeMap<usize, T>,
    /// Upper address bits that are ignored.
    _zeros: usize,
}

impl<T: Synth, const A: usize> LutRam<T, A> {
    /// A memory of 2^`log_depth` words, at most 2^A; it ignores the upper address bits.
    pub fn of_depth(log_depth: usize) -> Self {
        assert!((1..=A).contains(&log_depth));
        Self { _zeros: A - log_depth, ..Self::default() }
    }
}

impl<T: Synth, const A: usize> Logic for LutRam<T, A> {
    fn update(&mut self) {
        let place = |addr: Bits<A>| addr.index() % (1 << (A - self._zeros));
        if self.clock.pos_edge() && self.we.val() {
            self._mem.insert(place(self.waddr.val()), self.wdata.val());
        }
        let word = self._mem.get(&place(self.raddr.val()));
        self.rdata.next = word.copied().unwrap_or_default();
    }

    fn connect(&mut self) {
        self.rdata.connect();
    }

    fn hdl(&self) -> Verilog {
        let (bits, part, unused) = addressed::<A>(self._zeros);
        leaf::<Self>(
            "Memory with one write port and an asynchronous read port (distributed RAM).",
            &format!(
                "(* ram_style = \"{style}\" *) reg [{n}:0] mem [0:{d}];\n\
                 always @(posedge clock) if (we) mem[waddr{part}] <= wdata;\n\
                 assign rdata = mem[raddr{part}];\n{unused}",
                // Two words are smaller in registers.
                style = if bits == 1 { "registers" } else { "distributed" },
                n = T::BITS - 1,
                d = (1usize << bits) - 1
            ),
        )
    }
}

/// 2^A words of type T, read data one cycle after the address.
#[derive(LogicBlock, Default)]
pub struct BlockRam<T: Synth, const A: usize> {
    pub clock: Signal<In, Clock>,
    pub we: Signal<In, Bit>,
    pub waddr: Signal<In, Bits<A>>,
    pub wdata: Signal<In, T>,
    pub raddr: Signal<In, Bits<A>>,
    pub rdata: Signal<Out, T>,
    _mem: BTreeMap<usize, T>,
    /// Upper address bits that are ignored.
    _zeros: usize,
}

impl<T: Synth, const A: usize> BlockRam<T, A> {
    /// Of 2^`log_depth` words.
    pub fn of_depth(log_depth: usize) -> Self {
        assert!((1..=A).contains(&log_depth));
        Self { _zeros: A - log_depth, ..Self::default() }
    }
}

impl<T: Synth, const A: usize> Logic for BlockRam<T, A> {
    fn update(&mut self) {
        let place = |addr: Bits<A>| addr.index() % (1 << (A - self._zeros));
        if self.clock.pos_edge() {
            let word = self._mem.get(&place(self.raddr.val()));
            self.rdata.next = word.copied().unwrap_or_default();
            if self.we.val() {
                self._mem.insert(place(self.waddr.val()), self.wdata.val());
            }
        }
    }

    fn connect(&mut self) {
        self.rdata.connect();
    }

    fn hdl(&self) -> Verilog {
        let (bits, part, unused) = addressed::<A>(self._zeros);
        leaf::<Self>(
            "Memory with one write port and a registered read port (block RAM).",
            &format!(
                "(* no_rw_check, ram_style = \"{style}\" *) reg [{n}:0] mem [0:{d}];\n\
                 always @(posedge clock) begin\n    if (we) mem[waddr{part}] <= wdata;\n\
                 \x20   rdata <= mem[raddr{part}];\nend\n{unused}",
                // Up to eight words are not worth a block RAM.
                style = if bits <= 3 { "distributed" } else { "block" },
                n = T::BITS - 1,
                d = (1usize << bits) - 1
            ),
        )
    }
}

/// 2^A rows of K bytes (D = 8K bits), byte enables, read data one cycle after the address.
#[derive(LogicBlock, Default)]
pub struct ByteRam<const D: usize, const K: usize, const A: usize> {
    pub clock: Signal<In, Clock>,
    pub be: Signal<In, Bits<K>>,
    pub waddr: Signal<In, Bits<A>>,
    pub wdata: Signal<In, Bits<D>>,
    pub raddr: Signal<In, Bits<A>>,
    pub rdata: Signal<Out, Bits<D>>,
    _mem: BTreeMap<usize, Bits<D>>,
}

impl<const D: usize, const K: usize, const A: usize> Logic for ByteRam<D, K, A> {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let word = self._mem.get(&self.raddr.val().index());
            self.rdata.next = word.copied().unwrap_or_default();
            let row = self._mem.entry(self.waddr.val().index()).or_default();
            for i in 0..K {
                if self.be.val().get_bit(i) {
                    row.set_bits::<8>(8 * i, self.wdata.val().get_bits::<8>(8 * i));
                }
            }
        }
    }

    fn connect(&mut self) {
        self.rdata.connect();
    }

    fn hdl(&self) -> Verilog {
        leaf::<Self>(
            "Memory with one byte-enabled write port and a registered read port (block RAM).",
            &format!(
                "(* no_rw_check, ram_style = \"block\" *) reg [{n}:0] mem [0:{d}];\n\
                 integer i;\n\
                 always @(posedge clock) begin\n\
                 \x20   for (i = 0; i < {k}; i = i + 1)\n\
                 \x20       if (be[i]) mem[waddr][8*i +: 8] <= wdata[8*i +: 8];\n\
                 \x20   rdata <= mem[raddr];\nend\n",
                n = D - 1,
                d = (1usize << A) - 1,
                k = K
            ),
        )
    }
}

/// 2^(B+1) rows of K bytes in an even and an odd bank: one write puts rotated data into `row`
/// (bytes in `be_lo`) and `row + 1` (bytes in `be_hi`), one read returns a row in the next cycle.
/// Rows wrap; bits above B are ignored.
#[derive(LogicBlock, Default)]
pub struct BankedRam<const D: usize, const K: usize, const B: usize> {
    pub clock: Signal<In, Clock>,
    pub we: Signal<In, Bit>,
    pub row: Signal<In, Bits<16>>,
    pub data: Signal<In, Bits<D>>,
    pub be_lo: Signal<In, Bits<K>>,
    pub be_hi: Signal<In, Bits<K>>,
    pub read_row: Signal<In, Bits<16>>,
    pub read_data: Signal<Out, Bits<D>>,
    even: ByteRam<D, K, B>,
    odd: ByteRam<D, K, B>,
    read_odd: Reg<Bit>,
}

impl<const D: usize, const K: usize, const B: usize> Logic for BankedRam<D, K, B> {
    /// Row memory that takes bytes for two neighbouring rows in one cycle.
    #[kernel]
    fn update(&mut self) {
        clocked!(self, clock; even, odd, read_odd);
        self.read_odd.reset.next = false;
        let odd_first = self.row.val().get_bit(0);
        let half = bit_cast::<B, 16>(self.row.val() >> lit::<16>(1));
        let be_lo = if self.we.val() { self.be_lo.val() } else { lit::<K>(0) };
        let be_hi = if self.we.val() { self.be_hi.val() } else { lit::<K>(0) };
        self.even.be.next = if odd_first { be_hi } else { be_lo };
        self.even.waddr.next = if odd_first { half + 1 } else { half };
        self.odd.be.next = if odd_first { be_lo } else { be_hi };
        self.odd.waddr.next = half;
        self.even.wdata.next = self.data.val();
        self.odd.wdata.next = self.data.val();
        let read_half = bit_cast::<B, 16>(self.read_row.val() >> lit::<16>(1));
        self.even.raddr.next = read_half;
        self.odd.raddr.next = read_half;
        self.read_odd.d.next = self.read_row.val().get_bit(0);
        self.read_data.next =
            if self.read_odd.q.val() { self.odd.rdata.val() } else { self.even.rdata.val() };
    }
}

/// 2^(B+1) rows of D bits in an even and an odd bank: one write of a row, one read returns
/// `read_row` and the row after it in the next cycle. Rows wrap; bits above B are ignored.
#[derive(LogicBlock, Default)]
pub struct RowPairRam<const D: usize, const B: usize> {
    pub clock: Signal<In, Clock>,
    pub we: Signal<In, Bit>,
    pub row: Signal<In, Bits<16>>,
    pub data: Signal<In, Bits<D>>,
    pub read_row: Signal<In, Bits<16>>,
    pub read_lo: Signal<Out, Bits<D>>,
    pub read_hi: Signal<Out, Bits<D>>,
    even: BlockRam<Bits<D>, B>,
    odd: BlockRam<Bits<D>, B>,
    read_odd: Reg<Bit>,
}

impl<const D: usize, const B: usize> Logic for RowPairRam<D, B> {
    /// Row memory that returns two neighbouring rows in one cycle.
    #[kernel]
    fn update(&mut self) {
        clocked!(self, clock; even, odd, read_odd);
        self.read_odd.reset.next = false;
        let half = bit_cast::<B, 16>(self.row.val() >> lit::<16>(1));
        self.even.we.next = self.we.val() && !self.row.val().get_bit(0);
        self.odd.we.next = self.we.val() && self.row.val().get_bit(0);
        self.even.waddr.next = half;
        self.odd.waddr.next = half;
        self.even.wdata.next = self.data.val();
        self.odd.wdata.next = self.data.val();
        let odd_first = self.read_row.val().get_bit(0);
        let read_half = bit_cast::<B, 16>(self.read_row.val() >> lit::<16>(1));
        self.even.raddr.next = if odd_first { read_half + 1 } else { read_half };
        self.odd.raddr.next = read_half;
        self.read_odd.d.next = odd_first;
        self.read_lo.next =
            if self.read_odd.q.val() { self.odd.rdata.val() } else { self.even.rdata.val() };
        self.read_hi.next =
            if self.read_odd.q.val() { self.even.rdata.val() } else { self.odd.rdata.val() };
    }
}
