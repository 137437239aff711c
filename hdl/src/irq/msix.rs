//! The MSI-X table, and the window to the pending bits.
//!
//! 2^V vectors, of which `_vectors` exist. `bus` addresses 0x0000 + 16v: message address (bits 1:0 read 0), upper address, data,
//! vector control (bit 0: mask, 1 after reset; others read 0), with byte enables; 0x1000..: pending bit array. Vectors
//! that do not exist read 0 and ignore writes.
//!
//! `lookup` gives a vector's message and mask one cycle after its number and goes first: the host's reads of the table wait
//! for a cycle without one. A vector whose row is written in the cycle of the lookup looks masked: its visit comes
//! round again. A write takes 2 cycles, a read of the pending bits 3 to 6, of the table 3 to 6. After `reset` (hard or
//! function-level, not device reset) a walk of 2^V cycles masks every vector; the bus waits and lookups see masked vectors until then.

use crate::common::iface::*;
use crate::common::ram::ByteRam;
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum MsixState {
    Idle,
    /// The table's row is on its way.
    Row,
    Pending,
    Done,
}

#[derive(LogicBlock)]
pub struct MsixTable<const V: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub bus: RegBusSnk,
    pub lookup_valid: Signal<In, Bit>,
    pub lookup_vector: Signal<In, Bits<8>>,
    pub lookup_addr: Signal<Out, Bits<64>>,
    pub lookup_data: Signal<Out, Bits<32>>,
    pub lookup_masked: Signal<Out, Bit>,
    /// 32 pending bits, in the same cycle if `pba_valid`.
    pub pba_word: Signal<Out, Bits<3>>,
    pub pba: Signal<In, Bits<32>>,
    pub pba_valid: Signal<In, Bit>,
    table: ByteRam<128, 16, V>,
    state: Reg<MsixState>,
    walk: Reg<Bits<9>>,
    rdata: Reg<Bits<32>>,
    // The row looked up was being written.
    unsure: Reg<Bit>,
    _vectors: usize,
}

impl<const V: usize> MsixTable<V> {
    pub fn new(vectors: usize) -> Self {
        assert!(V <= 8 && vectors <= 1 << V);
        Self {
            clock: Default::default(),
            reset: Default::default(),
            bus: Default::default(),
            lookup_valid: Default::default(),
            lookup_vector: Default::default(),
            lookup_addr: Default::default(),
            lookup_data: Default::default(),
            lookup_masked: Default::default(),
            pba_word: Default::default(),
            pba: Default::default(),
            pba_valid: Default::default(),
            table: Default::default(),
            state: Default::default(),
            walk: Default::default(),
            rdata: Default::default(),
            unsure: Default::default(),
            _vectors: vectors,
        }
    }
}

impl<const V: usize> Logic for MsixTable<V> {
    /// MSI-X table with its bus port and a lookup port.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; state, walk, rdata, unsure);
        clocked!(self, clock; table);

        let walking = self.walk.q.val() != lit::<9>(1 << V);
        if walking {
            self.walk.d.next = self.walk.q.val() + 1;
        }

        let addr = self.bus.addr.val();
        let in_table = addr.get_bits::<4>(12) == 0;
        let vector = addr.get_bits::<8>(4);
        let word = addr.get_bits::<2>(2);
        let there = cat::<1, 8, 9>(lit::<1>(0), vector) < lit::<9>(self._vectors);
        let wdata = self.bus.wdata.val();
        let be = bit_cast::<16, 4>(self.bus.be.val());

        let idle = self.state.q.val() == MsixState::Idle && self.bus.valid.val() && !walking;
        let write = idle && self.bus.write.val() && in_table && there;
        // Address bits 1:0 and all of vector control but the mask are not stored.
        let kept = match word {
            0 => wdata & 0xffff_fffc,
            3 => wdata & 1,
            _ => wdata,
        };
        let kept2 = cat::<32, 32, 64>(kept, kept);
        let masked_row = cat::<32, 96, 128>(lit::<32>(1), lit::<96>(0));
        self.table.be.next = if walking {
            lit::<16>(0xffff)
        } else if write {
            be << cat::<2, 2, 4>(word, lit::<2>(0))
        } else {
            lit::<16>(0)
        };
        self.table.waddr.next =
            if walking { bit_cast::<V, 9>(self.walk.q.val()) } else { bit_cast::<V, 8>(vector) };
        self.table.wdata.next = if walking { masked_row } else { cat::<64, 64, 128>(kept2, kept2) };

        self.table.raddr.next = if self.lookup_valid.val() {
            bit_cast::<V, 8>(self.lookup_vector.val())
        } else {
            bit_cast::<V, 8>(vector)
        };
        self.unsure.d.next = walking || (write && vector == self.lookup_vector.val());
        let row = self.table.rdata.val();
        self.pba_word.next = addr.get_bits::<3>(2);

        match self.state.q.val() {
            MsixState::Idle => {
                self.rdata.d.next = lit::<32>(0);
                if idle {
                    if self.bus.write.val() || (in_table && !there) {
                        self.state.d.next = MsixState::Done;
                    } else if !in_table {
                        self.state.d.next = MsixState::Pending;
                    } else if !self.lookup_valid.val() {
                        self.state.d.next = MsixState::Row;
                    }
                }
            }
            MsixState::Row => {
                self.rdata.d.next = match word {
                    0 => row.get_bits::<32>(0),
                    1 => row.get_bits::<32>(32),
                    2 => row.get_bits::<32>(64),
                    _ => row.get_bits::<32>(96),
                };
                self.state.d.next = MsixState::Done;
            }
            MsixState::Pending => {
                if addr.get_bits::<11>(5) == lit::<11>(0x1000 >> 5) {
                    self.rdata.d.next = self.pba.val();
                }
                if self.pba_valid.val() {
                    self.state.d.next = MsixState::Done;
                }
            }
            MsixState::Done => {
                self.state.d.next = MsixState::Idle;
            }
        }
        self.bus.ready.next = self.state.q.val() == MsixState::Done;
        self.bus.rdata.next = self.rdata.q.val();

        self.lookup_addr.next = row.get_bits::<64>(0);
        self.lookup_data.next = row.get_bits::<32>(64);
        self.lookup_masked.next = row.get_bit(96) || self.unsure.q.val();
    }
}
