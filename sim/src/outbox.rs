//! TLPs that the root complex sends to its card, queued until the next flush.

use std::ops::Range;

use crate::card::Card;
use crate::tlp::Header;

/// Why a TLP was sent. The root complex gets this back when the card has accepted the TLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Nothing waits for the TLP.
    None,
    /// The TLP is the last completion of the read with this tag.
    LastCompletion { tag: u8 },
    /// The TLP is the root complex's own request with this number.
    Request(u64),
}

impl Purpose {
    /// The purpose as the cookie that travels with the TLP.
    pub fn to_cookie(self) -> u64 {
        match self {
            Purpose::None => 0,
            Purpose::LastCompletion { tag } => 1 << 56 | u64::from(tag),
            Purpose::Request(id) => 2 << 56 | id,
        }
    }

    pub fn from_cookie(cookie: u64) -> Self {
        match cookie >> 56 {
            1 => Purpose::LastCompletion { tag: cookie as u8 },
            2 => Purpose::Request(cookie & u64::MAX >> 8),
            _ => Purpose::None,
        }
    }
}

#[derive(Debug)]
struct Item {
    at: u64,
    header: Header,
    payload: Range<usize>,
    purpose: Purpose,
}

/// See the module. Keeps its memory from one use to the next.
#[derive(Debug, Default)]
pub struct Outbox {
    items: Vec<Item>,
    payloads: Vec<u8>,
}

impl Outbox {
    /// Adds a TLP to be presented to the card from cycle `at`.
    pub fn push(&mut self, at: u64, header: Header, payload: &[u8], purpose: Purpose) {
        let start = self.payloads.len();
        self.payloads.extend_from_slice(payload);
        self.items.push(Item { at, header, payload: start..self.payloads.len(), purpose });
    }

    /// Passes all queued TLPs to `card`.
    pub fn flush(&mut self, card: &mut dyn Card) {
        for Item { at, header, payload, purpose } in self.items.drain(..) {
            card.push_tlp(at, header, &self.payloads[payload], purpose.to_cookie());
        }
        self.payloads.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_survive_the_trip() {
        for purpose in
            [Purpose::None, Purpose::LastCompletion { tag: 255 }, Purpose::Request(123_456_789)]
        {
            assert_eq!(Purpose::from_cookie(purpose.to_cookie()), purpose);
        }
    }
}
