//! Configuration space, register by register, against what the PCI specifications say of each bit.

mod pcie_support;

use nitor_block::Block;
use pcie_support::{cases, start, Rng, CONFIG};
use proptest::prelude::*;

/// A register: offset, value after reset, bits that can be written, bits that a 1 clears, bits that a function-level reset keeps.
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

/// Everything that is not 0. The power state (0x44) and Device Control (0x68) have rules besides.
const REGISTERS: [Register; 22] = [
    read_only(0x00, 0xec20_1d0f),
    Register { offset: 0x04, reset: 0x0010_0000, write: 0x0546, clear: 0x8000_0000, kept: 0 },
    read_only(0x08, 0x0200_0000),
    writable(0x10, 0, 0xffff_c000),
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
    read_only(0x6c, 0x83),
    Register { offset: 0x70, reset: 0x1083_0000, write: 0x01c3, clear: 0, kept: 0x01c3 },
    read_only(0x84, 0x1f),
    writable(0x88, 0, 0x1f),
    read_only(0x8c, 0x0e),
    read_only(0x90, 3),
    read_only(0x94, 0),
];

struct Space {
    block: Block,
    model: Vec<u32>,
    flr: bool,
}

impl Space {
    fn new(seed: u64) -> Space {
        let model = REGISTERS.iter().map(|register| register.reset).collect();
        Space { block: start(&CONFIG, seed), model, flr: false }
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
        let resets = offset == 0x68 && value & bytes & 0x8000 != 0;
        assert_eq!(self.flr, resets);
        self.block.clock_low();
        assert_eq!(self.block.get("flr"), 0);
        if resets {
            for (register, value) in REGISTERS.iter().zip(&mut self.model) {
                *value = register.reset & !register.kept | *value & register.kept;
            }
        }
    }

    /// Errors that other blocks saw.
    fn errors(&mut self, unsupported: bool, poisoned: bool) {
        self.block.set("set_unsupported", unsupported.into());
        self.block.set("set_poisoned", poisoned.into());
        self.block.tick();
        self.block.set("set_unsupported", 0);
        self.block.set("set_poisoned", 0);
        if unsupported {
            *self.at(0x68) |= 0x0009_0000;
        }
        if poisoned {
            *self.at(0x68) |= 0x0002_0000;
            *self.at(0x04) |= 0x8000_0000;
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
                    let (unsupported, poisoned) = (rng.percent(50), rng.percent(50));
                    space.errors(unsupported, poisoned);
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
    // As many vectors as were asked for.
    assert_eq!(space.access(0x48, None) >> 16 & 0x7ff, 16);
}
