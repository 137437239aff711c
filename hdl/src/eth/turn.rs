//! Where a board's wire can be turned round: what is sent comes back without leaving the board.
//!
//! | port | what |
//! |---|---|
//! | `turned` | what is sent is to come back |
//! | `from_card`, `to_card` | words of frames, from [Narrow] and to [Widen] |
//! | `to_mac`, `from_mac` | the same at the MAC |
//! | `is_turned` | how it is now |
//!
//! [Narrow]: super::gear::Narrow
//! [Widen]: super::gear::Widen
//!
//! No register on the words' way: a word a cycle, in the same cycle. It turns between two frames of
//! the card's. A frame from the MAC that is then under way to the card is ended with `err`; the
//! rest of it, and all that comes while the wire is turned, is taken and thrown away. Back again,
//! what is left of a frame is thrown away too.

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
    // A frame's first word is through, its last is not.
    card_open: Reg<Bit>,
    mac_open: Reg<Bit>,
    /// The rest of the MAC's frame is thrown away.
    skip: Reg<Bit>,
    /// The card is owed the end of a frame.
    cut: Reg<Bit>,
}

impl Logic for Turn {
    /// Lets what is sent to the wire come back, by whole frames.
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
