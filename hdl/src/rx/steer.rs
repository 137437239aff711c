//! Receive-side scaling: the hash of a frame's tuple picks an entry of a table, the entry a queue.
//!
//! Takes the results of `rx/parse` and gives a [flow](Flow) for each, in their order, 4 cycles and
//! the steps of the [hash](super::hash) later. There is no back-pressure: results must not come
//! faster than the hash takes them.
//!
//! The hash covers the addresses and, where L4 is known and its bit in `ctrl` is set, the ports.
//! Frames that are not IP have hash 0 and so entry 0. `ctrl` has a bit for each kind of packet, see
//! [input](nitor_abi::rss::input): TCP and UDP over IPv4 and IPv6, also behind extension headers.
//! The other bits are stored and mean nothing here, since without ports only L3 can be hashed.
//!
//! `regs` reaches `ctrl`, key and table at their addresses of [the bus](nitor_abi::mgmt). An access
//! takes two cycles; other addresses read 0 and ignore writes. Only `config_reset` resets the
//! registers (all L4 bits set, key 0, table invalid): they survive the reset of the data path. The
//! table takes a walk of 128 cycles, during which the bus waits.

use super::hash::Toeplitz;
use super::words::{Flow, Kind, Tuple4, Tuple6};
use crate::common::iface::RegBusSnk;
use crate::common::ram::LutRam;
use nitor_abi::mgmt;
use nitor_abi::rss::input;
use nitor_abi::tx::{l3, l4};
use nitor_rtl::prelude::*;

/// A word of the table as the bus sees it.
#[record(layout = mgmt::RssEntry)]
pub struct RssEntry {
    pub queue: Bits<8>,
    pub valid: Bit,
}

/// An entry of the table.
#[record]
pub struct Entry {
    pub queue: Bits<8>,
    pub valid: Bit,
}

/// An address on the bus, if it is in the table.
#[record]
pub struct TableAddr {
    pub byte: Bits<2>,
    pub entry: Bits<7>,
    pub block: Bits<7>,
}

/// An address on the bus, if it is in the key.
#[record]
pub struct KeyAddr {
    pub byte: Bits<2>,
    pub word: Bits<4>,
    pub block: Bits<10>,
}

const KEY_WORDS: usize = nitor_abi::rss::KEY_PARTS as usize;

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
    pub flow: Signal<Out, Flow>,
    // Registers.
    ctrl: Reg<Bits<16>>,
    key: [Reg<Bits<32>>; KEY_WORDS],
    /// One copy for the frames and one for the bus.
    table: LutRam<Entry, 7>,
    table_bus: LutRam<Entry, 7>,
    walk: Reg<Bits<8>>,
    ack: Reg<Bit>,
    rdata: Reg<Bits<32>>,
    hash: Toeplitz,
    o_valid: Reg<Bit>,
    o_flow: Reg<Flow>,
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
        let table_addr = TableAddr::from_bits(addr);
        let entry = table_addr.entry;
        let in_table = table_addr.block == lit::<7>(mgmt::RSS_TABLE >> 9);
        let in_ctrl = addr == lit::<16>(mgmt::RSS_CTRL);
        self.table_bus.raddr.next = entry;
        let held = self.table_bus.rdata.val();
        let mut seen = lit::<32>(0);
        if in_ctrl {
            // Kept inverted, so that reset sets all.
            seen = bit_cast::<32, 16>(!self.ctrl.q.val());
        }
        for i in 0..KEY_WORDS {
            if addr == lit::<16>(mgmt::RSS_KEY as usize + 4 * i) {
                seen = self.key[i].q.val();
            }
        }
        if in_table {
            seen = RssEntry { queue: held.queue, valid: held.valid }.to_bits::<32>();
        }
        self.rdata.d.next = seen;
        let mut merged = self.rdata.q.val();
        for i in 0..4 {
            if be.get_bit(i) {
                merged = merged.set_slice::<8>(8 * i, wdata.get_bits::<8>(8 * i));
            }
        }
        if write && in_ctrl {
            self.ctrl.d.next = !bit_cast::<16, 32>(merged);
        }
        for i in 0..KEY_WORDS {
            if write && addr == lit::<16>(mgmt::RSS_KEY as usize + 4 * i) {
                self.key[i].d.next = merged;
            }
        }
        let table_we = walking || (write && in_table);
        let table_waddr = if walking { bit_cast::<7, 8>(self.walk.q.val()) } else { entry };
        let new = RssEntry::from_bits(merged);
        let table_wdata = if walking {
            Entry { queue: lit::<8>(0), valid: false }
        } else {
            Entry { queue: new.queue, valid: new.valid }
        };
        self.table.we.next = table_we;
        self.table.waddr.next = table_waddr;
        self.table.wdata.next = table_wdata;
        self.table_bus.we.next = table_we;
        self.table_bus.waddr.next = table_waddr;
        self.table_bus.wdata.next = table_wdata;

        // Mask the ports that are not to be hashed.
        let v6 = self.in_l3.val() == lit::<4>(l3::IPV6);
        let tcp = self.in_l4.val() == lit::<5>(l4::TCP);
        let off = self.ctrl.q.val();
        let l3_only = if v6 {
            if tcp {
                off.get_bit(input::TCP6)
            } else {
                off.get_bit(input::UDP6)
            }
        } else if tcp {
            off.get_bit(input::TCP4)
        } else {
            off.get_bit(input::UDP4)
        };
        let tuple = self.in_tuple.val();
        self.hash.data.next = if !l3_only {
            tuple
        } else if v6 {
            Tuple6 { ports: lit::<32>(0), ..Tuple6::from_bits(tuple) }.to_bits::<288>()
        } else {
            Tuple4 { ports: lit::<32>(0), ..Tuple4::from_bits(tuple) }.to_bits::<288>()
        };
        self.hash.in_valid.next = self.in_valid.val();
        self.hash.tag.next =
            Kind { l3: self.in_l3.val(), l4: self.in_l4.val(), frag: self.in_frag.val() };

        // Hash.
        let mut key = lit::<320>(0);
        for i in 0..KEY_WORDS {
            key = key.set_slice::<32>(32 * i, self.key[i].q.val());
        }
        self.hash.key.next = key;

        // Look up. During the walk no entry is valid.
        let hash = self.hash.hash.val();
        self.table.raddr.next = bit_cast::<7, 32>(hash);
        let found = self.table.rdata.val();
        self.o_valid.d.next = self.hash.valid.val();
        self.o_flow.d.next = Flow {
            hash,
            queue: found.queue,
            valid: found.valid && !walking,
            kind: self.hash.tag_out.val(),
        };
        self.flow_valid.next = self.o_valid.q.val();
        self.flow.next = self.o_flow.q.val();
    }
}
