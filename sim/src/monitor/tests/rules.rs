//! For each rule of the ENA interface, a card that breaks it; beside it a card that comes close and
//! breaks none.

use super::super::{reg, Verdict};
use super::bench::*;
use crate::rules::Rule;

/// The rule that the card breaks, if any; what the card does; and the card.
pub type Case = (Option<Rule>, &'static str, fn() -> Verdict);

/// Plays all steps on the bench, of which all but the last must pass. Returns the verdict on the
/// last.
fn play(mut bench: Bench, steps: &[fn(&mut Bench) -> Verdict]) -> Verdict {
    let (last, before) = steps.split_last().expect("a card that does something");
    before.iter().for_each(|step| step(&mut bench).unwrap());
    last(&mut bench)
}

pub const CASES: &[Case] = &[
    (None, "two commands", || play(Bench::asked(2), &[|b| b.read(AQ + 64 * 4, 128)])),
    (Some(Rule::CommandFetch), "three of two", || {
        play(Bench::asked(2), &[|b| b.read(AQ + 64 * 4, 192)])
    }),
    (Some(Rule::CommandFetch), "of none", || play(Bench::new(), &[|b| b.read(AQ + 64 * 4, 4)])),
    (Some(Rule::CommandFetch), "answered ones", || {
        play(Bench::asked(2), &[|b| b.read(AQ + 64 * 3, 128)])
    }),
    (Some(Rule::CommandFetch), "beyond the ring", || {
        play(Bench::asked(28), &[|b| b.read(AQ + 64 * 31, 128)])
    }),
    (None, "descriptors", || {
        play(
            Bench::busy(),
            &[|b| {
                b.post_some(TX, 5);
                b.fetch(TX, 3, 2)
            }],
        )
    }),
    (Some(Rule::PartialDescriptor), "half of one", || {
        play(
            Bench::new(),
            &[|b| {
                b.post_some(TX, 5);
                b.read(SQ[TX], 24)
            }],
        )
    }),
    (Some(Rule::PartialDescriptor), "two halves", || {
        play(
            Bench::new(),
            &[|b| {
                b.post_some(RX, 5);
                b.read(SQ[RX] + 8, 16)
            }],
        )
    }),
    (Some(Rule::PartialDescriptor), "half of a wild one", || {
        play(Bench::wild(TX), &[|b| b.read(SQ[TX] + 8, 16)])
    }),
    (Some(Rule::RingEnd), "one more", || {
        play(
            Bench::new(),
            &[
                |b| {
                    b.post_some(TX, 16);
                    b.fetch(TX, 0, 15)
                },
                |b| b.fetch(TX, 15, 2),
            ],
        )
    }),
    (Some(Rule::RingEnd), "of a wild ring", || play(Bench::wild(RX), &[|b| b.fetch(RX, 15, 2)])),
    (Some(Rule::DescriptorOrder), "one left out", || {
        play(
            Bench::new(),
            &[|b| {
                b.post_some(TX, 3);
                b.fetch(TX, 1, 1)
            }],
        )
    }),
    (Some(Rule::DescriptorOrder), "again", || play(Bench::busy(), &[|b| b.fetch(RX, 0, 3)])),
    (Some(Rule::BeyondDoorbell), "four of three", || {
        play(
            Bench::new(),
            &[|b| {
                b.post_some(TX, 3);
                b.fetch(TX, 0, 4)
            }],
        )
    }),
    (Some(Rule::BeyondDoorbell), "a buffer more", || play(Bench::busy(), &[|b| b.fetch(RX, 3, 1)])),
    (None, "part of a packet", || play(Bench::busy(), &[|b| b.read(DATA + 20, 80)])),
    (Some(Rule::UnpostedRead), "beyond a packet", || {
        play(Bench::busy(), &[|b| b.read(DATA + 60, 41)])
    }),
    (Some(Rule::UnpostedRead), "nobody's", || {
        play(Bench::busy(), &[|b| b.read(MEMORY + 0xf000, 4)])
    }),
    (Some(Rule::UnpostedRead), "of a packet that was completed", || {
        play(Bench::busy(), &[|b| b.sent(0, 0, 1), |b| b.read(DATA, 60)])
    }),
    (Some(Rule::UnpostedRead), "of a queue that is gone", || {
        play(
            Bench::busy(),
            &[|b| {
                b.destroy(TX);
                b.read(DATA, 60)
            }],
        )
    }),
    (Some(Rule::UnpostedRead), "nobody's, and a receive queue is wild", || {
        play(Bench::wild(RX), &[|b| b.read(MEMORY + 0xf000, 4)])
    }),
    (Some(Rule::UnpostedRead), "what a receive queue's descriptors name", || {
        play(Bench::wild(RX), &[|b| b.read(DATA + 4 * 256, 4)])
    }),
    (None, "what a wild queue's descriptors name", || {
        play(Bench::wild(TX), &[|b| b.read(DATA + 4 * 256, 100)])
    }),
    (
        Some(Rule::UnpostedRead),
        "what a wild queue's descriptors name that the card hasn't read",
        || play(Bench::wild(TX), &[|b| b.read(DATA + 7 * 256, 100)]),
    ),
    (Some(Rule::UnpostedRead), "beyond what a wild queue's descriptors name", || {
        play(Bench::wild(TX), &[|b| b.read(DATA + 4 * 256, 101)])
    }),
    (None, "of a packet, as a reset begins", || {
        play(
            Bench::busy(),
            &[|b| {
                b.set(reg::DEV_CTL, 1);
                b.read(DATA, 60)
            }],
        )
    }),
    (Some(Rule::UnpostedRead), "nobody's, as a reset begins", || {
        play(
            Bench::busy(),
            &[|b| {
                b.set(reg::DEV_CTL, 1);
                b.read(MEMORY + 0xf000, 4)
            }],
        )
    }),
    (Some(Rule::UnpostedRead), "of a packet, after a reset", || {
        play(
            Bench::busy(),
            &[|b| {
                b.set(reg::DEV_CTL, 1);
                b.set(reg::AQ_DB, 1);
                b.read(DATA, 60)
            }],
        )
    }),
    (None, "two parts of a buffer", || {
        play(Bench::busy(), &[|b| b.fill(0, 0, 60), |b| b.fill(0, 60, 40)])
    }),
    (Some(Rule::UnpostedWrite), "nobody's", || play(Bench::busy(), &[|b| b.fill(3, 0, 20)])),
    (Some(Rule::UnpostedWrite), "beyond the buffer", || {
        play(Bench::busy(), &[|b| b.fill(0, 0, 101)])
    }),
    (Some(Rule::UnpostedWrite), "a packet to be sent", || {
        play(
            {
                let mut bench = Bench::new();
                bench.post_some(TX, 1);
                bench
            },
            &[|b| b.fill(0, 0, 10)],
        )
    }),
    (Some(Rule::UnpostedWrite), "a buffer that was completed", || {
        play(
            Bench::busy(),
            &[|b| b.fill(0, 0, 60), |b| b.received(0, 0, 60, 0x0d), |b| b.fill(0, 60, 10)],
        )
    }),
    (Some(Rule::UnpostedWrite), "a queue's that is gone", || {
        play(
            Bench::busy(),
            &[|b| {
                b.destroy(RX);
                b.fill(0, 0, 10)
            }],
        )
    }),
    (Some(Rule::UnpostedWrite), "nobody's, and a receive queue is wild", || {
        play(Bench::wild(RX), &[|b| b.write(MEMORY + 0xf000, &[0; 4])])
    }),
    (None, "what a wild queue's descriptors name, in any order", || {
        play(Bench::wild(RX), &[|b| b.fill(6, 50, 50)])
    }),
    (
        Some(Rule::UnpostedWrite),
        "what a wild queue's descriptors name that the card hasn't read",
        || play(Bench::wild(RX), &[|b| b.fill(7, 0, 10)]),
    ),
    (Some(Rule::UnpostedWrite), "beyond what a wild queue's descriptors name", || {
        play(Bench::wild(RX), &[|b| b.fill(6, 50, 51)])
    }),
    (Some(Rule::UnpostedWrite), "what a wild queue of packets names", || {
        play(Bench::wild(TX), &[|b| b.fill(4, 0, 10)])
    }),
    (None, "a buffer, as a reset begins", || {
        play(
            Bench::busy(),
            &[|b| {
                b.set(reg::DEV_CTL, 1);
                b.fill(0, 0, 60)
            }],
        )
    }),
    (None, "an entry, as a reset begins", || {
        play(
            Bench::busy(),
            &[|b| {
                b.set(reg::DEV_CTL, 1);
                b.sent(0, 0, 1)
            }],
        )
    }),
    (Some(Rule::UnpostedWrite), "nobody's, as a reset begins", || {
        play(
            Bench::busy(),
            &[|b| {
                b.set(reg::DEV_CTL, 1);
                b.write(MEMORY + 0xf000, &[0; 4])
            }],
        )
    }),
    (Some(Rule::UnpostedWrite), "a buffer, after a reset", || {
        play(
            Bench::busy(),
            &[|b| {
                b.set(reg::DEV_CTL, 1);
                b.set(reg::AQ_DB, 1);
                b.fill(0, 0, 60)
            }],
        )
    }),
    (Some(Rule::FillOrder), "not from the start", || play(Bench::busy(), &[|b| b.fill(0, 4, 20)])),
    (Some(Rule::FillOrder), "a gap", || {
        play(Bench::busy(), &[|b| b.fill(0, 0, 60), |b| b.fill(0, 61, 39)])
    }),
    (Some(Rule::FillOrder), "again", || {
        play(Bench::busy(), &[|b| b.fill(0, 0, 60), |b| b.fill(0, 0, 60)])
    }),
    (Some(Rule::FilledUnread), "a buffer of an unread descriptor", || {
        play(
            Bench::new(),
            &[
                |b| {
                    b.post_some(RX, 2);
                    b.fetch(RX, 0, 1)
                },
                |b| b.fill(1, 0, 10),
            ],
        )
    }),
    (None, "a reading that was asked for", || {
        play(Bench::asking(0x58_0001), &[|b| b.respond(0x58_0001)])
    }),
    (None, "one that was asked for before a reset", || {
        play(
            Bench::asking(0x58_0001),
            &[|b| {
                b.set(reg::DEV_CTL, 1);
                b.respond(0x58_0001)
            }],
        )
    }),
    (Some(Rule::Response), "one that nobody asked for", || {
        play(Bench::asking(0x58_0001), &[|b| b.respond(0x58_0002)])
    }),
    (Some(Rule::Response), "the same twice", || {
        play(Bench::asking(0x58_0001), &[|b| b.respond(0x58_0001), |b| b.respond(0x58_0001)])
    }),
    (Some(Rule::UnpostedWrite), "one of before a function-level reset", || {
        play(
            Bench::asking(0x58_0001),
            &[|b| {
                b.monitor.function_reset();
                b.set(reg::AQ_DB, 1);
                b.respond(0x58_0001)
            }],
        )
    }),
    (None, "an event", || play(Bench::listening(), &[|b| b.write(EVENTS, &event(1))])),
    (Some(Rule::AnswerPlace), "half an answer", || {
        play(Bench::asked(1), &[|b| b.write(b.next_answer(), &[0; 32])])
    }),
    (Some(Rule::AnswerPlace), "another slot", || {
        play(Bench::asked(1), &[|b| b.write(b.next_answer() + 64, &[0; 64])])
    }),
    (Some(Rule::AnswerPlace), "two", || {
        play(Bench::asked(2), &[|b| b.write(b.next_answer(), &[0; 128])])
    }),
    (Some(Rule::AnswerPhase), "the last lap's phase", || {
        play(Bench::asked(1), &[|b| b.write(b.next_answer(), &[0; 64])])
    }),
    (Some(Rule::AnswerUnasked), "to no command", || {
        play(Bench::new(), &[|b| b.write(b.next_answer(), &answer(0))])
    }),
    (Some(Rule::AnswerId), "another command's", || {
        play(Bench::asked(1), &[|b| b.write(b.next_answer(), &answer(9))])
    }),
    (Some(Rule::EventPlace), "half an event", || {
        play(Bench::listening(), &[|b| b.write(EVENTS, &event(1)[..32])])
    }),
    (Some(Rule::EventPlace), "the second before the first", || {
        play(Bench::listening(), &[|b| b.write(EVENTS + 64, &event(1))])
    }),
    (Some(Rule::EventPhase), "the last lap's phase", || {
        play(Bench::listening(), &[|b| b.write(EVENTS, &event(0))])
    }),
    (Some(Rule::EventRoom), "a third of two", || {
        play(
            Bench::listening(),
            &[
                |b| b.write(EVENTS, &event(1)),
                |b| b.write(EVENTS + 64, &event(1)),
                |b| b.write(EVENTS + 128, &event(1)),
            ],
        )
    }),
    (None, "three entries at once", || {
        play(
            Bench::busy(),
            &[|b| {
                b.write(
                    CQ[TX],
                    &[[0, 0, 0, 1, 0, 0, 0, 0], [1, 0, 0, 1, 0, 0, 0, 0], [2, 0, 0, 1, 0, 0, 0, 0]]
                        .concat(),
                )
            }],
        )
    }),
    (Some(Rule::EntryPlace), "a slot left out", || play(Bench::busy(), &[|b| b.sent(1, 0, 1)])),
    (Some(Rule::EntryPlace), "the same slot again", || {
        play(Bench::busy(), &[|b| b.sent(0, 0, 1), |b| b.sent(0, 1, 1)])
    }),
    (Some(Rule::EntryPlace), "half an entry", || {
        play(Bench::busy(), &[|b| b.write(CQ[RX], &[0, 0, 0, 0xd, 0, 0, 0, 0])])
    }),
    (Some(Rule::EntriesEnd), "one more", || {
        play(
            Bench::new(),
            &[
                |b| {
                    b.post_some(TX, 16);
                    b.fetch(TX, 0, 16)?;
                    (0..15).try_for_each(|number| b.sent(number.into(), number, 1))
                },
                |b| {
                    b.write(
                        CQ[TX] + 8 * 15,
                        &[[15, 0, 0, 1, 0, 0, 0, 0], [16, 0, 0, 1, 0, 0, 0, 0]].concat(),
                    )
                },
            ],
        )
    }),
    (Some(Rule::EntryPhase), "the last lap's phase", || {
        play(Bench::busy(), &[|b| b.sent(0, 0, 0)])
    }),
    (Some(Rule::EntryPhase), "of the second", || {
        play(
            Bench::busy(),
            &[|b| b.write(CQ[TX], &[[0, 0, 0, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]].concat())],
        )
    }),
    (Some(Rule::EntryReserved), "of a packet", || play(Bench::busy(), &[|b| b.sent(0, 0, 0x41)])),
    (Some(Rule::EntryReserved), "a packet's status", || {
        play(Bench::busy(), &[|b| b.write(CQ[TX], &[0, 0, 1, 1, 0, 0, 0, 0])])
    }),
    (Some(Rule::EntryReserved), "of a buffer", || {
        play(
            Bench::busy(),
            &[
                |b| b.fill(0, 0, 60),
                |b| b.write(CQ[RX], &[0x80, 0, 0, 0xd, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            ],
        )
    }),
    (Some(Rule::EntryOfNoQueue), "of a queue that is gone", || {
        play(
            Bench::busy(),
            &[|b| {
                b.destroy(TX);
                b.sent(0, 0, 1)
            }],
        )
    }),
    (Some(Rule::UnknownRequest), "of nothing", || play(Bench::busy(), &[|b| b.sent(0, 7, 1)])),
    (Some(Rule::UnknownRequest), "twice", || {
        play(Bench::busy(), &[|b| b.sent(0, 0, 1), |b| b.sent(1, 0, 1)])
    }),
    (Some(Rule::CompletionOrder), "the second packet first", || {
        play(Bench::busy(), &[|b| b.sent(0, 1, 1)])
    }),
    (Some(Rule::CompletionOrder), "the second buffer first", || {
        play(
            Bench::busy(),
            &[|b| b.fill(0, 0, 60), |b| b.fill(1, 0, 60), |b| b.received(0, 1, 60, 0x0d)],
        )
    }),
    (Some(Rule::CompletedUnread), "a packet", || {
        play(
            Bench::new(),
            &[
                |b| {
                    b.post_some(TX, 2);
                    b.fetch(TX, 0, 1)
                },
                |b| b.sent(0, 0, 1),
                |b| b.sent(1, 1, 1),
            ],
        )
    }),
    (Some(Rule::ReceivedLength), "more than was written", || {
        play(Bench::busy(), &[|b| b.fill(0, 0, 60), |b| b.received(0, 0, 61, 0x0d)])
    }),
    (Some(Rule::ReceivedLength), "nothing was written", || {
        play(Bench::busy(), &[|b| b.received(0, 0, 0, 0x0d)])
    }),
    (Some(Rule::ReceivedEnds), "not the first", || {
        play(Bench::busy(), &[|b| b.fill(0, 0, 60), |b| b.received(0, 0, 60, 0x09)])
    }),
    (Some(Rule::ReceivedEnds), "the first again", || {
        play(
            Bench::busy(),
            &[
                |b| b.fill(0, 0, 100),
                |b| b.fill(1, 0, 60),
                |b| b.received(0, 0, 100, 0x05),
                |b| b.received(1, 1, 60, 0x0d),
            ],
        )
    }),
    (Some(Rule::ReceivedShort), "not full, and more to come", || {
        play(Bench::busy(), &[|b| b.fill(0, 0, 60), |b| b.received(0, 0, 60, 0x05)])
    }),
    (Some(Rule::InterruptForNothing), "three for one entry", || {
        play(
            Bench::busy(),
            &[
                |b| b.sent(0, 0, 1),
                |b| b.monitor.interrupt(1),
                |b| b.monitor.interrupt(1),
                |b| b.monitor.interrupt(1),
            ],
        )
    }),
    (Some(Rule::InterruptForNothing), "another queue's", || {
        play(Bench::busy(), &[|b| b.sent(0, 0, 1), |b| b.monitor.interrupt(2)])
    }),
    (Some(Rule::InterruptForNothing), "before anything", || {
        play(Bench::busy(), &[|b| b.monitor.interrupt(1)])
    }),
    (None, "of an answer", || play(Bench::new(), &[|b| b.monitor.interrupt(0)])),
];
