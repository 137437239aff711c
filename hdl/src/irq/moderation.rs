//! Interrupt moderation: decides when a vector's MSI-X message is sent.
//!
//! Per vector, in RAM: an event of each direction pending and since when, the two delays, armed, due. A vector is due
//! when an event of a direction has waited that direction's delay (µs; 0: at once), and stays due. It fires when
//! due, armed, MSI-X enabled and masked neither by function nor by table; firing clears pending and armed. Due and armed but masked
//! shows in the pending bit array, and is sent when unmasked.
//!
//! A message that was fired is called back (`recall`) if the table, the function, MSI-X or INTR_MASK forbid it
//! before `pcie/tx` has taken it (`sent`): the vector is due and armed again. That begins two cycles after the mask was
//! written, and `pcie/inline` has nothing of it in the fourth: before the host can have read the mask back. The pending
//! bits can't be read in between.
//!
//! `end` forgets all of a vector: pending, armed, delays, and its message if it was not sent. It waits for what waits here of that vector.
//!
//! | write to the interrupt register | effect |
//! |---|---|
//! | bit 31 = 0 | delays taken over, for pending events too |
//! | bit 30 = 1 | armed |
//! | bit 30 = 0 | disarmed; but with bit 31 = 0, armed and an event pending, one message at once (a driver suspects a lost interrupt) |
//!
//! What was disarmed by its message stays silent then: some drivers mask by writing 0, while what they are just looking at is pending.
//!
//! Vector 0 belongs to the firmware: `raise` is remembered until sent, waits while `intr_masked`, needs no arming. An I/O event for
//! vector 0 counts as a raise; writes to its interrupt register do nothing.
//!
//! Slots of four cycles: an event or unmask in two of them, a visit of the next vector in one (deadlines, masks
//! that went away, messages that found another waiting: every vector within 4 * 2^V cycles), the host's table access in one. An event with delay 0
//! is at `write` after 11 or 12 cycles if nothing else waits: it is decided upon after 6 or 7, then the table is asked for the message; one with delay d after d to d + 1 µs and a round of visits. Events and unmasks never wait for
//! `write`: while a message waits to be sent the other vectors stay as they are. After `reset` a walk of 2^V cycles clears all
//! vectors; nothing is taken until then.
//!
//! | stage | |
//! |---|---|
//! | 0 | choose: event, unmask, visit, end, or the return of what was called back |
//! | 1 | the vector's state and its mask in the table are read |
//! | 2 | the input changes the state; how long has it waited? |
//! | 3 | has it waited long enough? |
//! | 4 | it fires if it may, the state goes back |

use crate::common::iface::*;
use crate::common::ram::{BlockRam, LutRam};
use nitor_rtl::prelude::*;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum IrqOp {
    None,
    Event,
    Unmask,
    Visit,
    End,
    Return,
}

/// Of the message that was fired last.
#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Message {
    Idle,
    /// Asked for, then on `write`.
    Offer,
    /// Taken by `pcie/inline`.
    Held,
    Recall,
    /// What `pcie/tx` took while it was called back shows in this cycle.
    Recalled,
    /// To be pending again, if its vector has not ended: waits for its slot...
    Return,
    /// ...and is on its way.
    Returning,
}

#[derive(LogicBlock)]
pub struct Irq<const D: usize, const V: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub event: EventSnk,
    pub unmask: UnmaskSnk,
    pub end: VectorEndSnk,
    pub write: WriteReqSrc<D>,
    /// What was written is not to be sent any more.
    pub recall: Signal<Out, Bit>,
    /// It was sent a cycle ago.
    pub sent: Signal<In, Bit>,
    /// The firmware raises vector 0.
    pub raise: Signal<In, Bit>,
    /// Vector 0 is masked by INTR_MASK.
    pub intr_masked: Signal<In, Bit>,
    /// MSI-X enabled and bus master enabled.
    pub enable: Signal<In, Bit>,
    /// MSI-X function mask.
    pub function_mask: Signal<In, Bit>,
    pub lookup_vector: Signal<Out, Bits<8>>,
    pub lookup_masked: Signal<In, Bit>,
    /// Asks the table for a vector's message, which stands from `fetched` until the next is asked for.
    pub fetch: Signal<Out, Bit>,
    pub fetch_vector: Signal<Out, Bits<8>>,
    pub fetched: Signal<In, Bit>,
    pub message_addr: Signal<In, Bits<64>>,
    pub message_data: Signal<In, Bits<32>>,
    /// Its vector is masked in the table; counts while `fetched`.
    pub message_masked: Signal<In, Bit>,
    /// Pending bits for the MSI-X table's window; `pba_valid` is high in one cycle of four at least.
    pub pba_word: Signal<In, Bits<3>>,
    pub pba: Signal<Out, Bits<32>>,
    pub pba_valid: Signal<Out, Bit>,
    /// A message was sent.
    pub stat_msix: Signal<Out, Bit>,

    // {armed, due, TX pending, RX pending, TX since, RX since, TX delay, RX delay}
    vectors: BlockRam<Bits<66>, V>,
    pending: LutRam<Bits<32>, 3>,

    walk: Reg<Bits<9>>,
    slot: Reg<Bits<2>>,
    visit: Reg<Bits<V>>,
    cycles: Reg<Bits<16>>,
    now: Reg<Bits<16>>,
    raised: Reg<Bit>,
    look0: Reg<Bit>,
    was_masked: Reg<Bit>,
    // What the next slot for inputs is for: {return, end, vector 0's look, unmask, event}.
    picked: Reg<Bits<5>>,
    picked_vector: Reg<Bits<8>>,

    // An input that waits for its slot.
    event_held: Reg<Bit>,
    event_rx: Reg<Bit>,
    event_vector: Reg<Bits<8>>,
    unmask_held: Reg<Bit>,
    unmask_vector: Reg<Bits<8>>,
    unmask_value: Reg<Bits<32>>,

    op1: Reg<IrqOp>,
    vector1: Reg<Bits<8>>,
    rx1: Reg<Bit>,
    value1: Reg<Bits<32>>,
    op2: Reg<IrqOp>,
    vector2: Reg<Bits<8>>,
    rx2: Reg<Bit>,
    value2: Reg<Bits<32>>,
    state2: Reg<Bits<66>>,
    op3: Reg<IrqOp>,
    vector3: Reg<Bits<8>>,
    // {TX since, RX since, TX delay, RX delay}
    times3: Reg<Bits<62>>,
    // {TX, RX}
    pending3: Reg<Bits<2>>,
    armed3: Reg<Bit>,
    // Due, whatever the times say.
    due3: Reg<Bit>,
    // {TX, RX}: pending before this operation, and how long.
    waits3: Reg<Bits<2>>,
    tx_age3: Reg<Bits<16>>,
    rx_age3: Reg<Bits<16>>,
    masked3: Reg<Bit>,
    op4: Reg<IrqOp>,
    vector4: Reg<Bits<8>>,
    times4: Reg<Bits<62>>,
    pending4: Reg<Bits<2>>,
    armed4: Reg<Bit>,
    due4: Reg<Bit>,
    masked4: Reg<Bit>,
    message: Reg<Message>,
    message_vector: Reg<Bits<V>>,
    counted: Reg<Bit>,
    // `end` is in the stages or beyond; beyond.
    end_taken: Reg<Bit>,
    ended: Reg<Bit>,
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
            end: Default::default(),
            write: Default::default(),
            recall: Default::default(),
            sent: Default::default(),
            raise: Default::default(),
            intr_masked: Default::default(),
            enable: Default::default(),
            function_mask: Default::default(),
            lookup_vector: Default::default(),
            lookup_masked: Default::default(),
            fetch: Default::default(),
            fetch_vector: Default::default(),
            fetched: Default::default(),
            message_addr: Default::default(),
            message_data: Default::default(),
            message_masked: Default::default(),
            pba_word: Default::default(),
            pba: Default::default(),
            pba_valid: Default::default(),
            stat_msix: Default::default(),
            vectors: Default::default(),
            pending: Default::default(),
            walk: Default::default(),
            slot: Default::default(),
            visit: Default::default(),
            cycles: Default::default(),
            now: Default::default(),
            raised: Default::default(),
            look0: Default::default(),
            was_masked: Default::default(),
            picked: Default::default(),
            picked_vector: Default::default(),
            event_held: Default::default(),
            event_rx: Default::default(),
            event_vector: Default::default(),
            unmask_held: Default::default(),
            unmask_vector: Default::default(),
            unmask_value: Default::default(),
            op1: Default::default(),
            vector1: Default::default(),
            rx1: Default::default(),
            value1: Default::default(),
            op2: Default::default(),
            vector2: Default::default(),
            rx2: Default::default(),
            value2: Default::default(),
            state2: Default::default(),
            op3: Default::default(),
            vector3: Default::default(),
            times3: Default::default(),
            pending3: Default::default(),
            armed3: Default::default(),
            due3: Default::default(),
            waits3: Default::default(),
            tx_age3: Default::default(),
            rx_age3: Default::default(),
            masked3: Default::default(),
            op4: Default::default(),
            vector4: Default::default(),
            times4: Default::default(),
            pending4: Default::default(),
            armed4: Default::default(),
            due4: Default::default(),
            masked4: Default::default(),
            message: Default::default(),
            message_vector: Default::default(),
            counted: Default::default(),
            end_taken: Default::default(),
            ended: Default::default(),
            _cycles_per_us: cycles_per_us,
        }
    }
}

impl<const D: usize, const V: usize> Logic for Irq<D, V> {
    /// Interrupt moderation and MSI-X messages.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; walk, slot, visit, cycles, now, raised, look0, was_masked, picked, event_held, unmask_held);
        registers!(self, clock, reset; op1, op2);
        registers!(self, clock, reset; op3, pending3, armed3, due3, waits3, masked3, op4, pending4, armed4, due4, masked4, message, counted, end_taken, ended);
        registers!(self, clock; picked_vector, event_rx, event_vector, unmask_vector, unmask_value, vector1, rx1, value1, vector2, rx2,
            value2, state2, vector3, times3, tx_age3, rx_age3, vector4, times4, message_vector);
        clocked!(self, clock; vectors, pending);

        self.cycles.d.next = self.cycles.q.val() + 1;
        if self.cycles.q.val() == lit::<16>(self._cycles_per_us - 1) {
            self.cycles.d.next = lit::<16>(0);
            self.now.d.next = self.now.q.val() + 1;
        }
        let now = self.now.q.val();

        // Stage 0: one operation a slot, never one for a vector that is still in another stage.
        let walking = !self.walk.q.val().get_bit(V);
        if walking {
            self.walk.d.next = self.walk.q.val() + 1;
        }
        self.slot.d.next = self.slot.q.val() + 1;
        let input_slot = self.slot.q.val().get_bit(0) && !walking;
        let visit_slot = self.slot.q.val() == 2 && !walking;

        let busy1 = self.op1.q.val() != IrqOp::None;
        let busy2 = self.op2.q.val() != IrqOp::None;
        let busy3 = self.op3.q.val() != IrqOp::None;
        let busy4 = self.op4.q.val() != IrqOp::None;
        let v1 = self.vector1.q.val();
        let v2 = self.vector2.q.val();
        let v3 = self.vector3.q.val();
        let v4 = self.vector4.q.val();
        let event_vector = self.event_vector.q.val();
        let unmask_vector = self.unmask_vector.q.val();
        // An input is picked in the slot before its own. Each goes first in one of the two, so that one whose vector is busy does not stop
        // the other.
        let unmask_first = !self.slot.q.val().get_bit(1);
        let ending = bit_cast::<8, V>(bit_cast::<V, 8>(self.end.vector.val()));
        let before = (self.event_held.q.val() && event_vector == ending)
            || (self.unmask_held.q.val() && unmask_vector == ending);
        let returns = self.message.q.val() == Message::Return;
        let pick_look0 = self.look0.q.val();
        let pick_return = !pick_look0 && returns;
        let pick_end = !pick_look0
            && !pick_return
            && self.end.valid.val()
            && !self.end_taken.q.val()
            && !before;
        let pick_others = !pick_look0 && !pick_return && !pick_end;
        let pick_unmask =
            pick_others && self.unmask_held.q.val() && (unmask_first || !self.event_held.q.val());
        let pick_event = pick_others && !pick_unmask && self.event_held.q.val();
        if !self.slot.q.val().get_bit(0) {
            self.picked.d.next = cat::<2, 3, 5>(
                cat::<1, 1, 2>(pick_return.into(), pick_end.into()),
                cat::<1, 2, 3>(
                    pick_look0.into(),
                    cat::<1, 1, 2>(pick_unmask.into(), pick_event.into()),
                ),
            );
            self.picked_vector.d.next = if pick_return {
                bit_cast::<8, V>(self.message_vector.q.val())
            } else if pick_end {
                ending
            } else if pick_unmask {
                unmask_vector
            } else if pick_event {
                event_vector
            } else {
                lit::<8>(0)
            };
        }
        let take_look0 = input_slot && self.picked.q.val().get_bit(2);
        let wants_return = self.picked.q.val().get_bit(4);
        let wants_end = self.picked.q.val().get_bit(3);
        let wants_unmask = self.picked.q.val().get_bit(1);
        let wants_event = self.picked.q.val().get_bit(0);
        let vector0 = if self.slot.q.val().get_bit(0) {
            self.picked_vector.q.val()
        } else {
            bit_cast::<8, V>(self.visit.q.val())
        };
        // Only vectors that exist are in the stages.
        let low0 = bit_cast::<V, 8>(vector0);
        let there = (busy1 && bit_cast::<V, 8>(v1) == low0)
            || (busy2 && bit_cast::<V, 8>(v2) == low0)
            || (busy3 && bit_cast::<V, 8>(v3) == low0)
            || (busy4 && bit_cast::<V, 8>(v4) == low0);
        let take_return = input_slot && wants_return && returns && !there;
        let take_end = input_slot && wants_end && !there;
        let take_unmask = input_slot && wants_unmask && !there;
        let take_event = input_slot && wants_event && !there;
        let take_visit = visit_slot && !there;
        if take_visit {
            self.visit.d.next = self.visit.q.val() + 1;
        }

        // Inputs.
        self.event.ready.next = !self.event_held.q.val();
        self.unmask.ready.next = !self.unmask_held.q.val();
        if take_event {
            self.event_held.d.next = false;
        }
        if !self.event_held.q.val() {
            self.event_held.d.next = self.event.valid.val();
            self.event_rx.d.next = self.event.rx.val();
            self.event_vector.d.next = self.event.vector.val();
        }
        if take_unmask {
            self.unmask_held.d.next = false;
        }
        if !self.unmask_held.q.val() {
            self.unmask_held.d.next = self.unmask.valid.val();
            self.unmask_vector.d.next = self.unmask.vector.val();
            self.unmask_value.d.next = self.unmask.value.val();
        }

        let in_range = (vector0 >> lit::<4>(V)) == 0;
        self.op1.d.next = if !in_range {
            IrqOp::None
        } else if take_visit || take_look0 {
            IrqOp::Visit
        } else if take_return {
            IrqOp::Return
        } else if take_end {
            IrqOp::End
        } else if take_unmask {
            IrqOp::Unmask
        } else if take_event {
            IrqOp::Event
        } else {
            IrqOp::None
        };
        self.vector1.d.next = vector0;
        self.rx1.d.next = self.event_rx.q.val();
        self.value1.d.next = self.unmask_value.q.val();
        self.vectors.raddr.next = bit_cast::<V, 8>(vector0);

        // Stage 1.
        self.lookup_vector.next = v1;
        self.op2.d.next = self.op1.q.val();
        self.vector2.d.next = v1;
        self.rx2.d.next = self.rx1.q.val();
        self.value2.d.next = self.value1.q.val();
        self.state2.d.next = self.vectors.rdata.val();

        // Stage 2: the input changes the vector. The walk's zeros pass here.
        let value = self.value2.q.val();
        let state = self.state2.q.val();
        let is_event = self.op2.q.val() == IrqOp::Event;
        let is_unmask = self.op2.q.val() == IrqOp::Unmask;
        let is_end = self.op2.q.val() == IrqOp::End;
        let is_return = self.op2.q.val() == IrqOp::Return;
        let rx_was = state.get_bit(62);
        let tx_was = state.get_bit(63);
        let rx_since = state.get_bits::<16>(30);
        let tx_since = state.get_bits::<16>(46);
        // Of a message that returns it matters no more which direction it was for.
        let rx_pending = (rx_was || (is_event && self.rx2.q.val()) || is_return) && !is_end;
        let tx_pending = (tx_was || (is_event && !self.rx2.q.val())) && !is_end;
        let some_pending = rx_pending || tx_pending;
        let new_delays = is_unmask && !value.get_bit(31);
        let delays = if new_delays { value.get_bits::<30>(0) } else { state.get_bits::<30>(0) };
        let armed = state.get_bit(65);
        let kick = new_delays && !value.get_bit(30) && some_pending && armed;
        let rx_at_once = rx_pending && !delays.get_bits::<15>(0).any();
        let tx_at_once = tx_pending && !delays.get_bits::<15>(15).any();
        self.op3.d.next = self.op2.q.val();
        self.vector3.d.next = v2;
        self.times3.d.next = if walking || is_end {
            lit::<62>(0)
        } else {
            cat::<32, 30, 62>(
                cat::<16, 16, 32>(
                    if tx_was { tx_since } else { now },
                    if rx_was { rx_since } else { now },
                ),
                delays,
            )
        };
        self.pending3.d.next = cat::<1, 1, 2>(tx_pending.into(), rx_pending.into());
        self.armed3.d.next =
            if is_unmask { value.get_bit(30) || kick } else { (armed || is_return) && !is_end };
        self.due3.d.next =
            (some_pending && state.get_bit(64)) || kick || rx_at_once || tx_at_once || is_return;
        self.waits3.d.next = cat::<1, 1, 2>((tx_was && !is_end).into(), (rx_was && !is_end).into());
        self.tx_age3.d.next = now - tx_since;
        self.rx_age3.d.next = now - rx_since;
        self.masked3.d.next = self.lookup_masked.val();

        // Stage 3: is it due...
        let times = self.times3.q.val();
        let rx_late = self.rx_age3.q.val() > bit_cast::<16, 15>(times.get_bits::<15>(0));
        let tx_late = self.tx_age3.q.val() > bit_cast::<16, 15>(times.get_bits::<15>(15));
        let due = self.due3.q.val()
            || (self.waits3.q.val().get_bit(0) && rx_late)
            || (self.waits3.q.val().get_bit(1) && tx_late);

        self.op4.d.next = self.op3.q.val();
        self.vector4.d.next = v3;
        self.times4.d.next = times;
        self.pending4.d.next = self.pending3.q.val();
        self.armed4.d.next = self.armed3.q.val();
        self.due4.d.next = due;
        self.masked4.d.next = self.masked3.q.val();

        // Stage 4: ...and it fires if it may.
        let op = self.op4.q.val();
        let is_vector0 = !v4.any();
        let raised =
            self.raised.q.val() || ((op == IrqOp::Event || op == IrqOp::Return) && is_vector0);
        let wanted = op != IrqOp::None
            && if is_vector0 {
                raised && !self.intr_masked.val()
            } else {
                self.armed4.q.val() && self.due4.q.val()
            };
        let masked = self.masked4.q.val() || self.function_mask.val();
        let enable = self.enable.val();
        let message = self.message.q.val();
        let fire = wanted && enable && !masked && message == Message::Idle;

        let flags = cat::<2, 2, 4>(
            cat::<1, 1, 2>(self.armed4.q.val().into(), self.due4.q.val().into()),
            self.pending4.q.val(),
        );
        self.vectors.we.next = walking || (op != IrqOp::None && !is_vector0);
        self.vectors.waddr.next =
            if walking { bit_cast::<V, 9>(self.walk.q.val()) } else { bit_cast::<V, 8>(v4) };
        self.vectors.wdata.next = cat::<4, 62, 66>(
            if walking || fire { lit::<4>(0) } else { flags },
            self.times4.q.val(),
        );

        // The pending bits; the host's window reads them when no operation does.
        let place = bit_cast::<8, V>(bit_cast::<V, 8>(v4));
        let word = place.get_bits::<3>(5);
        let bit = lit::<32>(1) << place.get_bits::<5>(0);
        self.pending.raddr.next = if busy4 { word } else { self.pba_word.val() };
        self.pba.next = self.pending.rdata.val();
        let others = self.pending.rdata.val() & !bit;
        self.pending.we.next = walking || busy4;
        self.pending.waddr.next = if walking { self.walk.q.val().get_bits::<3>(0) } else { word };
        self.pending.wdata.next = if walking {
            lit::<32>(0)
        } else if wanted && enable && masked {
            others | bit
        } else {
            others
        };

        // Vector 0: remembered until sent, looked at when raised and when its mask goes away.
        self.was_masked.d.next = self.intr_masked.val();
        if take_look0 {
            self.look0.d.next = false;
        }
        if self.raise.val() || (self.was_masked.q.val() && !self.intr_masked.val()) {
            self.look0.d.next = true;
        }
        self.raised.d.next = self.raise.val() || (raised && !(fire && is_vector0));

        // What was fetched for the message before counts no more in the cycle after `fire`.
        let fetched = self.fetched.val();
        let sent = self.sent.val();
        let of_vector0 = !self.message_vector.q.val().any();
        let of_ended =
            self.ended.q.val() && self.message_vector.q.val() == bit_cast::<V, 8>(ending);
        let withheld = self.message_masked.val()
            || self.function_mask.val()
            || !enable
            || (of_vector0 && self.intr_masked.val())
            || of_ended;
        let offers = message == Message::Offer && fetched && !withheld;
        match message {
            Message::Idle => {
                if fire {
                    self.message.d.next = Message::Offer;
                    self.message_vector.d.next = bit_cast::<V, 8>(v4);
                }
            }
            Message::Offer => {
                if fetched && withheld {
                    self.message.d.next = Message::Return;
                } else if offers && self.write.ready.val() {
                    self.message.d.next = Message::Held;
                }
            }
            Message::Held => {
                if sent {
                    self.message.d.next = Message::Idle;
                } else if withheld {
                    self.message.d.next = Message::Recall;
                }
            }
            Message::Recall => {
                self.message.d.next = if sent { Message::Idle } else { Message::Recalled };
            }
            Message::Recalled => {
                self.message.d.next = if sent { Message::Idle } else { Message::Return };
            }
            Message::Return => {
                if of_ended {
                    self.message.d.next = Message::Idle;
                } else if take_return {
                    self.message.d.next = Message::Returning;
                }
            }
            Message::Returning => {
                if op == IrqOp::Return {
                    self.message.d.next = Message::Idle;
                }
            }
        }
        // From the mask on until the pending bit is set nobody reads it.
        let unsettled = match message {
            Message::Idle => false,
            Message::Offer | Message::Held => fetched && withheld,
            _ => true,
        };
        self.pba_valid.next = !busy4 && !unsettled;

        self.fetch.next = fire;
        self.fetch_vector.next = v4;
        self.write.valid.next = offers;
        self.write.addr.next = self.message_addr.val();
        self.write.len.next = lit::<7>(4);
        self.write.data.next = bit_cast::<D, 32>(self.message_data.val());
        self.write.last.next = true;
        self.recall.next = message == Message::Recall;
        self.counted.d.next = sent && message != Message::Idle;
        self.stat_msix.next = self.counted.q.val();

        // A vector has ended when its operation is through, and its message if it has one.
        let end_done = self.ended.q.val() && (message == Message::Idle || !of_ended);
        self.end.ready.next = end_done;
        if take_end {
            self.end_taken.d.next = true;
        }
        if op == IrqOp::End {
            self.ended.d.next = true;
        }
        if end_done {
            self.end_taken.d.next = false;
            self.ended.d.next = false;
        }
    }
}
