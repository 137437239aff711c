//! The MSI-X table, and the window to the pending bits.
//!
//! 2^V vectors, of which `_vectors` exist. `bus` addresses 0x0000 + 16v: message address (bits 1:0 read 0), upper address, data,
//! vector control (bit 0: mask, 1 after reset; others read 0), with byte enables; 0x1000..: pending bit array. Vectors
//! that do not exist read 0 and ignore writes.
//!
//! `lookup_masked` says whether a vector was masked one cycle after its number. `fetch` asks for a vector's message: five cycles later
//! `fetched` rises and it stands until the next is asked for. Meanwhile the host's accesses wait, so a host that masks a vector before it changes its
//! message never has half of it sent. From two cycles after `fetch` on
//! `message_masked` tells whether that vector is masked, two cycles after it became so. A write takes 2 cycles, a read of the pending bits 3 to 6, of the table 3, and 4 more if a message
//! is fetched. After `reset` (hard or function-level, not device reset) a walk of 4 * 2^V cycles clears the table and masks every vector; the bus waits
//! and lookups see masked vectors until then.
//!
//! The table is one block RAM of 32-bit words; the mask bits lie twice more in distributed RAM. 2^V <= 128: what one block holds.

use crate::common::iface::*;
use crate::common::ram::{ByteRam, LutRam};
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum MsixState {
    Idle,
    /// The table's word is on its way.
    Word,
    Pending,
    Done,
}

#[derive(LogicBlock)]
pub struct MsixTable<const V: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub bus: RegBusSnk,
    pub lookup_vector: Signal<In, Bits<8>>,
    pub lookup_masked: Signal<Out, Bit>,
    pub fetch: Signal<In, Bit>,
    pub fetch_vector: Signal<In, Bits<8>>,
    pub fetched: Signal<Out, Bit>,
    pub message_masked: Signal<Out, Bit>,
    pub message_addr: Signal<Out, Bits<64>>,
    pub message_data: Signal<Out, Bits<32>>,
    /// 32 pending bits, in the same cycle if `pba_valid`.
    pub pba_word: Signal<Out, Bits<3>>,
    pub pba: Signal<In, Bits<32>>,
    pub pba_valid: Signal<In, Bit>,
    // Address {vector, word}.
    table: ByteRam<32, 4, 9>,
    masks: LutRam<Bits<1>, V>,
    message_masks: LutRam<Bits<1>, V>,
    state: Reg<MsixState>,
    walk: Reg<Bits<11>>,
    rdata: Reg<Bits<32>>,
    masked: Reg<Bit>,
    held_masked: Reg<Bit>,
    // The message being fetched: words asked for, words that came.
    vector: Reg<Bits<8>>,
    asked: Reg<Bits<2>>,
    fetching: Reg<Bit>,
    come: Reg<Bits<3>>,
    got: Reg<Bit>,
    addr_lo: Reg<Bits<30>>,
    addr_hi: Reg<Bits<32>>,
    data: Reg<Bits<32>>,
    _vectors: usize,
}

impl<const V: usize> MsixTable<V> {
    pub fn new(vectors: usize) -> Self {
        assert!(V <= 7 && vectors <= 1 << V);
        Self {
            clock: Default::default(),
            reset: Default::default(),
            bus: Default::default(),
            lookup_vector: Default::default(),
            lookup_masked: Default::default(),
            fetch: Default::default(),
            fetch_vector: Default::default(),
            fetched: Default::default(),
            message_masked: Default::default(),
            message_addr: Default::default(),
            message_data: Default::default(),
            pba_word: Default::default(),
            pba: Default::default(),
            pba_valid: Default::default(),
            table: Default::default(),
            masks: Default::default(),
            message_masks: Default::default(),
            state: Default::default(),
            walk: Default::default(),
            rdata: Default::default(),
            masked: Default::default(),
            held_masked: Default::default(),
            vector: Default::default(),
            asked: Default::default(),
            fetching: Default::default(),
            come: Default::default(),
            got: Default::default(),
            addr_lo: Default::default(),
            addr_hi: Default::default(),
            data: Default::default(),
            _vectors: vectors,
        }
    }
}

impl<const V: usize> Logic for MsixTable<V> {
    /// MSI-X table with its bus port and a lookup port.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; state, walk, masked, held_masked, asked, fetching, come, got);
        registers!(self, clock; rdata, vector, addr_lo, addr_hi, data);
        clocked!(self, clock; table, masks, message_masks);

        let walk = self.walk.q.val();
        let walking = !walk.get_bit(V + 2);
        if walking {
            self.walk.d.next = walk + 1;
        }

        let addr = self.bus.addr.val();
        let in_table = addr.get_bits::<4>(12) == 0;
        let vector = addr.get_bits::<8>(4);
        let word = addr.get_bits::<2>(2);
        let there = cat::<1, 8, 9>(lit::<1>(0), vector) < lit::<9>(self._vectors);
        let wdata = self.bus.wdata.val();
        let be = self.bus.be.val();

        let fetching = self.fetching.q.val();
        let idle = self.state.q.val() == MsixState::Idle
            && self.bus.valid.val()
            && !walking
            && !fetching
            && !self.fetch.val();
        let write = idle && self.bus.write.val() && in_table && there;
        // Address bits 1:0 and all of vector control but the mask are not stored.
        let kept = match word {
            0 => wdata & 0xffff_fffc,
            3 => wdata & 1,
            _ => wdata,
        };
        let control = walk.get_bits::<2>(0).all();
        self.table.be.next = if walking {
            lit::<4>(15)
        } else if write {
            be
        } else {
            lit::<4>(0)
        };
        self.table.waddr.next = if walking { walk.get_bits::<9>(0) } else { addr.get_bits::<9>(2) };
        self.table.wdata.next = if walking { bit_cast::<32, 1>(control.into()) } else { kept };
        let mask_write = walking || (write && word == 3 && be.get_bit(0));
        let mask_place = if walking {
            bit_cast::<V, 9>(walk.get_bits::<9>(2))
        } else {
            bit_cast::<V, 8>(vector)
        };
        let mask = Bits::<1>::from(walking || wdata.get_bit(0));
        self.masks.we.next = mask_write;
        self.masks.waddr.next = mask_place;
        self.masks.wdata.next = mask;
        self.message_masks.we.next = mask_write;
        self.message_masks.waddr.next = mask_place;
        self.message_masks.wdata.next = mask;
        self.message_masks.raddr.next = bit_cast::<V, 8>(self.vector.q.val());
        self.held_masked.d.next = walking || self.message_masks.rdata.val().get_bit(0);
        self.message_masked.next = self.held_masked.q.val();
        self.masks.raddr.next = bit_cast::<V, 8>(self.lookup_vector.val());
        self.masked.d.next = walking || self.masks.rdata.val().get_bit(0);
        self.lookup_masked.next = self.masked.q.val();

        // A message: three words, one after the other.
        let asked = self.asked.q.val();
        self.table.raddr.next = if fetching {
            cat::<7, 2, 9>(self.vector.q.val().get_bits::<7>(0), asked)
        } else {
            addr.get_bits::<9>(2)
        };
        let read = self.table.rdata.val();
        let come = self.come.q.val();
        self.come.d.next = if fetching && asked != 3 {
            lit::<3>(0)
                .replace_bit(0, asked == 0)
                .replace_bit(1, asked == 1)
                .replace_bit(2, asked == 2)
        } else {
            lit::<3>(0)
        };
        if fetching {
            self.asked.d.next = asked + 1;
        }
        if come.get_bit(0) {
            self.addr_lo.d.next = read.get_bits::<30>(2);
        }
        if come.get_bit(1) {
            self.addr_hi.d.next = read;
        }
        if come.get_bit(2) {
            self.data.d.next = read;
            self.fetching.d.next = false;
            self.got.d.next = true;
        }
        if self.fetch.val() {
            self.vector.d.next = self.fetch_vector.val();
            self.asked.d.next = lit::<2>(0);
            self.fetching.d.next = true;
            self.got.d.next = false;
        }
        self.fetched.next = self.got.q.val();
        self.message_addr.next = cat::<62, 2, 64>(
            cat::<32, 30, 62>(self.addr_hi.q.val(), self.addr_lo.q.val()),
            lit::<2>(0),
        );
        self.message_data.next = self.data.q.val();
        self.pba_word.next = addr.get_bits::<3>(2);

        match self.state.q.val() {
            MsixState::Idle => {
                self.rdata.d.next = lit::<32>(0);
                if idle {
                    if self.bus.write.val() || (in_table && !there) {
                        self.state.d.next = MsixState::Done;
                    } else if !in_table {
                        self.state.d.next = MsixState::Pending;
                    } else {
                        self.state.d.next = MsixState::Word;
                    }
                }
            }
            MsixState::Word => {
                self.rdata.d.next = read;
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
    }
}
