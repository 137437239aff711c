//! Pushed headers go from their lines to the head of their packet in the TX buffer.
//!
//! **Ports.** `push` comes from `tx/gather`: the line, the packet's first row, how many bytes.
//! `head` reads the line memory. `inject` writes rows of the TX buffer, in the cycles that read
//! data leave free; its `last` ends a header. Headers go in the order of the packets.
//!
//! A header begins at byte 32 of its line, so that a row of 16 bytes is copied as it is, and one of
//! 64 turned by half, into two neighbours. A row a cycle; 4 cycles from `push` to the first. The
//! card need not keep the line: the driver does not write it again before the packet has completed.
//! A driver that does sends other bytes than it meant to, and no more.
//!
//! 16 headers wait, then `push.ready` falls. A header's wait ends: `tx/gather` asks for no payload
//! beyond what the buffer has room for, and nothing leaves the buffer before the header is there.

use crate::common::fifo::Fifo;
use crate::tx::words::*;
use nitor_rtl::prelude::*;

/// Where the header is in its line: behind two descriptors.
pub const HEADER_AT: usize = 32;

/// A row of a line, on its way to the TX buffer.
#[record]
struct Side {
    /// Where it goes.
    row: Bits<16>,
    /// Of the header from this row on.
    bytes: Bits<8>,
    /// The header's first row, and its last.
    first: Bit,
    last: Bit,
}

#[derive(LogicBlock, Default)]
pub struct TxPush<const D: usize, const K: usize, const L: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub push: PushSnk,
    pub head: LineRowSrc,
    pub rdata: Signal<In, Bits<D>>,
    pub inject: InjectSrc<D, K>,
    pushes: Fifo<Push, 4>,
    // The header being read: rows and bytes to come.
    busy: Reg<Bit>,
    from: Reg<Bits<16>>,
    to: Reg<Bits<16>>,
    left: Reg<Bits<8>>,
    first: Reg<Bit>,
    // The row on the memory's output.
    read: Reg<Bit>,
    read_side: Reg<Side>,
    data: Fifo<Bits<D>, 2>,
    side: Fifo<Side, 2>,
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
        self.pushes.in_valid.next = self.push.valid.val();
        self.pushes.in_data.next = self.push.get();
        self.push.ready.next = self.pushes.in_ready.val();

        // ---- A row is read if it has room at the output. The first row may have other bytes
        // before the header.
        let before = lit::<8>(32 % K);
        let most = if self.first.q.val() { lit::<8>(K) - before } else { lit::<8>(K) };
        let end = self.left.q.val() <= most;
        let waiting = self.side.level.val() + bit_cast::<8, 1>(self.read.q.val().into());
        let ask = self.busy.q.val() && waiting < lit::<8>(4);
        let go = ask && self.head.ready.val();
        self.head.valid.next = ask;
        self.head.row.next = self.from.q.val();
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
            let line = bit_cast::<23, 16>(next.line) << lit::<23>(7);
            self.busy.d.next = true;
            self.from.d.next = bit_cast::<16, 23>((line | lit::<23>(HEADER_AT)) >> lit::<23>(L));
            // A turned row goes to two rows, and only the second is there for the first.
            self.to.d.next = if 32 % K == 0 { next.row } else { next.row - 1 };
            self.left.d.next = next.len;
            self.first.d.next = true;
        }
        self.read.d.next = go;
        self.read_side.d.next = Side {
            row: self.to.q.val(),
            bytes: self.left.q.val(),
            first: self.first.q.val(),
            last: end,
        };
        self.data.in_valid.next = self.read.q.val();
        self.data.in_data.next = self.rdata.val();
        self.side.in_valid.next = self.read.q.val();
        self.side.in_data.next = self.read_side.q.val();

        // ---- Into place.
        let moves = !self.valid.q.val() || self.inject.ready.val();
        self.data.out_ready.next = moves;
        self.side.out_ready.next = moves;
        let side = self.side.out_data.val();
        if moves {
            self.valid.d.next = self.side.out_valid.val();
            self.row.d.next = side.row;
            self.last.d.next = side.last;
            let data = self.data.out_data.val();
            self.turned.d.next =
                (data << lit::<16>(8 * (32 % K))) | (data >> lit::<16>(D - 8 * (32 % K)));
            let mut lo = lit::<K>(0);
            let mut hi = lit::<K>(0);
            for i in 0..K {
                if i >= 32 % K {
                    let here = !side.first || 32 % K == 0;
                    lo = lo.replace_bit(i, here && lit::<8>(i - 32 % K) < side.bytes);
                } else {
                    let at = if side.first { lit::<8>(i) } else { lit::<8>(i + K - 32 % K) };
                    hi = hi.replace_bit(i, at < side.bytes);
                }
            }
            self.be_lo.d.next = lo;
            self.be_hi.d.next = hi;
        }
        self.inject.valid.next = self.valid.q.val();
        self.inject.put(Inject {
            row: self.row.q.val(),
            data: self.turned.q.val(),
            be_lo: self.be_lo.q.val(),
            be_hi: self.be_hi.q.val(),
            last: self.last.q.val(),
        });
    }
}
