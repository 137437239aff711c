//! Receive-side scaling: the hash of a frame's tuple picks an entry of a table, the entry a receive queue.
//!
//! Takes the results of `rx/parse` and gives, 4 cycles and the steps of the [hash](super::hash) later and in the same order, a
//! [flow](super::words::flow) word: queue, whether the entry is valid, hash, and L3, L4 and fragment as they came. No back pressure: results
//! must not come faster than the hash takes them.
//!
//! What is hashed: addresses and, where L4 is known and its bit in `ctrl` is set, ports. Frames that are not IP have hash 0
//! and so entry 0. Bits of `ctrl` are the ENA proto indices: 0 TCP4, 1 UDP4, 2 TCP6, 3 UDP6 (also behind extension headers);
//! the others are stored and mean nothing here, since without ports only L3 can be hashed.
//!
//! Registers on `regs`, offsets as on the management bus; two cycles an access, others read 0 and ignore writes:
//! 0x130 `ctrl`, 0x200..0x227 key, 0x400..0x5FF table. Only `config_reset` resets them (all L4 bits set, key 0, table
//! invalid, which takes a walk of 128 cycles during which the bus waits): they survive the reset of the data path.

use super::hash::Toeplitz;
use super::words::{flow, STEER_BITS};
use crate::common::iface::RegBusSnk;
use crate::common::ram::LutRam;
use nitor_rtl::prelude::*;

/// Tuple bytes 8..12 and 32..36: the ports of IPv4 and IPv6.
const PORTS4: usize = 8 * 8;
const PORTS6: usize = 8 * 32;

#[derive(LogicBlock)]
pub struct RxSteer {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub config_reset: Signal<In, Bit>,
    pub regs: RegBusSnk,
    pub in_valid: Signal<In, Bit>,
    pub in_l3: Signal<In, Bits<4>>,
    pub in_l4: Signal<In, Bits<5>>,
    pub in_frag: Signal<In, Bit>,
    pub in_tuple: Signal<In, Bits<288>>,
    pub flow_valid: Signal<Out, Bit>,
    pub flow: Signal<Out, Bits<STEER_BITS>>,
    // Registers.
    ctrl: Reg<Bits<16>>,
    key: [Reg<Bits<32>>; 10],
    /// {valid, queue}, one copy for the frames and one for the bus.
    table: LutRam<Bits<9>, 7>,
    table_bus: LutRam<Bits<9>, 7>,
    walk: Reg<Bits<8>>,
    ack: Reg<Bit>,
    rdata: Reg<Bits<32>>,
    // Tagged with {frag, l4, l3}.
    hash: Toeplitz,
    o_valid: Reg<Bit>,
    o_flow: Reg<Bits<STEER_BITS>>,
}

impl Default for RxSteer {
    fn default() -> Self {
        Self::new(1)
    }
}

impl RxSteer {
    /// `steps` of a hash: 1, 3 or 9.
    pub fn new(steps: usize) -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            config_reset: Default::default(),
            regs: Default::default(),
            in_valid: Default::default(),
            in_l3: Default::default(),
            in_l4: Default::default(),
            in_frag: Default::default(),
            in_tuple: Default::default(),
            flow_valid: Default::default(),
            flow: Default::default(),
            ctrl: Default::default(),
            key: Default::default(),
            table: Default::default(),
            table_bus: Default::default(),
            walk: Default::default(),
            ack: Default::default(),
            rdata: Default::default(),
            hash: Toeplitz::new(steps),
            o_valid: Default::default(),
            o_flow: Default::default(),
        }
    }
}

impl Logic for RxSteer {
    /// Picks the receive queue of each frame by the hash of its flow.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; o_valid);
        registers!(self, clock, config_reset; key[..], walk, ack, rdata, ctrl);
        registers!(self, clock; o_flow);
        clocked!(self, clock, reset; hash);
        clocked!(self, clock; table, table_bus);

        // Registers.
        let walking = self.walk.q.val() != 128;
        if walking {
            self.walk.d.next = self.walk.q.val() + 1;
        }
        let addr = self.regs.addr.val();
        let wdata = self.regs.wdata.val();
        let be = self.regs.be.val();
        let access = self.regs.valid.val() && !self.ack.q.val() && !walking;
        // What an access has read it merges and writes in its second cycle.
        let write = self.regs.valid.val() && self.ack.q.val() && self.regs.write.val();
        self.ack.d.next = access;
        self.regs.ready.next = self.ack.q.val();
        self.regs.rdata.next = self.rdata.q.val();
        let entry = addr.get_bits::<7>(2);
        let in_table = addr.get_bits::<7>(9) == 2;
        self.table_bus.raddr.next = entry;
        let held = self.table_bus.rdata.val();
        let mut seen = lit::<32>(0);
        if addr == 0x130 {
            // Kept inverted, so that reset sets all.
            seen = bit_cast::<32, 16>(!self.ctrl.q.val());
        }
        for i in 0..10 {
            if addr == lit::<16>(0x200 + 4 * i) {
                seen = self.key[i].q.val();
            }
        }
        if in_table {
            seen = bit_cast::<32, 9>(held);
        }
        self.rdata.d.next = seen;
        let mut merged = self.rdata.q.val();
        for i in 0..4 {
            if be.get_bit(i) {
                merged = merged.set_slice::<8>(8 * i, wdata.get_bits::<8>(8 * i));
            }
        }
        if write && addr == 0x130 {
            self.ctrl.d.next = !bit_cast::<16, 32>(merged);
        }
        for i in 0..10 {
            if write && addr == lit::<16>(0x200 + 4 * i) {
                self.key[i].d.next = merged;
            }
        }
        let table_we = walking || (write && in_table);
        let table_waddr = if walking { bit_cast::<7, 8>(self.walk.q.val()) } else { entry };
        let table_wdata = if walking { lit::<9>(0) } else { bit_cast::<9, 32>(merged) };
        self.table.we.next = table_we;
        self.table.waddr.next = table_waddr;
        self.table.wdata.next = table_wdata;
        self.table_bus.we.next = table_we;
        self.table_bus.waddr.next = table_waddr;
        self.table_bus.wdata.next = table_wdata;

        // Mask the ports that are not to be hashed.
        let v6 = self.in_l3.val() == 11;
        let tcp = self.in_l4.val() == 12;
        let off = self.ctrl.q.val();
        let l3_only = if v6 {
            if tcp {
                off.get_bit(2)
            } else {
                off.get_bit(3)
            }
        } else if tcp {
            off.get_bit(0)
        } else {
            off.get_bit(1)
        };
        let tuple = self.in_tuple.val();
        self.hash.data.next = if !l3_only {
            tuple
        } else if v6 {
            tuple.set_slice::<32>(PORTS6, lit::<32>(0))
        } else {
            tuple.set_slice::<32>(PORTS4, lit::<32>(0))
        };
        self.hash.in_valid.next = self.in_valid.val();
        self.hash.tag.next = lit::<10>(0)
            .set_slice::<4>(0, self.in_l3.val())
            .set_slice::<5>(4, self.in_l4.val())
            .replace_bit(9, self.in_frag.val());

        // Hash.
        let mut key = lit::<320>(0);
        for i in 0..10 {
            key = key.set_slice::<32>(32 * i, self.key[i].q.val());
        }
        self.hash.key.next = key;

        // Look up. During the walk no entry is valid.
        let hash = self.hash.hash.val();
        let kind = self.hash.tag_out.val();
        self.table.raddr.next = bit_cast::<7, 32>(hash);
        let found = self.table.rdata.val();
        self.o_valid.d.next = self.hash.valid.val();
        self.o_flow.d.next = lit::<STEER_BITS>(0)
            .set_slice::<32>(flow::HASH, hash)
            .set_slice::<8>(flow::QUEUE, found.get_bits::<8>(0))
            .replace_bit(flow::VALID, found.get_bit(8) && !walking)
            .set_slice::<4>(flow::L3, kind.get_bits::<4>(0))
            .set_slice::<5>(flow::L4, kind.get_bits::<5>(4))
            .replace_bit(flow::FRAG, kind.get_bit(9));
        self.flow_valid.next = self.o_valid.q.val();
        self.flow.next = self.o_flow.q.val();
    }
}
