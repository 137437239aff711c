//! Configuration space, register by register, against what the PCI specifications require of each
//! bit.

mod pcie_support;

use nitor_block::Block;
use pcie_support::{cases, start, Rng, CONFIG, CONFIG_SMALL};
use proptest::prelude::*;

/// A register: offset, value after reset, bits that can be written, bits that a 1 clears, bits that
/// a function-level reset keeps.
struct Register {
    offset: u16,
    reset: u32,
    write: u32,
    clear: u32,
    kept: u32,
}

const fn read_only(offset: u16, reset: u32) -> Register {
    Register { offset, reset, write: 0, clear: 0, kept: 0 }
}

const fn writable(offset: u16, reset: u32, write: u32) -> Register {
    Register { offset, reset, write, clear: 0, kept: 0 }
}

const fn sticky(offset: u16, reset: u32, write: u32) -> Register {
    Register { offset, reset, write, clear: 0, kept: !0 }
}

/// Uncorrectable errors that this card can have, and those of the data link, which have a mask and
/// a severity all the same.
const UNCORRECTABLE: u32 = 0x0017_d000;
const WITH_LINK: u32 = UNCORRECTABLE | 0x10;
const ADVISORY: u32 = 1 << 13;

/// Everything that is not 0. The power state (0x44) and Device Control (0x68) have rules besides.
const REGISTERS: [Register; 42] = [
    read_only(0x00, 0xec20_1d0f),
    Register { offset: 0x04, reset: 0x0010_0000, write: 0x0546, clear: 0xf900_0000, kept: 0 },
    read_only(0x08, 0x0200_0000),
    writable(0x0c, 0, 0xff),
    writable(0x10, 0, 0xffff_c000),
    writable(0x18, 0xc, 0xfff0_0000),
    writable(0x1c, 0, !0),
    read_only(0x2c, 0xec20_1d0f),
    read_only(0x34, 0x40),
    writable(0x3c, 0, 0xff),
    read_only(0x40, 0x0003_4801),
    writable(0x44, 8, 3),
    writable(0x48, 0x0010_6011, 0xc000_0000),
    read_only(0x4c, 0x2000),
    read_only(0x50, 0x3000),
    read_only(0x60, 0x0002_0010),
    read_only(0x64, 0x1000_8022),
    Register { offset: 0x68, reset: 0x2810, write: 0x79ff, clear: 0x000f_0000, kept: 0xe0 },
    // Without clock power management; active state power management is optional.
    read_only(0x6c, 0x0040_0083),
    Register { offset: 0x70, reset: 0x1083_0000, write: 0x00c3, clear: 0, kept: 0x00c3 },
    read_only(0x84, 0x1f),
    writable(0x88, 0, 0x1f),
    read_only(0x8c, 0x0e),
    sticky(0x90, 0x001e_0003, 0xff9f),
    read_only(0x94, 0),
    // Advanced error reporting.
    read_only(0x100, 0x1482_0001),
    Register { offset: 0x104, reset: 0, write: 0, clear: UNCORRECTABLE, kept: !0 },
    sticky(0x108, 0, WITH_LINK),
    sticky(0x10c, 0x0006_0010, WITH_LINK),
    Register { offset: 0x110, reset: 0, write: 0, clear: ADVISORY, kept: !0 },
    sticky(0x114, ADVISORY, 0x31c1),
    sticky(0x118, 0, 0),
    sticky(0x11c, 0, 0),
    sticky(0x120, 0, 0),
    sticky(0x124, 0, 0),
    sticky(0x128, 0, 0),
    // Secondary PCI Express: 8 lanes.
    read_only(0x148, 0x0001_0019),
    read_only(0x154, 0x7f00_7f00),
    read_only(0x158, 0x7f00_7f00),
    read_only(0x15c, 0x7f00_7f00),
    read_only(0x160, 0x7f00_7f00),
    read_only(0x164, 0),
];

/// What other blocks may see, and the ports that say so.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    Malformed,
    Overflow,
    /// A posted request.
    Refused,
    /// One that is answered.
    Unsupported,
    UnsupportedPoisoned,
    Aborted,
    Poisoned,
    CompletionPoisoned,
    CompletionUnsupported,
    /// With a status that is none: as one with the former.
    CompletionReserved,
    CompletionAborted,
    Unexpected,
    TimedOut,
}

use Event::*;

/// Events of one source, of which there is one in a cycle at most: their header's port, and they.
const SOURCES: [(&str, &[Event]); 3] = [
    ("link_hdr", &[Malformed, Overflow]),
    ("request_hdr", &[Refused, Unsupported, UnsupportedPoisoned, Aborted, Poisoned]),
    (
        "cpl_hdr",
        &[
            CompletionPoisoned,
            CompletionUnsupported,
            CompletionReserved,
            CompletionAborted,
            Unexpected,
            TimedOut,
        ],
    ),
];

impl Event {
    fn ports(self) -> &'static [&'static str] {
        match self {
            Malformed => &["malformed"],
            Overflow => &["overflow"],
            Refused => &["unsupported"],
            Unsupported => &["unsupported", "answered"],
            UnsupportedPoisoned => &["unsupported", "parity"],
            Aborted => &["aborted", "answered"],
            Poisoned => &["poisoned", "parity"],
            CompletionPoisoned => &["cpl_poisoned"],
            CompletionUnsupported | CompletionReserved | CompletionAborted => &["cpl_refused"],
            Unexpected => &["cpl_unexpected"],
            TimedOut => &["cpl_timeout"],
        }
    }

    /// Its bit in the uncorrectable error registers.
    fn bit(self) -> Option<u32> {
        Some(match self {
            Malformed => 18,
            Overflow => 17,
            Refused | Unsupported | UnsupportedPoisoned => 20,
            Aborted => 15,
            Poisoned | CompletionPoisoned => 12,
            Unexpected => 16,
            TimedOut => 14,
            CompletionUnsupported | CompletionReserved | CompletionAborted => return None,
        })
    }

    /// Unless it is made fatal: somebody else reports it.
    fn advisory(self) -> bool {
        matches!(self, Unsupported | Aborted | Unexpected)
    }

    /// Status bits: specification, section 7.5.1.2.
    fn status(self, command: u32) -> u32 {
        match self {
            UnsupportedPoisoned | Poisoned => 1 << 31,
            CompletionPoisoned => 1 << 31 | (command >> 6 & 1) << 24,
            CompletionUnsupported | CompletionReserved => 1 << 29,
            CompletionAborted => 1 << 28,
            Aborted => 1 << 27,
            _ => 0,
        }
    }
}

struct Space {
    block: Block,
    model: Vec<u32>,
    flr: bool,
    /// A time-out in D3hot.
    late: bool,
    /// Messages that were to be sent: their codes.
    messages: Vec<u64>,
}

impl Space {
    fn new(seed: u64) -> Space {
        let model = REGISTERS.iter().map(|register| register.reset).collect();
        Space { block: start(&CONFIG, seed), model, flr: false, late: false, messages: vec![] }
    }

    fn index(offset: u16) -> Option<usize> {
        REGISTERS.iter().position(|register| register.offset == offset)
    }

    fn at(&mut self, offset: u16) -> &mut u32 {
        &mut self.model[Space::index(offset).unwrap()]
    }

    /// What an access read. It takes 2 cycles; a function-level reset starts in the second.
    fn access(&mut self, offset: u16, write: Option<(u32, u8)>) -> u32 {
        let block = &mut self.block;
        block.set("bus_valid", 1);
        block.set("bus_write", write.is_some().into());
        block.set("bus_addr", offset.into());
        let (value, be) = write.unwrap_or((0, 15));
        block.set("bus_wdata", value.into());
        block.set("bus_be", be.into());
        block.clock_low();
        assert_eq!(block.get("bus_ready"), 0);
        block.clock_high();
        block.clock_low();
        assert_eq!(block.get("bus_ready"), 1);
        let read = block.get("bus_rdata") as u32;
        self.flr = block.get("flr") == 1;
        block.clock_high();
        block.set("bus_valid", 0);
        read
    }

    fn read(&mut self, offset: u16) {
        let expected = Space::index(offset).map_or(0, |i| self.model[i]);
        assert_eq!(self.access(offset, None), expected, "offset {offset:#x}");
    }

    fn write(&mut self, offset: u16, value: u32, be: u8) {
        let bytes: u32 = (0..4).filter(|i| be >> i & 1 == 1).map(|i| 0xff << (8 * i)).sum();
        self.access(offset, Some((value, be)));
        let Some(i) = Space::index(offset) else { return };
        let register = &REGISTERS[i];
        let old = self.model[i];
        let may = register.write & bytes;
        let mut new = old & !may | value & may;
        // D1 and D2 do not exist.
        if offset == 0x44 && (new & 3 == 1 || new & 3 == 2) {
            new = old;
        }
        self.model[i] = new & !(value & bytes & register.clear);
        if offset == 0x104 && *self.at(0x104) >> *self.at(0x118) & 1 == 0 {
            *self.at(0x118) = 0;
        }
        if self.late && *self.at(0x44) & 3 == 0 {
            self.late = false;
            self.model_event(TimedOut, [0; 4]);
        }
        let resets = offset == 0x68 && value & bytes & 0x8000 != 0;
        assert_eq!(self.flr, resets);
        self.block.clock_low();
        assert_eq!(self.block.get("flr"), 0);
        if resets {
            for (register, value) in REGISTERS.iter().zip(&mut self.model) {
                *value = register.reset & !register.kept | *value & register.kept;
            }
            self.late = false;
            // One of before is withdrawn.
            self.messages.clear();
        }
        self.take_messages();
    }

    /// All that wait, the worst first.
    fn take_messages(&mut self) {
        self.messages.sort_unstable();
        self.messages.dedup();
        let mut taken = self.drained();
        taken.reverse();
        assert_eq!(taken, self.messages);
        self.messages.clear();
    }

    /// The codes of those that wait, as the link takes them.
    fn drained(&mut self) -> Vec<u64> {
        self.block.set("message_ready", 1);
        let mut taken = vec![];
        for _ in 0..12 {
            self.block.clock_low();
            if self.block.get("message_valid") == 1 {
                taken.push(self.block.get("message"));
            }
            self.block.clock_high();
        }
        self.block.set("message_ready", 0);
        taken
    }

    /// What becomes of an event: specification, figure 6-2 (device error signaling and logging).
    fn model_event(&mut self, event: Event, header: [u32; 4]) {
        let (command, control) = (*self.at(0x04), *self.at(0x68));
        *self.at(0x04) |= event.status(command);
        let Some(at) = event.bit() else { return };
        let bit = 1 << at;
        let (serr, unsupported) = (command >> 8 & 1 == 1, at == 20);
        let reported = control >> 3 & 1 == 1;
        let masked = *self.at(0x108) & bit != 0;
        *self.at(0x68) |= u32::from(unsupported) << 19;
        let fatal = *self.at(0x10c) & bit != 0;
        let mut logged = true;
        if !fatal && event.advisory() {
            *self.at(0x68) |= 1 << 16;
            *self.at(0x110) |= ADVISORY;
            logged = *self.at(0x114) & ADVISORY == 0;
            if logged && control & 1 == 1 && (!unsupported || reported) {
                self.messages.push(0);
            }
        } else {
            let class = 1 + u32::from(fatal);
            *self.at(0x68) |= 1 << (16 + class);
            let enabled = serr || control >> class & 1 == 1;
            if !masked && enabled && (!unsupported || reported || serr) {
                self.messages.push(if fatal { 3 } else { 1 });
                *self.at(0x04) |= u32::from(serr) << 30;
            }
        }
        let free = *self.at(0x118) == 0;
        if logged {
            *self.at(0x104) |= bit;
            if free && !masked {
                *self.at(0x118) = at;
                for (i, dw) in header.into_iter().enumerate() {
                    *self.at(0x11c + 4 * i as u16) = dw;
                }
            }
        }
    }

    /// Events in one cycle, at most one of each source; in `access`' first cycle if there is one.
    fn events(&mut self, rng: &mut Rng, events: &[Event]) {
        for event in events {
            event.ports().iter().for_each(|port| self.block.set(*port, 1));
            let (port, _) = SOURCES.iter().find(|(_, all)| all.contains(event)).unwrap();
            let mut header = [0; 4].map(|_: u32| rng.next() as u32);
            match event {
                CompletionUnsupported => header[1] = header[1] & !0xe000 | 1 << 13,
                CompletionReserved => {
                    let status = *rng.pick(&[3, 5, 6, 7]);
                    header[1] = header[1] & !0xe000 | status << 13;
                }
                CompletionAborted => header[1] = header[1] & !0xe000 | 4 << 13,
                _ => {}
            }
            let bytes: Vec<u8> = header.iter().flat_map(|dw| dw.to_le_bytes()).collect();
            self.block.set_bytes(*port, &bytes);
            let asleep = *self.at(0x44) & 3 != 0;
            match event {
                TimedOut if asleep => self.late = true,
                // What was asked for never came.
                TimedOut => self.model_event(TimedOut, [0; 4]),
                event => self.model_event(*event, header),
            }
        }
    }

    fn no_events(&mut self) {
        for event in SOURCES.iter().flat_map(|(_, events)| *events) {
            event.ports().iter().for_each(|port| self.block.set(*port, 0));
        }
    }

    /// What the card is told follows from the registers.
    fn check_outputs(&mut self) {
        let command = *self.at(0x04);
        let control = *self.at(0x68);
        let awake = *self.at(0x44) & 3 == 0;
        let msix = *self.at(0x48);
        let expected = [
            ("bus_master", u64::from(command >> 2 & 1) & u64::from(awake)),
            ("mem_enable", u64::from(command >> 1 & 1) & u64::from(awake)),
            ("bar0_base", (*self.at(0x10)).into()),
            ("mps", u64::from(control >> 5 & 7).min(2)),
            ("read_timeout", (*self.at(0x88)).into()),
            ("mrrs", (control >> 12 & 7).into()),
            ("ext_tag", (control >> 8 & 1).into()),
            ("msix_enable", (msix >> 31).into()),
            ("msix_mask", (msix >> 30 & 1).into()),
        ];
        // `bus_master` comes from a register behind.
        self.block.tick();
        self.block.clock_low();
        for (port, value) in expected {
            assert_eq!(self.block.get(port), value, "{port}");
        }
    }
}

proptest! {
    #![proptest_config(cases(40))]

    /// Any access to anything.
    #[test]
    fn every_bit(seed: u64) {
        let mut rng = Rng(seed);
        let mut space = Space::new(seed);
        for _ in 0..400 {
            let offset = match rng.below(4) {
                0 => rng.below(1024) as u16 * 4,
                _ => REGISTERS[rng.below(REGISTERS.len() as u64) as usize].offset,
            };
            match rng.below(8) {
                0 => {
                    let mut events = vec![];
                    for (_, all) in SOURCES {
                        if rng.percent(50) {
                            events.push(*rng.pick(all));
                        }
                    }
                    space.events(&mut rng, &events);
                    space.block.tick();
                    space.no_events();
                    space.take_messages();
                }
                1..=3 => space.write(offset, rng.next() as u32, rng.below(16) as u8),
                _ => space.read(offset),
            }
            space.check_outputs();
        }
        for register in &REGISTERS {
            space.read(register.offset);
        }
    }
}

/// A host sizes BAR0 and walks the capabilities.
#[test]
fn found_by_a_host() {
    let mut space = Space::new(1);
    space.write(0x10, 0xffff_ffff, 15);
    assert_eq!(!space.access(0x10, None) + 1, 16 << 10);
    assert_eq!(space.access(0x14, Some((0xffff_ffff, 15))), 0);
    space.read(0x14);
    let mut found = vec![];
    let mut at = space.access(0x34, None) & 0xff;
    while at != 0 {
        let header = space.access(at as u16, None);
        found.push((header & 0xff, at));
        at = header >> 8 & 0xff;
    }
    // Power management, MSI-X, PCI Express.
    assert_eq!(found, [(0x01, 0x40), (0x11, 0x48), (0x10, 0x60)]);
    let mut extended = vec![];
    let mut at = 0x100;
    while at != 0 {
        let header = space.access(at, None);
        extended.push((header & 0xffff, at));
        at = (header >> 20) as u16;
    }
    // Advanced error reporting, Secondary PCI Express.
    assert_eq!(extended, [(0x01, 0x100), (0x19, 0x148)]);
    // As many vectors as were asked for.
    assert_eq!(space.access(0x48, None) >> 16 & 0x7ff, 16);
}

/// An error in the very cycle in which what was there before is cleared.
#[test]
fn an_error_that_comes_while_others_are_cleared_stays() {
    let mut rng = Rng(2);
    for (offset, events) in [
        (0x04, vec![CompletionPoisoned]),
        (0x68, vec![Malformed, Refused]),
        (0x104, vec![Malformed]),
        (0x104, vec![TimedOut]),
    ] {
        let mut space = Space::new(3);
        // An older one of another kind, whose header goes.
        space.events(&mut rng, &[Poisoned]);
        space.block.tick();
        space.no_events();
        for i in 0..4 {
            assert_ne!(space.access(0x11c + 4 * i, None), 0);
        }
        let register = &REGISTERS[Space::index(offset).unwrap()];
        *space.at(offset) &= !register.clear;
        *space.at(0x118) &= if offset == 0x104 { 0 } else { !0 };
        space.events(&mut rng, &events);
        let block = &mut space.block;
        // What is beside the status bits stays.
        let be = if offset == 0x104 { 0b1111 } else { 0b1100 };
        for (port, value) in [
            ("bus_valid", 1),
            ("bus_write", 1),
            ("bus_addr", offset.into()),
            ("bus_wdata", 0xffff_ffff),
            ("bus_be", be),
        ] {
            block.set(port, value);
        }
        block.tick();
        space.no_events();
        space.block.tick();
        space.block.set("bus_valid", 0);
        for register in &REGISTERS {
            space.read(register.offset);
        }
    }
}

/// Transactions Pending is what the read engine says.
#[test]
fn reads_under_way_are_pending() {
    let mut space = Space::new(4);
    for pending in [1, 0] {
        space.block.set("pending", pending.into());
        assert_eq!(space.access(0x68, None) >> 21 & 1, pending);
        // Not to be cleared.
        space.access(0x68, Some((1 << 21, 0b0100)));
        assert_eq!(space.access(0x68, None) >> 21 & 1, pending);
    }
}

/// Errors meanwhile share a message; a function-level reset takes it back.
#[test]
fn messages_wait_for_the_link() {
    let mut space = Space::new(5);
    let mut rng = Rng(6);
    space.access(0x68, Some((0x280f, 15)));
    let mut errors = |space: &mut Space, events: &[Event]| {
        for event in events {
            space.events(&mut rng, &[*event]);
            space.block.tick();
            space.no_events();
        }
        (0..3).for_each(|_| space.block.tick());
        space.block.clock_low();
        let offered = (space.block.get("message_valid"), space.block.get("message"));
        space.block.clock_high();
        offered
    };
    // The one on offer stays, whatever comes.
    assert_eq!(errors(&mut space, &[Poisoned, Poisoned, TimedOut]), (1, 1));
    assert_eq!(errors(&mut space, &[Malformed, Malformed]), (1, 1));
    assert_eq!(space.drained(), [1, 3, 1]);
    assert_eq!(errors(&mut space, &[Malformed, Poisoned]), (1, 3));
    space.access(0x68, Some((0xa80f, 15)));
    assert_eq!(errors(&mut space, &[]).0, 0);
}

/// What becomes of the reads of before a function-level reset nobody hears of, then or later; of a
/// device reset's everybody does.
#[test]
fn reads_of_before_a_function_level_reset() {
    let mut rng = Rng(9);
    for resets in [false, true] {
        let mut space = Space::new(8);
        space.block.set("flush", 1);
        space.write(0x68, if resets { 0xa810 } else { 0x2810 }, 15);
        space.write(0x114, 0, 15);
        for awake in [true, false] {
            space.write(0x44, if awake { 0 } else { 3 }, 1);
            for event in [CompletionPoisoned, CompletionUnsupported, CompletionAborted, TimedOut] {
                let before = space.model.clone();
                space.events(&mut rng, &[event]);
                if resets {
                    (space.model, space.late) = (before, false);
                }
                space.block.tick();
                space.no_events();
            }
            // Nobody has waited for it in any life.
            space.events(&mut rng, &[Unexpected]);
            space.block.tick();
            space.no_events();
        }
        for _ in 0..20 {
            space.block.tick();
        }
        space.block.set("flush", 0);
        space.write(0x44, 0, 1);
        REGISTERS.iter().for_each(|register| space.read(register.offset));
        // And now they are its own.
        space.events(&mut rng, &[CompletionPoisoned]);
        space.block.tick();
        space.no_events();
        space.events(&mut rng, &[TimedOut]);
        space.block.tick();
        space.no_events();
        for register in &REGISTERS {
            space.read(register.offset);
        }
    }
}

/// Without advanced error reporting: no extended capabilities, and no message of an error that
/// somebody else reports.
#[test]
fn small() {
    let mut space = Space { block: start(&CONFIG_SMALL, 7), ..Space::new(7) };
    let mut rng = Rng(8);
    assert!((0x100..0x1000).step_by(4).all(|at| space.access(at, None) == 0));
    // A lane of 2.5 GT/s, one completion time-out, no second link control.
    for (at, value) in [(0x6c, 0x0040_0011), (0x70, 0x1011_0000), (0x84, 0x10), (0x8c, 2)] {
        assert_eq!(space.access(at, None), value);
    }
    space.access(0x88, Some((0x1f, 15)));
    space.access(0x90, Some((!0, 15)));
    assert_eq!((space.access(0x88, None), space.access(0x90, None)), (0x10, 0));
    space.access(0x68, Some((0x280f, 15)));
    for (event, status, message) in [
        (Unsupported, 0b1001, None),
        (Unexpected, 0b0001, None),
        (Refused, 0b1010, Some(1)),
        (TimedOut, 0b0010, Some(1)),
        (Malformed, 0b0100, Some(3)),
    ] {
        space.events(&mut rng, &[event]);
        space.block.tick();
        space.no_events();
        space.messages = Vec::from_iter(message);
        space.take_messages();
        assert_eq!(space.access(0x68, Some((0xf_0000, 0b0100))) >> 16, status, "{event:?}");
    }
}
