//! The MSI-X table, and the window to the pending bits.
//!
//! 2^V vectors, of which `_vectors` exist. `bus` has byte enables.
//!
//! | address | |
//! |---|---|
//! | 0x0000 + 16v | vector v's message address; bits 1:0 read 0 |
//! | 0x0004 + 16v, 0x0008 + 16v | upper address, data |
//! | 0x000c + 16v | vector control: bit 0 is the mask, 1 after reset; others read 0 |
//! | 0x1000.. | pending bit array |
//!
//! Vectors that do not exist read 0 and ignore writes.
//!
//! `lookup_masked` says whether a vector was masked, one cycle after its number. `fetch` asks for a
//! vector's message: five cycles later `fetched` rises, and the message stands until the next
//! `fetch`. Meanwhile the host's accesses wait. So a host that masks a vector before it changes the
//! vector's message never has half of it sent. From two cycles after `fetch` on `message_masked`
//! tells whether that vector is masked, two cycles after it became so.
//!
//! A write takes 2 cycles, a read of the pending bits 3 to 6, of the table 3; all take 4 more while
//! a message is fetched. After `reset` (hard or function-level, not device reset) a walk of 4 * 2^V
//! cycles clears the table and masks every vector. Until then the bus waits, and lookups see masked
//! vectors.
//!
//! The table is one block RAM of 32-bit words. Distributed RAM has the mask bits twice more. 2^V <=
//! 128: what one block holds.

use crate::common::iface::*;
use crate::common::ram::{ByteRam, LutRam};
use nitor_abi::bar::{MSIX_PBA, MSIX_TABLE};
use nitor_abi::pci::msix_entry;
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum MsixState {
    Idle,
    /// The table's word is on its way.
    Word,
    Pending,
    Done,
}

/// Words of a message.
#[record]
pub struct Words {
    addr_lo: Bit,
    addr_hi: Bit,
    data: Bit,
}

// Their numbers in a vector's entry.
const ADDR_LO: u64 = (msix_entry::ADDRESS_LO / 4) as u64;
const ADDR_HI: u64 = (msix_entry::ADDRESS_HI / 4) as u64;
const DATA: u64 = (msix_entry::DATA / 4) as u64;
const CONTROL: u64 = (msix_entry::CONTROL / 4) as u64;

/// A dword of the table.
#[record]
pub struct TableAddress {
    word: Bits<2>,
    vector: Bits<7>,
}

/// A byte address of the window.
#[record]
pub struct WindowAddress {
    byte: Bits<2>,
    word: Bits<2>,
    vector: Bits<8>,
    /// 0: the table.
    part: Bits<4>,
}

/// A byte address of the window's pending bits.
#[record]
pub struct PendingAddress {
    byte: Bits<2>,
    word: Bits<3>,
    base: Bits<11>,
}

/// Bits 31:2 of a message's address.
#[record]
pub struct DwordAddress {
    zero: Bits<2>,
    dword: Bits<30>,
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
    /// 32 pending bits; `pba` answers in the same cycle if `pba_valid`.
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
    // The fetch of a message: words asked for, words that arrive.
    vector: Reg<Bits<8>>,
    asked: Reg<Bits<2>>,
    fetching: Reg<Bit>,
    come: Reg<Words>,
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
        registers!(self, clock, reset; state, walk, masked, held_masked, asked, fetching, come);
        registers!(self, clock, reset; got);
        registers!(self, clock; rdata, vector, addr_lo, addr_hi, data);
        clocked!(self, clock; table, masks, message_masks);

        let walk = self.walk.q.val();
        let walking = !walk.get_bit(V + 2);
        if walking {
            self.walk.d.next = walk + 1;
        }

        let window = WindowAddress::from_bits(self.bus.addr.val());
        let in_table = window.part == 0;
        let vector = window.vector;
        let word = window.word;
        let there = bit_cast::<9, 8>(vector) < lit::<9>(self._vectors);
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
            ADDR_LO => wdata & 0xffff_fffc,
            CONTROL => wdata & 1,
            _ => wdata,
        };
        let place = TableAddress { word, vector: bit_cast::<7, 8>(vector) };
        let walked = TableAddress::from_bits(bit_cast::<9, 11>(walk));
        let control = walked.word == CONTROL;
        self.table.be.next = if walking {
            lit::<4>(15)
        } else if write {
            be
        } else {
            lit::<4>(0)
        };
        let written = if walking { walked } else { place };
        self.table.waddr.next = written.to_bits();
        self.table.wdata.next = if walking { bit_cast::<32, 1>(control.into()) } else { kept };
        let mask_write = walking || (write && word == CONTROL && (be & 1) != 0);
        let mask_place =
            if walking { bit_cast::<V, 11>(walk >> 2) } else { bit_cast::<V, 8>(vector) };
        let mask = Bits::<1>::from(walking || (wdata & 1) != 0);
        self.masks.we.next = mask_write;
        self.masks.waddr.next = mask_place;
        self.masks.wdata.next = mask;
        self.message_masks.we.next = mask_write;
        self.message_masks.waddr.next = mask_place;
        self.message_masks.wdata.next = mask;
        self.message_masks.raddr.next = bit_cast::<V, 8>(self.vector.q.val());
        self.held_masked.d.next = walking || self.message_masks.rdata.val().any();
        self.message_masked.next = self.held_masked.q.val();
        self.masks.raddr.next = bit_cast::<V, 8>(self.lookup_vector.val());
        self.masked.d.next = walking || self.masks.rdata.val().any();
        self.lookup_masked.next = self.masked.q.val();

        // A message: three words, one after the other.
        let asked = self.asked.q.val();
        let fetched = TableAddress { word: asked, vector: bit_cast::<7, 8>(self.vector.q.val()) };
        let read_at = if fetching { fetched } else { place };
        self.table.raddr.next = read_at.to_bits();
        let read = self.table.rdata.val();
        let come = self.come.q.val();
        self.come.d.next = Words {
            addr_lo: fetching && asked == ADDR_LO,
            addr_hi: fetching && asked == ADDR_HI,
            data: fetching && asked == DATA,
        };
        if fetching {
            self.asked.d.next = asked + 1;
        }
        if come.addr_lo {
            self.addr_lo.d.next = DwordAddress::from_bits(read).dword;
        }
        if come.addr_hi {
            self.addr_hi.d.next = read;
        }
        if come.data {
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
        let low = DwordAddress { zero: lit::<2>(0), dword: self.addr_lo.q.val() };
        self.message_addr.next =
            Halves { low: low.to_bits(), high: self.addr_hi.q.val() }.to_bits();
        self.message_data.next = self.data.q.val();
        let pending = PendingAddress::from_bits(self.bus.addr.val());
        self.pba_word.next = pending.word;

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
                if pending.base == lit::<11>((MSIX_PBA - MSIX_TABLE) >> 5) {
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
