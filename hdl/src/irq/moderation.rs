//! Interrupt moderation: decides when a vector's MSI-X message is sent.
//!
//! RAM keeps for each vector: whether an event of each direction is pending and since when, the two
//! delays, armed, due. A vector becomes due, and stays it, when an event has waited its direction's
//! delay (µs; 0: at once). A due vector fires when it is armed, MSI-X is enabled, and neither
//! function nor table masks it. Firing clears pending and armed. A vector that is due, armed and
//! masked shows in the pending bit array and fires when it is unmasked.
//!
//! The block calls a fired message back (`recall`) if table, function, MSI-X or INTR_MASK forbid it
//! before `pcie/tx` has taken it (`sent`). The vector is then due and armed again. The recall
//! begins two cycles after the mask was written, and in the fourth `pcie/inline` has nothing of the
//! message: before the host can have read the mask back. Meanwhile nobody can read the pending
//! bits.
//!
//! `end` forgets all of a vector: pending, armed, delays, and its message if that was not sent. It
//! waits for inputs of that vector that are in the block.
//!
//! | write to the interrupt register | effect |
//! |---|---|
//! | `keep_delays` 0 | the vector takes the delays, for pending events too |
//! | `unmask` 1 | armed |
//! | `unmask` 0 | disarmed |
//! | both 0, armed and an event pending | disarmed after one message at once |
//!
//! The last is for a driver that suspects a lost interrupt. A vector that its own message disarmed
//! stays silent in that case: some drivers mask by writing 0 while they look at what is pending.
//!
//! Vector 0 belongs to the firmware. `raise` is remembered until its message is sent, waits while
//! `intr_masked`, and needs no arming. An I/O event for vector 0 counts as a raise; writes to its
//! interrupt register do nothing.
//!
//! **Speed.** A round has four slots of a cycle. Two are for an event or unmask, one is for the
//! host's table access, and one visits the next vector: deadlines, masks that went away, messages
//! that found another one waiting. Every vector is visited within 4 * 2^V cycles. If nothing else
//! waits an event with delay 0 is at `write` after 11 or 12 cycles: the decision takes 6 or 7, then
//! the table is asked for the message. One with delay d is there after d to d + 1 µs and a round of
//! visits. Events and unmasks never wait for `write`: while a message waits the other vectors stay
//! as they are. After `reset` a walk of 2^V cycles clears all vectors; nothing is taken until then.
//!
//! | stage | |
//! |---|---|
//! | 0 | chooses: event, unmask, visit, end, or the return of a message that was called back |
//! | 1 | reads the vector's state, and its mask in the table |
//! | 2 | changes the state by the input; how long has the event waited? |
//! | 3 | has it waited long enough? |
//! | 4 | fires if the vector may, writes the state back |

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

/// The state of the message that was fired last.
#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Message {
    Idle,
    /// Asked for, then on `write`.
    Offer,
    /// Taken by `pcie/inline`.
    Held,
    Recall,
    /// In this cycle `sent` still tells of a message that `pcie/tx` took during the recall.
    Recalled,
    /// The message will be pending again, unless its vector has ended: it waits for its slot...
    Return,
    /// ...and is in the stages.
    Returning,
}

/// An event of a direction.
#[record]
pub struct Directions {
    rx: Bit,
    tx: Bit,
}

/// In microseconds.
#[record]
pub struct Delays {
    rx: Bits<15>,
    tx: Bits<15>,
}

/// Delays, and since when events are pending.
#[record]
pub struct Times {
    delays: Delays,
    rx_since: Bits<16>,
    tx_since: Bits<16>,
}

#[record]
pub struct Flags {
    pending: Directions,
    due: Bit,
    armed: Bit,
}

/// A vector's state.
#[record]
pub struct Moderation {
    times: Times,
    flags: Flags,
}

/// What the next slot for inputs is for.
#[record]
pub struct Pick {
    event: Bit,
    unmask: Bit,
    /// Vector 0 is looked at.
    look0: Bit,
    end: Bit,
    returns: Bit,
}

/// A write to an interrupt register.
#[record(layout = nitor_abi::bar::Interrupt)]
pub struct InterruptWrite {
    rx_delay: Bits<15>,
    tx_delay: Bits<15>,
    pub unmask: Bit,
    keep_delays: Bit,
}

/// A vector's place in the pending bit array.
#[record]
pub struct Place {
    bit: Bits<5>,
    word: Bits<3>,
}

#[derive(LogicBlock)]
pub struct Irq<const D: usize, const V: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub event: EventSnk,
    pub unmask: UnmaskSnk,
    pub end: VectorEndSnk,
    pub write: WriteReqSrc<D>,
    /// Calls the message back.
    pub recall: Signal<Out, Bit>,
    /// `pcie/tx` took the message a cycle ago.
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
    /// Asks the table for a vector's message, which stands from `fetched` until the next `fetch`.
    pub fetch: Signal<Out, Bit>,
    pub fetch_vector: Signal<Out, Bits<8>>,
    pub fetched: Signal<In, Bit>,
    pub message_addr: Signal<In, Bits<64>>,
    pub message_data: Signal<In, Bits<32>>,
    /// The table masks the message's vector; counts while `fetched`.
    pub message_masked: Signal<In, Bit>,
    /// Pending bits for the MSI-X table's window; `pba_valid` is high in one cycle of four at
    /// least.
    pub pba_word: Signal<In, Bits<3>>,
    pub pba: Signal<Out, Bits<32>>,
    pub pba_valid: Signal<Out, Bit>,
    /// A message was sent.
    pub stat_msix: Signal<Out, Bit>,

    vectors: BlockRam<Moderation, V>,
    pending: LutRam<Bits<32>, 3>,

    walk: Reg<Bits<9>>,
    slot: Reg<Bits<2>>,
    visit: Reg<Bits<V>>,
    cycles: Reg<Bits<16>>,
    now: Reg<Bits<16>>,
    raised: Reg<Bit>,
    look0: Reg<Bit>,
    was_masked: Reg<Bit>,
    picked: Reg<Pick>,
    picked_vector: Reg<Bits<8>>,

    // An input that waits for its slot.
    event_held: Reg<Bit>,
    event_what: Reg<Event>,
    unmask_held: Reg<Bit>,
    unmask_what: Reg<Unmask>,

    op1: Reg<IrqOp>,
    vector1: Reg<Bits<8>>,
    rx1: Reg<Bit>,
    value1: Reg<Bits<32>>,
    op2: Reg<IrqOp>,
    vector2: Reg<Bits<8>>,
    rx2: Reg<Bit>,
    value2: Reg<Bits<32>>,
    state2: Reg<Moderation>,
    op3: Reg<IrqOp>,
    vector3: Reg<Bits<8>>,
    times3: Reg<Times>,
    pending3: Reg<Directions>,
    armed3: Reg<Bit>,
    // The vector is due whatever the times say.
    due3: Reg<Bit>,
    // What was pending before this operation, and how long.
    waits3: Reg<Directions>,
    tx_age3: Reg<Bits<16>>,
    rx_age3: Reg<Bits<16>>,
    masked3: Reg<Bit>,
    op4: Reg<IrqOp>,
    vector4: Reg<Bits<8>>,
    times4: Reg<Times>,
    pending4: Reg<Directions>,
    armed4: Reg<Bit>,
    due4: Reg<Bit>,
    masked4: Reg<Bit>,
    message: Reg<Message>,
    message_vector: Reg<Bits<V>>,
    counted: Reg<Bit>,
    // The operation of `end` was taken; it is through the stages.
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
            event_what: Default::default(),
            unmask_held: Default::default(),
            unmask_what: Default::default(),
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
        registers!(self, clock, reset; walk, slot, visit, cycles, now, raised, look0, was_masked);
        registers!(self, clock, reset; picked, event_held, unmask_held, op1, op2, op3, pending3);
        registers!(self, clock, reset; armed3, due3, waits3, masked3, op4, pending4, armed4, due4);
        registers!(self, clock, reset; masked4, message, counted, end_taken, ended);
        registers!(self, clock; picked_vector, event_what, unmask_what, vector1, rx1, value1);
        registers!(self, clock; vector2, rx2, value2, state2, vector3, times3, tx_age3, rx_age3);
        registers!(self, clock; vector4, times4, message_vector);
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
        let odd_slot = (self.slot.q.val() & 1) != 0;
        let input_slot = odd_slot && !walking;
        let visit_slot = self.slot.q.val() == 2 && !walking;

        let busy1 = self.op1.q.val() != IrqOp::None;
        let busy2 = self.op2.q.val() != IrqOp::None;
        let busy3 = self.op3.q.val() != IrqOp::None;
        let busy4 = self.op4.q.val() != IrqOp::None;
        let v1 = self.vector1.q.val();
        let v2 = self.vector2.q.val();
        let v3 = self.vector3.q.val();
        let v4 = self.vector4.q.val();
        let event_vector = self.event_what.q.val().vector;
        let unmask_vector = self.unmask_what.q.val().vector;
        // An input is picked in the slot before its own. Events go first in one slot, unmasks in
        // the other, so that a busy vector does not stop both.
        let unmask_first = (self.slot.q.val() & 2) == 0;
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
        if !odd_slot {
            self.picked.d.next = Pick {
                event: pick_event,
                unmask: pick_unmask,
                look0: pick_look0,
                end: pick_end,
                returns: pick_return,
            };
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
        let picked = self.picked.q.val();
        let take_look0 = input_slot && picked.look0;
        let vector0 = if odd_slot {
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
        let take_return = input_slot && picked.returns && returns && !there;
        let take_end = input_slot && picked.end && !there;
        let take_unmask = input_slot && picked.unmask && !there;
        let take_event = input_slot && picked.event && !there;
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
            self.event_what.d.next = self.event.get();
        }
        if take_unmask {
            self.unmask_held.d.next = false;
        }
        if !self.unmask_held.q.val() {
            self.unmask_held.d.next = self.unmask.valid.val();
            self.unmask_what.d.next = self.unmask.get();
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
        self.rx1.d.next = self.event_what.q.val().rx;
        self.value1.d.next = self.unmask_what.q.val().value;
        self.vectors.raddr.next = bit_cast::<V, 8>(vector0);

        // Stage 1.
        self.lookup_vector.next = v1;
        self.op2.d.next = self.op1.q.val();
        self.vector2.d.next = v1;
        self.rx2.d.next = self.rx1.q.val();
        self.value2.d.next = self.value1.q.val();
        self.state2.d.next = self.vectors.rdata.val();

        // Stage 2: the input changes the vector. The walk's zeros pass here.
        let value = InterruptWrite::from_bits(self.value2.q.val());
        let state = self.state2.q.val();
        let is_event = self.op2.q.val() == IrqOp::Event;
        let is_unmask = self.op2.q.val() == IrqOp::Unmask;
        let is_end = self.op2.q.val() == IrqOp::End;
        let is_return = self.op2.q.val() == IrqOp::Return;
        let rx_was = state.flags.pending.rx;
        let tx_was = state.flags.pending.tx;
        let rx_since = state.times.rx_since;
        let tx_since = state.times.tx_since;
        // The direction of a message that returns does not matter any more.
        let rx_pending = (rx_was || (is_event && self.rx2.q.val()) || is_return) && !is_end;
        let tx_pending = (tx_was || (is_event && !self.rx2.q.val())) && !is_end;
        let some_pending = rx_pending || tx_pending;
        let new_delays = is_unmask && !value.keep_delays;
        let delays = if new_delays {
            Delays { rx: value.rx_delay, tx: value.tx_delay }
        } else {
            state.times.delays
        };
        let armed = state.flags.armed;
        let kick = new_delays && !value.unmask && some_pending && armed;
        let rx_at_once = rx_pending && !delays.rx.any();
        let tx_at_once = tx_pending && !delays.tx.any();
        self.op3.d.next = self.op2.q.val();
        self.vector3.d.next = v2;
        self.times3.d.next = if walking || is_end {
            Times::from_bits(lit::<62>(0))
        } else {
            Times {
                delays,
                rx_since: if rx_was { rx_since } else { now },
                tx_since: if tx_was { tx_since } else { now },
            }
        };
        self.pending3.d.next = Directions { rx: rx_pending, tx: tx_pending };
        self.armed3.d.next =
            if is_unmask { value.unmask || kick } else { (armed || is_return) && !is_end };
        self.due3.d.next =
            (some_pending && state.flags.due) || kick || rx_at_once || tx_at_once || is_return;
        self.waits3.d.next = Directions { rx: rx_was && !is_end, tx: tx_was && !is_end };
        self.tx_age3.d.next = now - tx_since;
        self.rx_age3.d.next = now - rx_since;
        self.masked3.d.next = self.lookup_masked.val();

        // Stage 3: is it due...
        let times = self.times3.q.val();
        let rx_late = self.rx_age3.q.val() > bit_cast::<16, 15>(times.delays.rx);
        let tx_late = self.tx_age3.q.val() > bit_cast::<16, 15>(times.delays.tx);
        let due = self.due3.q.val()
            || (self.waits3.q.val().rx && rx_late)
            || (self.waits3.q.val().tx && tx_late);

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

        let flags = Flags {
            pending: self.pending4.q.val(),
            due: self.due4.q.val(),
            armed: self.armed4.q.val(),
        };
        let no_flags = Flags::from_bits(lit::<4>(0));
        self.vectors.we.next = walking || (op != IrqOp::None && !is_vector0);
        self.vectors.waddr.next =
            if walking { bit_cast::<V, 9>(self.walk.q.val()) } else { bit_cast::<V, 8>(v4) };
        self.vectors.wdata.next = Moderation {
            times: self.times4.q.val(),
            flags: if walking || fire { no_flags } else { flags },
        };

        // The pending bits; the host's window reads them when no operation does.
        let place = Place::from_bits(bit_cast::<8, V>(bit_cast::<V, 8>(v4)));
        let word = place.word;
        let bit = lit::<32>(1) << place.bit;
        self.pending.raddr.next = if busy4 { word } else { self.pba_word.val() };
        self.pba.next = self.pending.rdata.val();
        let others = self.pending.rdata.val() & !bit;
        self.pending.we.next = walking || busy4;
        self.pending.waddr.next = if walking { bit_cast::<3, 9>(self.walk.q.val()) } else { word };
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

        // From the cycle after `fire` on the last message's `fetched` is low.
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
        // Between the mask and the pending bit nobody reads the array.
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

        // A vector has ended when its operation is through, and so is its message, if it has one.
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
