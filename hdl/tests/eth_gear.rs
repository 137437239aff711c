//! The blocks between the card's beats and a board's MAC: sessions that begin at any time, and a
//! wire that is looped back at any time.

mod tx_support;

use std::collections::VecDeque;
use std::sync::LazyLock;

use nitor_block::bitvec::prelude::*;
use nitor_block::{Block, Model};
use nitor_hdl::eth::gear::{Narrow, Widen};
use nitor_hdl::eth::turn::Turn;
use proptest::prelude::*;
use tx_support::{model, start, Rng};

static NARROW: LazyLock<Model> = LazyLock::new(|| model::<Narrow<128>>("narrow"));
static WIDEN: LazyLock<Model> = LazyLock::new(|| model::<Widen<128>>("widen"));
static TURN: LazyLock<Model> = LazyLock::new(|| model::<Turn>("turn"));

type Frame = (Vec<u8>, bool);

/// Frames whose first two bytes number them; one in ten ends with `err`.
fn frames(rng: &mut Rng, count: usize) -> Vec<Frame> {
    let one = |n: usize| {
        let len = rng.range(1, 90) as usize + 2;
        let mut bytes = rng.bytes(len);
        bytes[..2].copy_from_slice(&(n as u16).to_le_bytes());
        (bytes, rng.percent(10))
    };
    (0..count).map(one).collect()
}

/// {err, last, bytes - 1, data}
fn words((bytes, err): &Frame) -> Vec<u64> {
    let count = bytes.len().div_ceil(4);
    let word = |(i, part): (usize, &[u8])| {
        let data = part.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b));
        let last = i + 1 == count;
        let side = (part.len() as u64 - 1) | u64::from(last) << 2 | u64::from(last && *err) << 3;
        side << 32 | data
    };
    bytes.chunks(4).enumerate().map(word).collect()
}

/// Words or beats put together.
#[derive(Default)]
struct Taken {
    open: Vec<u8>,
    done: Vec<Frame>,
}

impl Taken {
    fn bytes(&mut self, bytes: &[u8], last: bool, err: bool) {
        self.open.extend(bytes);
        if last {
            self.done.push((std::mem::take(&mut self.open), err));
        }
    }

    fn word(&mut self, word: u64) {
        let count = (word >> 32 & 3) as usize + 1;
        let (last, err) = (word >> 34 & 1 == 1, word >> 35 & 1 == 1);
        self.bytes(&(word as u32).to_le_bytes()[..count], last, err);
    }
}

/// A stream's source: what is offered stays until it is taken.
struct Source {
    queue: VecDeque<u64>,
    offering: bool,
}

impl Source {
    fn new(frames: &[Frame]) -> Self {
        Source { queue: frames.iter().flat_map(words).collect(), offering: false }
    }

    fn drive(&mut self, block: &mut Block, name: &str, data: &str, go: bool) {
        self.offering = !self.queue.is_empty() && (self.offering || go);
        block.set(format!("{name}_valid"), u64::from(self.offering));
        block.set(data, self.queue.front().copied().unwrap_or(0));
    }

    fn settle(&mut self, block: &Block, name: &str) {
        if self.offering && block.get(format!("{name}_ready")) == 1 {
            self.queue.pop_front();
            self.offering = false;
        }
    }
}

/// Frames that are `good` are of `sent`, in order and each at most once; how many there are.
fn in_order(taken: &[Frame], sent: &[Frame]) -> usize {
    let mut rest = sent.iter();
    let good = taken.iter().filter(|f| !f.1);
    good.map(|frame| assert!(rest.any(|s| s == frame), "made of two frames: {frame:x?}")).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// A session begins within a frame: what is on the wire of it ends with an error, and the next session's frames are whole.
    #[test]
    fn a_session_begins_while_narrow_sends(seed: u64, flush_at in 1u64..120, stall in 0u64..80) {
        let mut rng = Rng(seed);
        let mut block = start(&NARROW, seed, 2);
        let before = frames(&mut rng, 20);
        let after = frames(&mut rng, 20);
        let mut beats: VecDeque<(Vec<u8>, bool, bool)> = VecDeque::new();
        let load = |beats: &mut VecDeque<_>, frames: &[Frame]| {
            beats.clear();
            for (bytes, err) in frames {
                let count = bytes.len().div_ceil(16);
                let beat = |(i, b): (usize, &[u8])| (b.to_vec(), i + 1 == count, i + 1 == count && *err);
                beats.extend(bytes.chunks(16).enumerate().map(beat));
            }
        };
        load(&mut beats, &before);
        let mut taken = Taken::default();
        let mut boundary = 0;
        for cycle in 0..3000 {
            let flush = (flush_at..flush_at + 8).contains(&cycle);
            if cycle == flush_at + 4 {
                // The card is in reset and forgets what it had.
                load(&mut beats, &after);
            }
            if cycle == flush_at {
                boundary = taken.done.len();
            }
            block.set("flush", u64::from(flush));
            let card = !beats.is_empty() && !(flush_at + 1..flush_at + 9).contains(&cycle);
            block.set("beats_valid", u64::from(card));
            let (bytes, last, err) = beats.front().cloned().unwrap_or_default();
            let mut data = bitvec![0; 128];
            for (i, byte) in bytes.iter().enumerate() {
                data[8 * i..8 * i + 8].store(*byte);
            }
            block.set_bits("beats_data", &data);
            block.set("beats_last", u64::from(last));
            block.set("beats_err", u64::from(err));
            block.set("beats_bytes", bytes.len() as u64);
            block.set("word_ready", u64::from(!rng.percent(stall)));
            block.clock_low();
            if card && block.get("beats_ready") == 1 {
                beats.pop_front();
            }
            if block.get("word_valid") == 1 && block.get("word_ready") == 1 {
                taken.word(block.get("word"));
            }
            block.clock_high();
        }
        prop_assert!(taken.open.is_empty());
        let (old, new) = taken.done.split_at(boundary);
        prop_assert_eq!(old, &before[..old.len()]);
        // At most the end of the frame that was cut, then all that is new.
        let cut = new.len() - after.len();
        prop_assert!(cut <= 1 && new[..cut].iter().all(|f| f.1));
        prop_assert_eq!(&new[cut..], &after[..]);
    }

    /// A session begins while a frame comes in: its rest is thrown away, the frames behind it come whole.
    #[test]
    fn a_session_begins_while_widen_receives(seed: u64, flush_at in 1u64..120, stall in 0u64..60, gaps in 0u64..60) {
        let mut rng = Rng(seed);
        let mut block = start(&WIDEN, seed, 2);
        let sent = frames(&mut rng, 40);
        let mut source = Source::new(&sent);
        let (mut taken, mut given) = (Taken::default(), 0);
        let mut first = None;
        for cycle in 0..3000 {
            let flush = (flush_at..flush_at + 8).contains(&cycle);
            if cycle == flush_at {
                taken = Taken::default();
            }
            if cycle == flush_at + 8 {
                // Words so far; the frame that begins next is the first of the session.
                let mut sum = 0;
                first = sent.iter().position(|f| { let begins = sum >= given; sum += words(f).len(); begins });
            }
            block.set("flush", u64::from(flush));
            source.drive(&mut block, "word", "word", !rng.percent(gaps));
            // A card in reset may say anything.
            block.set("beats_ready", u64::from(!rng.percent(stall)));
            block.clock_low();
            let before = source.queue.len();
            source.settle(&block, "word");
            given += before - source.queue.len();
            if !flush && block.get("beats_valid") == 1 && block.get("beats_ready") == 1 {
                let last = block.get("beats_last") == 1;
                let count = if last { block.get("beats_bytes") as usize } else { 16 };
                let data = block.get_bits("beats_data");
                let bytes: Vec<u8> = (0..count).map(|i| data[8 * i..8 * i + 8].load()).collect();
                taken.bytes(&bytes, last, last && block.get("beats_err") == 1);
            }
            block.clock_high();
        }
        prop_assert!(source.queue.is_empty() && taken.open.is_empty());
        prop_assert_eq!(&taken.done[..], &sent[first.unwrap_or(sent.len())..]);
    }

    /// However often the wire is turned: no frame is made of two, and while it stays as it is all come.
    #[test]
    fn a_wire_turns_between_frames(seed: u64, often in 0u64..8, stall in 0u64..60, gaps in 0u64..60) {
        let mut rng = Rng(seed);
        let mut block = start(&TURN, seed, 2);
        let (from_card, from_mac) = (frames(&mut rng, 60), frames(&mut rng, 60));
        let (mut card, mut mac) = (Source::new(&from_card), Source::new(&from_mac));
        let (mut to_card, mut to_mac) = (Taken::default(), Taken::default());
        let mut turned = false;
        for cycle in 0..6000 {
            if cycle < 4000 && rng.percent(often) {
                turned = !turned;
            }
            block.set("turned", u64::from(turned));
            card.drive(&mut block, "from_card", "from_card", !rng.percent(gaps));
            mac.drive(&mut block, "from_mac", "from_mac", !rng.percent(gaps));
            block.set("to_card_ready", u64::from(!rng.percent(stall)));
            block.set("to_mac_ready", u64::from(!rng.percent(stall)));
            block.clock_low();
            for (name, taken) in [("to_card", &mut to_card), ("to_mac", &mut to_mac)] {
                if block.get(format!("{name}_valid")) == 1 && block.get(format!("{name}_ready")) == 1 {
                    taken.word(block.get(name));
                }
            }
            card.settle(&block, "from_card");
            mac.settle(&block, "from_mac");
            block.clock_high();
        }
        prop_assert!(card.queue.is_empty() && mac.queue.is_empty());
        prop_assert!(to_card.open.is_empty() && to_mac.open.is_empty());
        // The card's frames are each at one of the two places, whole.
        let all = to_mac.done.iter().chain(&to_card.done).filter(|f| from_card.contains(f)).count();
        prop_assert_eq!(all, from_card.len());
        prop_assert!(to_mac.done.iter().all(|f| from_card.contains(f)));
        in_order(&to_mac.done, &from_card);
        let others: Vec<Frame> = to_card.done.iter().filter(|f| !from_card.contains(f)).cloned().collect();
        let good = in_order(&others, &from_mac);
        if often == 0 {
            prop_assert_eq!(&to_card.done, &from_mac);
        } else {
            prop_assert!(good <= from_mac.len());
        }
    }
}
