//! Pushed headers go from their lines to the head of their packet in the TX buffer.
//!
//! **Ports.** `push_*` from `tx/gather`: the line, the packet's first row, how many bytes; `head_*` reads the line memory; `inject_*` writes rows of the TX
//! buffer, in the cycles that read data leave free; `inject_last` ends a header. Headers go in the order of the packets.
//!
//! A header begins at byte 32 of its line, so that a row of 16 bytes is copied as it is, and one of 64 turned by half, into two
//! neighbours. A row a cycle; 4 cycles from `push` to the first. The line needs not be kept in the card: the driver does not write it again before
//! the packet has completed. One that does sends other bytes than it meant to, and no more.
//!
//! 16 headers wait, then `push_ready` falls. A header's wait ends: `tx/gather` asks for no payload beyond what the buffer has room for, and nothing
//! leaves the buffer before the header is there.

use crate::common::fifo::Fifo;
use nitor_rtl::prelude::*;

/// Where the header is in its line: behind two descriptors.
pub const HEADER_AT: usize = 32;

#[derive(LogicBlock, Default)]
pub struct TxPush<const D: usize, const K: usize, const L: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub push_valid: Signal<In, Bit>,
    pub push_ready: Signal<Out, Bit>,
    /// In units of 128 bytes.
    pub push_line: Signal<In, Bits<16>>,
    pub push_row: Signal<In, Bits<16>>,
    /// At least 1.
    pub push_len: Signal<In, Bits<8>>,
    pub head_valid: Signal<Out, Bit>,
    pub head_ready: Signal<In, Bit>,
    pub head_row: Signal<Out, Bits<16>>,
    pub rdata: Signal<In, Bits<D>>,
    pub inject_valid: Signal<Out, Bit>,
    pub inject_ready: Signal<In, Bit>,
    pub inject_row: Signal<Out, Bits<16>>,
    pub inject_data: Signal<Out, Bits<D>>,
    pub inject_be_lo: Signal<Out, Bits<K>>,
    pub inject_be_hi: Signal<Out, Bits<K>>,
    pub inject_last: Signal<Out, Bit>,
    pushes: Fifo<Bits<40>, 4>,
    // The header being read: rows and bytes to come.
    busy: Reg<Bit>,
    from: Reg<Bits<16>>,
    to: Reg<Bits<16>>,
    left: Reg<Bits<8>>,
    first: Reg<Bit>,
    // The row on the memory's output: {last, first, bytes left, row}
    read: Reg<Bit>,
    read_side: Reg<Bits<26>>,
    data: Fifo<Bits<D>, 2>,
    side: Fifo<Bits<26>, 2>,
    // The row that is offered.
    valid: Reg<Bit>,
    row: Reg<Bits<16>>,
    turned: Reg<Bits<D>>,
    be_lo: Reg<Bits<K>>,
    be_hi: Reg<Bits<K>>,
    last: Reg<Bit>,
}

impl<const D: usize, const K: usize, const L: usize> Logic for TxPush<D, K, L> {
    /// Copies pushed headers into the TX buffer.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; busy, from, to, left, first, read, read_side, valid, last);
        registers!(self, clock; row, turned, be_lo, be_hi);
        clocked!(self, clock, reset; pushes, data, side);
        self.pushes.in_valid.next = self.push_valid.val();
        self.pushes.in_data.next = cat::<8, 32, 40>(
            self.push_len.val(),
            cat::<16, 16, 32>(self.push_line.val(), self.push_row.val()),
        );
        self.push_ready.next = self.pushes.in_ready.val();

        // ---- Rows are read as long as they have room at the output. The first may have other bytes before the header.
        let before = lit::<8>(32 % K);
        let most = if self.first.q.val() { lit::<8>(K) - before } else { lit::<8>(K) };
        let end = self.left.q.val() <= most;
        let waiting = self.side.level.val() + bit_cast::<8, 1>(self.read.q.val().into());
        let ask = self.busy.q.val() && waiting < lit::<8>(4);
        let go = ask && self.head_ready.val();
        self.head_valid.next = ask;
        self.head_row.next = self.from.q.val();
        if go {
            self.from.d.next = self.from.q.val() + 1;
            self.to.d.next = self.to.q.val() + 1;
            self.left.d.next = self.left.q.val() - most;
            self.first.d.next = false;
            self.busy.d.next = !end;
        }
        let free = !self.busy.q.val() || (go && end);
        self.pushes.out_ready.next = free;
        if free && self.pushes.out_valid.val() {
            let next = self.pushes.out_data.val();
            let line = cat::<16, 7, 23>(next.get_bits::<16>(16), lit::<7>(HEADER_AT));
            self.busy.d.next = true;
            self.from.d.next = bit_cast::<16, 23>(line >> lit::<23>(L));
            // A turned row goes to two rows, and only the second is there for the first.
            let row = next.get_bits::<16>(0);
            self.to.d.next = if 32 % K == 0 { row } else { row - 1 };
            self.left.d.next = next.get_bits::<8>(32);
            self.first.d.next = true;
        }
        self.read.d.next = go;
        self.read_side.d.next = cat::<2, 24, 26>(
            cat::<1, 1, 2>(end.into(), self.first.q.val().into()),
            cat::<8, 16, 24>(self.left.q.val(), self.to.q.val()),
        );
        self.data.in_valid.next = self.read.q.val();
        self.data.in_data.next = self.rdata.val();
        self.side.in_valid.next = self.read.q.val();
        self.side.in_data.next = self.read_side.q.val();

        // ---- Into place.
        let moves = !self.valid.q.val() || self.inject_ready.val();
        self.data.out_ready.next = moves;
        self.side.out_ready.next = moves;
        let side = self.side.out_data.val();
        let bytes = side.get_bits::<8>(16);
        let is_first = side.get_bit(24);
        if moves {
            self.valid.d.next = self.side.out_valid.val();
            self.row.d.next = side.get_bits::<16>(0);
            self.last.d.next = side.get_bit(25);
            let data = self.data.out_data.val();
            self.turned.d.next =
                (data << lit::<16>(8 * (32 % K))) | (data >> lit::<16>(D - 8 * (32 % K)));
            let mut lo = lit::<K>(0);
            let mut hi = lit::<K>(0);
            for i in 0..K {
                if i >= 32 % K {
                    lo = lo
                        .replace_bit(i, (!is_first || 32 % K == 0) && lit::<8>(i - 32 % K) < bytes);
                } else {
                    let at = if is_first { lit::<8>(i) } else { lit::<8>(i + K - 32 % K) };
                    hi = hi.replace_bit(i, at < bytes);
                }
            }
            self.be_lo.d.next = lo;
            self.be_hi.d.next = hi;
        }
        self.inject_valid.next = self.valid.q.val();
        self.inject_row.next = self.row.q.val();
        self.inject_data.next = self.turned.q.val();
        self.inject_be_lo.next = self.be_lo.q.val();
        self.inject_be_hi.next = self.be_hi.q.val();
        self.inject_last.next = self.last.q.val();
    }
}
