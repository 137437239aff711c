//! Interrupt moderation: decides when a vector's MSI-X message is sent.
//!
//! Per vector, in RAM: an event of each direction pending and since when, the two delays, armed, due. A vector is due
//! when an event of a direction has waited that direction's delay (µs; 0: at once), and stays due. It fires when
//! due, armed, MSI-X enabled and masked neither by function nor by table; firing clears pending and armed. Due and armed but masked
//! shows in the pending bit array, and is sent when unmasked.
//!
//! | write to the interrupt register | effect |
//! |---|---|
//! | bit 31 = 0 | delays taken over, for pending events too |
//! | bit 30 = 1 | armed |
//! | bit 30 = 0 | disarmed; but with bit 31 = 0 and an event pending, one message at once (a driver suspects a lost interrupt) |
//!
//! Vector 0 belongs to the firmware: `raise` is remembered until sent, waits while `intr_masked`, needs no arming. An I/O event for
//! vector 0 counts as a raise; writes to its interrupt register do nothing.
//!
//! Slots of four cycles: an event or unmask in two of them, a visit of the next vector in one (deadlines, masks
//! that went away, messages that found the FIFO full: every vector within 4 * 2^V cycles), the host's table access in one. An event with delay 0
//! is at `write` after 4 or 5 cycles if nothing else waits; one with delay d after d to d + 1 µs and a round of visits. Events and unmasks never wait for
//! `write`: when its FIFO of 4 messages is full the vector stays as it is. After `reset` a walk of 2^V cycles clears all
//! vectors; nothing is taken until then.

use crate::common::fifo::Fifo;
use crate::common::iface::*;
use crate::common::ram::{BlockRam, LutRam};
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum IrqOp {
    None,
    Event,
    Unmask,
    Visit,
}

#[derive(LogicBlock)]
pub struct Irq<const D: usize, const V: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub event: EventSnk,
    pub unmask: UnmaskSnk,
    pub write: WriteReqSrc<D>,
    /// The firmware raises vector 0.
    pub raise: Signal<In, Bit>,
    /// Vector 0 is masked by INTR_MASK.
    pub intr_masked: Signal<In, Bit>,
    /// MSI-X enabled and bus master enabled.
    pub enable: Signal<In, Bit>,
    /// MSI-X function mask.
    pub function_mask: Signal<In, Bit>,
    pub lookup_valid: Signal<Out, Bit>,
    pub lookup_vector: Signal<Out, Bits<8>>,
    pub lookup_addr: Signal<In, Bits<64>>,
    pub lookup_data: Signal<In, Bits<32>>,
    pub lookup_masked: Signal<In, Bit>,
    /// Pending bits for the MSI-X table's window.
    pub pba_word: Signal<In, Bits<3>>,
    pub pba: Signal<Out, Bits<32>>,
    /// A message was accepted.
    pub stat_msix: Signal<Out, Bit>,

    // {rx, vector}
    events: Fifo<9, 2>,
    // {vector, value}
    unmasks: Fifo<40, 2>,
    // {armed, due, TX pending, RX pending, TX since, RX since, TX delay, RX delay}
    vectors: BlockRam<66, V>,
    pending: LutRam<32, 3>,
    pending_host: LutRam<32, 3>,
    // {addr, data}
    messages: Fifo<96, 2>,

    walk: Reg<Bits<9>>,
    slot: Reg<Bits<2>>,
    visit: Reg<Bits<V>>,
    cycles: Reg<Bits<16>>,
    now: Reg<Bits<16>>,
    raised: Reg<Bit>,
    look0: Reg<Bit>,
    was_masked: Reg<Bit>,
    sent: Reg<Bit>,

    op1: Reg<IrqOp>,
    vector1: Reg<Bits<8>>,
    value1: Reg<Bits<32>>,
    op2: Reg<IrqOp>,
    vector2: Reg<Bits<8>>,
    value2: Reg<Bits<32>>,
    state2: Reg<Bits<66>>,
    addr2: Reg<Bits<64>>,
    data2: Reg<Bits<32>>,
    masked2: Reg<Bit>,
    _cycles_per_us: usize,
}

impl<const D: usize, const V: usize> Irq<D, V> {
    /// `cycles_per_us`: clock cycles of a microsecond.
    pub fn new(cycles_per_us: usize) -> Self {
        assert!((3..=8).contains(&V) && (1..=1 << 16).contains(&cycles_per_us));
        Self {
            clock: Default::default(),
            reset: Default::default(),
            event: Default::default(),
            unmask: Default::default(),
            write: Default::default(),
            raise: Default::default(),
            intr_masked: Default::default(),
            enable: Default::default(),
            function_mask: Default::default(),
            lookup_valid: Default::default(),
            lookup_vector: Default::default(),
            lookup_addr: Default::default(),
            lookup_data: Default::default(),
            lookup_masked: Default::default(),
            pba_word: Default::default(),
            pba: Default::default(),
            stat_msix: Default::default(),
            events: Default::default(),
            unmasks: Default::default(),
            vectors: Default::default(),
            pending: Default::default(),
            pending_host: Default::default(),
            messages: Default::default(),
            walk: Default::default(),
            slot: Default::default(),
            visit: Default::default(),
            cycles: Default::default(),
            now: Default::default(),
            raised: Default::default(),
            look0: Default::default(),
            was_masked: Default::default(),
            sent: Default::default(),
            op1: Default::default(),
            vector1: Default::default(),
            value1: Default::default(),
            op2: Default::default(),
            vector2: Default::default(),
            value2: Default::default(),
            state2: Default::default(),
            addr2: Default::default(),
            data2: Default::default(),
            masked2: Default::default(),
            _cycles_per_us: cycles_per_us,
        }
    }
}

/// An event pending since `since` has waited `delay` whole microseconds.
#[kernel]
fn waited(pending: Bit, since: Bits<16>, delay: Bits<15>, now: Bits<16>) -> Bit {
    pending && (!delay.any() || (now - since) > bit_cast::<16, 15>(delay))
}

impl<const D: usize, const V: usize> Logic for Irq<D, V> {
    /// Interrupt moderation and MSI-X messages.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; walk, slot, visit, cycles, now, raised, look0, was_masked, sent,
            op1, vector1, value1, op2, vector2, value2, state2, addr2, data2, masked2);
        clocked!(self, clock, reset; events, unmasks, messages);
        clocked!(self, clock; vectors, pending, pending_host);

        self.events.in_valid.next = self.event.valid.val();
        self.events.in_data.next =
            cat::<1, 8, 9>(self.event.rx.val().into(), self.event.vector.val());
        self.event.ready.next = self.events.in_ready.val();
        self.unmasks.in_valid.next = self.unmask.valid.val();
        self.unmasks.in_data.next =
            cat::<8, 32, 40>(self.unmask.vector.val(), self.unmask.value.val());
        self.unmask.ready.next = self.unmasks.in_ready.val();

        self.cycles.d.next = self.cycles.q.val() + 1;
        if self.cycles.q.val() == lit::<16>(self._cycles_per_us - 1) {
            self.cycles.d.next = lit::<16>(0);
            self.now.d.next = self.now.q.val() + 1;
        }
        let now = self.now.q.val();

        // Stage 0: one operation a slot, never one for a vector still in stage 1 or 2.
        let walking = self.walk.q.val() != lit::<9>(1 << V);
        if walking {
            self.walk.d.next = self.walk.q.val() + 1;
        }
        self.slot.d.next = self.slot.q.val() + 1;
        let input_slot = self.slot.q.val().get_bit(0) && !walking;
        let visit_slot = self.slot.q.val() == 2 && !walking;

        let busy1 = self.op1.q.val() != IrqOp::None;
        let busy2 = self.op2.q.val() != IrqOp::None;
        let v1 = self.vector1.q.val();
        let v2 = self.vector2.q.val();
        let event_word = self.events.out_data.val();
        let event_vector = event_word.get_bits::<8>(0);
        let event_free = !((busy1 && v1 == event_vector) || (busy2 && v2 == event_vector));
        let unmask_word = self.unmasks.out_data.val();
        let unmask_vector = unmask_word.get_bits::<8>(32);
        let unmask_free = !((busy1 && v1 == unmask_vector) || (busy2 && v2 == unmask_vector));
        let visit_vector = bit_cast::<8, V>(self.visit.q.val());
        let visit_free = !((busy1 && v1 == visit_vector) || (busy2 && v2 == visit_vector));

        let take_look0 = input_slot && self.look0.q.val();
        let take_unmask = input_slot && !take_look0 && self.unmasks.out_valid.val() && unmask_free;
        let take_event =
            input_slot && !take_look0 && !take_unmask && self.events.out_valid.val() && event_free;
        let take_visit = visit_slot && visit_free;
        self.unmasks.out_ready.next = take_unmask;
        self.events.out_ready.next = take_event;
        if take_visit {
            self.visit.d.next = self.visit.q.val() + 1;
        }

        let vector0 = if take_visit {
            visit_vector
        } else if take_unmask {
            unmask_vector
        } else if take_event {
            event_vector
        } else {
            lit::<8>(0)
        };
        let in_range = (vector0 >> lit::<4>(V)) == 0;
        self.op1.d.next = if !in_range {
            IrqOp::None
        } else if take_visit || take_look0 {
            IrqOp::Visit
        } else if take_unmask {
            IrqOp::Unmask
        } else if take_event {
            IrqOp::Event
        } else {
            IrqOp::None
        };
        self.vector1.d.next = vector0;
        self.value1.d.next = if take_unmask {
            unmask_word.get_bits::<32>(0)
        } else {
            bit_cast::<32, 1>(event_word.get_bit(8).into())
        };
        self.vectors.raddr.next = bit_cast::<V, 8>(vector0);
        self.lookup_valid.next = self.slot.q.val().any();
        self.lookup_vector.next = vector0;

        // Stage 1.
        self.op2.d.next = self.op1.q.val();
        self.vector2.d.next = v1;
        self.value2.d.next = self.value1.q.val();
        self.state2.d.next = self.vectors.rdata.val();
        self.addr2.d.next = self.lookup_addr.val();
        self.data2.d.next = self.lookup_data.val();
        self.masked2.d.next = self.lookup_masked.val();

        // Stage 2: the input changes the vector...
        let op = self.op2.q.val();
        let value = self.value2.q.val();
        let state = self.state2.q.val();
        let is_event = op == IrqOp::Event;
        let is_unmask = op == IrqOp::Unmask;
        let rx_event = is_event && value.get_bit(0);
        let tx_event = is_event && !value.get_bit(0);
        let rx_was = state.get_bit(62);
        let tx_was = state.get_bit(63);
        let rx_pending = rx_was || rx_event;
        let tx_pending = tx_was || tx_event;
        let some_pending = rx_pending || tx_pending;
        let rx_since = if rx_was { state.get_bits::<16>(30) } else { now };
        let tx_since = if tx_was { state.get_bits::<16>(46) } else { now };
        let new_delays = is_unmask && !value.get_bit(31);
        let delays = if new_delays { value.get_bits::<30>(0) } else { state.get_bits::<30>(0) };
        let kick = new_delays && !value.get_bit(30) && some_pending;
        let armed = if is_unmask { value.get_bit(30) || kick } else { state.get_bit(65) };
        let due = some_pending
            && (state.get_bit(64)
                || kick
                || waited(rx_pending, rx_since, delays.get_bits::<15>(0), now)
                || waited(tx_pending, tx_since, delays.get_bits::<15>(15), now));

        // ...and it fires if it may.
        let is_vector0 = !self.vector2.q.val().any();
        let raised = self.raised.q.val() || (is_event && is_vector0);
        let wanted = op != IrqOp::None
            && if is_vector0 { raised && !self.intr_masked.val() } else { armed && due };
        let masked = self.masked2.q.val() || self.function_mask.val();
        let fire = wanted && self.enable.val() && !masked && self.messages.in_ready.val();
        self.messages.in_valid.next = fire;
        self.messages.in_data.next = cat::<64, 32, 96>(self.addr2.q.val(), self.data2.q.val());

        let keep = !fire;
        let flags = cat::<2, 2, 4>(
            cat::<1, 1, 2>((armed && keep).into(), (due && keep).into()),
            cat::<1, 1, 2>((tx_pending && keep).into(), (rx_pending && keep).into()),
        );
        let times = cat::<32, 30, 62>(cat::<16, 16, 32>(tx_since, rx_since), delays);
        self.vectors.we.next = walking || (op != IrqOp::None && !is_vector0);
        self.vectors.waddr.next = if walking {
            bit_cast::<V, 9>(self.walk.q.val())
        } else {
            bit_cast::<V, 8>(self.vector2.q.val())
        };
        self.vectors.wdata.next =
            if walking { lit::<66>(0) } else { cat::<4, 62, 66>(flags, times) };

        let word = self.vector2.q.val().get_bits::<3>(5);
        let bit = lit::<32>(1) << self.vector2.q.val().get_bits::<5>(0);
        self.pending.raddr.next = word;
        let others = self.pending.rdata.val() & !bit;
        let pending_we = walking || op != IrqOp::None;
        let pending_waddr = if walking { self.walk.q.val().get_bits::<3>(0) } else { word };
        let pending_wdata = if walking {
            lit::<32>(0)
        } else if wanted && self.enable.val() && masked {
            others | bit
        } else {
            others
        };
        self.pending.we.next = pending_we;
        self.pending.waddr.next = pending_waddr;
        self.pending.wdata.next = pending_wdata;
        self.pending_host.we.next = pending_we;
        self.pending_host.waddr.next = pending_waddr;
        self.pending_host.wdata.next = pending_wdata;
        self.pending_host.raddr.next = self.pba_word.val();
        self.pba.next = self.pending_host.rdata.val();

        // Vector 0: remembered until sent, looked at when raised and when its mask goes away.
        self.was_masked.d.next = self.intr_masked.val();
        if take_look0 {
            self.look0.d.next = false;
        }
        if self.raise.val() || (self.was_masked.q.val() && !self.intr_masked.val()) {
            self.look0.d.next = true;
        }
        self.raised.d.next = self.raise.val() || (raised && !(fire && is_vector0));

        self.write.valid.next = self.messages.out_valid.val();
        self.write.addr.next = self.messages.out_data.val().get_bits::<64>(32);
        self.write.len.next = lit::<7>(4);
        self.write.data.next = bit_cast::<D, 32>(self.messages.out_data.val().get_bits::<32>(0));
        self.write.last.next = true;
        self.messages.out_ready.next = self.write.ready.val();
        self.sent.d.next = self.messages.out_valid.val() && self.write.ready.val();
        self.stat_msix.next = self.sent.q.val();
    }
}
