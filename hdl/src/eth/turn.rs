//! The wire's loopback: frames that the card sends come back to the card and do not leave the
//! board.
//!
//! | port | what |
//! |---|---|
//! | `turned` | asks for the loopback |
//! | `is_turned` | the loopback is on |
//! | `from_card`, `to_card` | words of frames, from [Narrow] and to [Widen] |
//! | `to_mac`, `from_mac` | words of frames to and from the MAC |
//!
//! [Narrow]: super::gear::Narrow
//! [Widen]: super::gear::Widen
//!
//! - **Latency**: none: words pass in the same cycle, through no register.
//! - **Throughput**: a word a cycle. A switch costs the card's words a cycle.
//! - **Back-pressure**: passes through. `from_card` is stalled by `to_mac`, or by `to_card` while
//!   the loopback is on. `from_mac` is stalled by `to_card`, and never while its words are dropped.
//! - **Switching**: happens between two frames of the card. When the loopback goes on, a frame from
//!   the MAC that is under way to the card is ended with `err`, and `from_card` waits for that. The
//!   rest of that frame and all others from the MAC are taken and dropped. When the loopback goes
//!   off, the rest of a frame from the MAC is dropped too.

use super::gmii_rx::Word;
use nitor_rtl::prelude::*;

#[derive(LogicBlock, Default)]
pub struct Turn {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub turned: Signal<In, Bit>,
    pub is_turned: Signal<Out, Bit>,
    pub from_card_valid: Signal<In, Bit>,
    pub from_card_ready: Signal<Out, Bit>,
    pub from_card: Signal<In, Word>,
    pub to_card_valid: Signal<Out, Bit>,
    pub to_card_ready: Signal<In, Bit>,
    pub to_card: Signal<Out, Word>,
    pub to_mac_valid: Signal<Out, Bit>,
    pub to_mac_ready: Signal<In, Bit>,
    pub to_mac: Signal<Out, Word>,
    pub from_mac_valid: Signal<In, Bit>,
    pub from_mac_ready: Signal<Out, Bit>,
    pub from_mac: Signal<In, Word>,
    now: Reg<Bit>,
    // A frame's first word has passed, its last has not.
    card_open: Reg<Bit>,
    mac_open: Reg<Bit>,
    /// The rest of the MAC's frame is dropped.
    skip: Reg<Bit>,
    /// The word that ends a cut frame has not been taken by the card yet.
    cut: Reg<Bit>,
}

impl Logic for Turn {
    /// Loops the frames that the card sends back to it; switches between two of them.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; now, card_open, mac_open, skip, cut);
        let now = self.now.q.val();
        let cut = self.cut.q.val();
        let skip = self.skip.q.val();
        let turns = self.turned.val() != now && !self.card_open.q.val() && !cut;
        let word = self.from_card.val();
        let valid = self.from_card_valid.val() && !turns && !cut;
        let room = if now { self.to_card_ready.val() } else { self.to_mac_ready.val() };
        self.from_card_ready.next = room && !turns && !cut;
        if valid && room {
            self.card_open.d.next = !word.last;
        }
        self.to_mac_valid.next = valid && !now;
        self.to_mac.next = word;

        let ready = now || skip || self.to_card_ready.val();
        let mac_word = self.from_mac.val();
        let mac_open =
            if self.from_mac_valid.val() && ready { !mac_word.last } else { self.mac_open.q.val() };
        self.from_mac_ready.next = ready;
        self.mac_open.d.next = mac_open;
        self.skip.d.next = skip && mac_open;
        if cut && self.to_card_ready.val() {
            self.cut.d.next = false;
        }
        if turns {
            self.now.d.next = !now;
            if now {
                self.skip.d.next = mac_open;
            } else {
                self.cut.d.next = mac_open && !skip;
                self.skip.d.next = false;
            }
        }
        self.to_card_valid.next =
            cut || if now { valid } else { self.from_mac_valid.val() && !skip };
        self.to_card.next = if cut {
            Word { data: lit::<32>(0), last_byte: lit::<2>(0), last: true, err: true }
        } else if now {
            word
        } else {
            mac_word
        };
        self.is_turned.next = now;
    }
}
