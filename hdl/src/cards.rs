//! The cards that are built, by name. A new card is an entry in [CARDS].
//!
//! A [CardSpec] holds what is chosen. All that follows from a spec is computed here and nowhere
//! else, and a spec that contradicts itself does not compile.

use crate::rx::Classifier;
use nitor_rtl::{emit, with_stack, Design, EmitError};

/// A card that can be built.
#[derive(Debug)]
pub struct CardSpec {
    pub name: &'static str,
    /// What the card is for.
    pub about: &'static str,
    /// Bits of the data path: 128 or 512.
    pub width: usize,
    /// log2 of queue pairs, at most 5. Each has an MSI-X vector, and management has one.
    pub log_queues: usize,
    /// log2 of the DMA reads that may be in flight, each with a tag; at most 8.
    pub log_tags: usize,
    /// log2 of the transmit packets that may be in flight; at most 8.
    pub log_packets: usize,
    /// log2 of the descriptors prefetched for each receive queue.
    pub log_prefetch: usize,
    /// log2 of the deepest ring's entries, at most 15.
    pub log_depth: usize,
    /// log2 of the rows in each of the two banks of a packet buffer; a row is as wide as the data
    /// path.
    pub log_rows: usize,
    /// log2 of the lines, of 128 bytes, of all low-latency queues; 0: there are none.
    pub log_lines: usize,
    /// How the card finds the flow of a received frame.
    pub classifier: Classifier,
    /// The card computes checksums of transmitted packets and segments them. Without, that logic is
    /// left out.
    pub tx_offloads: bool,
    /// A minimal PCIe function: one lane of 2.5 GT/s, payloads of at most 256 bytes, one completion
    /// time-out, no Advanced Error Reporting, room for one non-posted request from the host.
    pub basic_pcie: bool,
    /// Skid buffers between blocks pass a word every two cycles, with half the registers.
    pub half_rate: bool,
    /// FIFOs within the paths are only as deep as a gigabit needs. Not possible with lines, whose
    /// batches are longer.
    pub shallow: bool,
    /// One net resets all blocks. Without, each block has a register before its reset.
    pub one_reset: bool,
}

/// A card, and the times that depend on where it is used.
#[derive(Clone, Copy)]
pub struct CardConfig {
    /// The spec from which the card's parameters were computed.
    pub spec: &'static CardSpec,
    pub cycles_per_us: usize,
    /// Cycles that a completion entry may wait for others of its line.
    pub cq_hold: usize,
    /// Cycles until a missing read completion is given up.
    pub read_timeout: usize,
}

impl CardConfig {
    /// A card at 250 MHz, in a PCIe slot.
    pub fn new(spec: &'static CardSpec) -> Self {
        Self { spec, cycles_per_us: 250, cq_hold: 96, read_timeout: 25_000 }
    }
}

/// For research and simulation: 16 queue pairs, 128 bits at 250 MHz are 32 Gb/s.
pub const CARD_128: CardSpec = CardSpec {
    name: "card-128",
    about: "the card with a data path of 128 bits",
    width: 128,
    log_queues: 4,
    log_tags: 6,
    log_packets: 6,
    log_prefetch: 6,
    log_depth: 13,
    log_rows: 10,
    log_lines: 13,
    // A frame of 60 bytes has 4 beats, so the hash may take 3 steps.
    classifier: Classifier::Wide { steps: 3, checksums: true },
    tx_offloads: true,
    basic_pcie: false,
    half_rate: false,
    shallow: false,
    one_reset: false,
};

/// [CARD_128] widened for 100 Gb/s.
pub const CARD_512: CardSpec = CardSpec {
    name: "card-512",
    about: "the card with a data path of 512 bits",
    width: 512,
    log_tags: 8,
    log_packets: 8,
    log_prefetch: 8,
    log_rows: 9,
    classifier: Classifier::Wide { steps: 1, checksums: true },
    ..CARD_128
};

/// 2 queue pairs and nothing that a gigabit does not need, so that the card fits a part of 25,000
/// LUTs.
pub const COLORLIGHT_5A_75B: CardSpec = CardSpec {
    name: "colorlight-5a-75b",
    about: "the card of the board Colorlight 5A-75B",
    log_queues: 1,
    log_tags: 4,
    log_packets: 4,
    log_prefetch: 5,
    log_rows: 9,
    log_lines: 0,
    classifier: Classifier::Serial,
    tx_offloads: false,
    basic_pcie: true,
    half_rate: true,
    shallow: true,
    one_reset: true,
    ..CARD_128
};

pub const COLORLIGHT_I9: CardSpec = CardSpec {
    name: "colorlight-i9",
    about: "the card of the board Colorlight i9",
    ..COLORLIGHT_5A_75B
};

/// 8 queue pairs, and 64 lines for each.
pub const ECP5_EVN: CardSpec = CardSpec {
    name: "ecp5-evn",
    about: "the card of the ECP5-5G Evaluation Board",
    log_queues: 3,
    log_lines: 9,
    classifier: Classifier::Wide { steps: 9, checksums: true },
    ..CARD_128
};

pub const ULX3S_85F: CardSpec =
    CardSpec { name: "ulx3s-85f", about: "the card of the board ULX3S", ..ECP5_EVN };

/// The type of a spec's [Card](crate::top::Card), with its parameters in their order.
macro_rules! card {
    ($spec:path) => {
        $crate::top::Card<
            { $spec.width }, { $spec.bytes() }, { $spec.log_bytes() },
            { $spec.log_tags }, { $spec.log_queues }, { $spec.log_completion_queues() },
            { $spec.log_vectors() }, { $spec.log_packets }, { $spec.log_prefetch },
            { $spec.log_rows }, { $spec.log_staging() }, { $spec.log_descriptor_rows() },
            { $spec.log_lines }, { $spec.log_line_rows() }, { $spec.log_waiting() },
        >
    };
}

macro_rules! cards {
    ($($spec:ident),* $(,)?) => {
        /// All cards.
        pub const CARDS: &[CardSpec] = &[$($spec),*];

        $(const _: () = if let Err(why) = $spec.check() { panic!("{}", why) };)*

        fn emit_spec(spec: &'static CardSpec, config: &CardConfig) -> Result<Design, EmitError> {
            $(if spec.name == $spec.name {
                return emit(&<card!($spec)>::new(config), &spec.top());
            })*
            Err(EmitError { block: spec.name.into(), cause: "it is not among the cards".into() })
        }
    };
}

cards! { CARD_128, CARD_512, COLORLIGHT_5A_75B, COLORLIGHT_I9, ECP5_EVN, ULX3S_85F }

impl Default for &'static CardSpec {
    /// The card that is taken where none is named.
    fn default() -> Self {
        &CARD_128
    }
}

impl PartialEq for CardSpec {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for CardSpec {}

impl CardSpec {
    /// The card with this name.
    pub fn find(name: &str) -> Option<&'static CardSpec> {
        CARDS.iter().find(|card| card.name == name)
    }

    /// `Err` says why this card cannot be built.
    pub const fn check(&self) -> Result<(), &'static str> {
        if self.width != 128 && self.width != 512 {
            return Err("a card's data path has 128 or 512 bits");
        }
        if self.log_queues == 0 || self.log_queues > 5 {
            return Err("a card has 2 to 32 queue pairs");
        }
        if self.log_tags > 8 || self.log_packets > 8 {
            return Err("a card has at most 256 reads and 256 transmit packets under way");
        }
        if self.log_depth > 15 {
            return Err("a ring's entries are counted in 16 bits: at most 32,768");
        }
        if self.log_lines != 0 && self.log_lines <= self.log_queues {
            return Err("each queue pair has at least 2 lines, or none has any");
        }
        if self.log_lines != 0 && self.log_line_rows() + 1 > 16 {
            return Err("rows of the line memory have 16 bits");
        }
        if self.shallow && !matches!(self.classifier, Classifier::Serial) {
            return Err("shallow queues are for the serial classifier");
        }
        if self.shallow && self.log_lines != 0 {
            return Err("batches of lines need deep queues");
        }
        match self.classifier {
            Classifier::Wide { steps: 1 | 3 | 9, .. } | Classifier::Serial => Ok(()),
            _ => Err("the hash takes 1, 3 or 9 steps"),
        }
    }

    /// The name of the card's top module.
    pub fn top(&self) -> String {
        format!("nitor_{}", self.name.trim_start_matches("card-").replace('-', "_"))
    }

    /// Queue pairs.
    pub const fn queues(&self) -> usize {
        1 << self.log_queues
    }

    /// MSI-X vectors: one for management and one for each queue pair.
    pub const fn vectors(&self) -> usize {
        self.queues() + 1
    }

    /// Bytes of the data path.
    pub const fn bytes(&self) -> usize {
        self.width / 8
    }

    pub const fn log_bytes(&self) -> usize {
        self.bytes().ilog2() as usize
    }

    /// log2 of the completion queues, of which each queue pair has two.
    pub const fn log_completion_queues(&self) -> usize {
        self.log_queues + 1
    }

    /// log2 of the vectors for which interrupt state has room, at least 8.
    pub const fn log_vectors(&self) -> usize {
        match self.log_queues {
            1 => 3,
            queues => queues + 1,
        }
    }

    /// log2 of the transmit segments staged between batches: 32 for each queue.
    pub const fn log_staging(&self) -> usize {
        self.log_queues + 5
    }

    /// log2 of the rows in each of two banks of prefetched receive descriptors, 16 bytes each.
    pub const fn log_descriptor_rows(&self) -> usize {
        self.log_queues + self.log_prefetch + 3 - self.log_bytes()
    }

    /// log2 of the rows in each bank of the line memory, which is left out without lines.
    pub const fn log_line_rows(&self) -> usize {
        match self.log_lines {
            0 => 1,
            lines => lines + 6 - self.log_bytes(),
        }
    }

    /// log2 of the received frames that may wait: one for each 64 bytes of the buffer.
    pub const fn log_waiting(&self) -> usize {
        self.log_rows + self.log_bytes() - 5
    }

    /// Bytes of a packet buffer; there is one for each direction.
    pub const fn buffer(&self) -> usize {
        (2 << self.log_rows) * self.bytes()
    }
}

/// Emits a card's Verilog.
pub fn emit_card(spec: &'static CardSpec) -> Result<Design, EmitError> {
    with_stack(move || emit_spec(spec, &CardConfig::new(spec)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct() {
        for (n, card) in CARDS.iter().enumerate() {
            assert_eq!(CARDS.iter().position(|other| other.name == card.name), Some(n));
            assert_eq!(CardSpec::find(card.name), Some(card));
        }
        assert!(CardSpec::find("card-256").is_none());
    }

    #[test]
    fn contradictions_are_told() {
        let told = |spec: CardSpec, why: &str| {
            let said = spec.check().unwrap_err();
            assert!(said.contains(why), "{said}");
        };
        told(CardSpec { width: 256, ..CARD_128 }, "128 or 512 bits");
        told(CardSpec { log_queues: 0, ..CARD_128 }, "2 to 32 queue pairs");
        told(CardSpec { log_queues: 6, ..CARD_128 }, "2 to 32 queue pairs");
        told(CardSpec { log_tags: 9, ..CARD_128 }, "256 reads");
        told(CardSpec { log_packets: 9, ..CARD_128 }, "256 transmit packets");
        told(CardSpec { log_depth: 16, ..CARD_128 }, "at most 32,768");
        told(CardSpec { log_lines: 4, ..CARD_128 }, "at least 2 lines");
        told(CardSpec { log_lines: 14, ..CARD_128 }, "16 bits");
        told(CardSpec { shallow: true, ..CARD_128 }, "serial classifier");
        told(CardSpec { log_lines: 8, ..COLORLIGHT_I9 }, "need deep queues");
        let classifier = Classifier::Wide { steps: 2, checksums: true };
        told(CardSpec { classifier, ..CARD_128 }, "1, 3 or 9 steps");
    }
}
