//! Conformance cases of the PCI function as a driver finds it, and of its registers.

use nitor_driver::pci::PciFunction;

use super::support::raw::{reg, Raw};
use super::{dma, seed, Readless, WIDTHS};

#[test]
pub fn case_01_identity_bar_and_vectors() {
    for width in WIDTHS {
        let raw = Raw::new(width, seed(1));
        let config = |offset| raw.function.config_read(offset);
        assert_eq!(config(0), 0xec20_1d0f);
        assert_eq!(config(8) >> 8, 0x02_0000, "an Ethernet controller");
        assert_eq!(config(0x10) & 1, 0, "memory");
        assert!(raw.function.bar_len(0) >= 16 << 10);
        let mut at = config(0x34) as u16 & 0xfc;
        while config(at) & 0xff != 0x11 {
            at = (config(at) >> 8) as u16 & 0xfc;
            assert_ne!(at, 0, "no MSI-X");
        }
        assert!((config(at) >> 16 & 0x7ff) + 1 >= 2);
        raw.assert_clean();
    }
}

fn check_registers(mut read: impl FnMut(u16) -> u32) {
    assert_eq!(read(reg::VERSION), 0x0a);
    assert!(read(reg::CONTROLLER_VERSION) & 0xff_ffff >= 1);
    let caps = read(reg::CAPS);
    assert!((32..=48).contains(&(caps >> 8 & 0xff)), "address width");
    assert_ne!(caps >> 1 & 0x1f, 0, "reset timeout");
    assert_eq!(read(reg::DEV_STS), 1);
}

#[test]
pub fn case_02_versions_and_capabilities_by_plain_reads() {
    for width in WIDTHS {
        let raw = Raw::new(width, seed(2));
        check_registers(|register| raw.get(register));
    }
}

#[test]
pub fn case_03_the_same_by_readless_reads_each_of_one_write() {
    for width in WIDTHS {
        let raw = Raw::new(width, seed(3));
        raw.set_bus_master(true);
        let mut readless = Readless::new(&raw);
        let mut reads = 0;
        let before = dma(&raw);
        check_registers(|register| {
            reads += 1;
            readless.read(&raw, register)
        });
        assert_eq!(dma(&raw) - before, reads, "one write each");
        let world = raw.world.borrow();
        assert_eq!(world.host(0).root.stats.upstream.writes.payload_bytes, 8 * reads);
        world.assert_clean();
    }
}

#[test]
pub fn case_04_unknown_offsets_read_as_0() {
    let raw = Raw::new(128, seed(4));
    raw.set_bus_master(true);
    let mut readless = Readless::new(&raw);
    for offset in [0x6c, 0x100, 0x7fc, 0xffc, 0x1000, 0x2000, 0x3ffc, 0x8000, 0xfffc] {
        assert_eq!(readless.read(&raw, offset), 0, "{offset:#x}");
    }
    raw.assert_clean();
}

#[test]
pub fn case_05_without_an_address_no_answer() {
    let raw = Raw::new(128, seed(5));
    raw.set_bus_master(true);
    raw.set_address(reg::MMIO_RESP, 0);
    for id in 1..20 {
        raw.set(reg::MMIO_REG_READ, id);
    }
    raw.step(20_000);
    assert_eq!(dma(&raw), 0);
    let mut readless = Readless::new(&raw);
    assert_eq!(readless.read(&raw, reg::VERSION), 0x0a);
    raw.assert_clean();
}

#[test]
pub fn case_06_70000_readless_reads() {
    let raw = Raw::new(128, seed(6));
    raw.set_bus_master(true);
    let mut readless = Readless::new(&raw);
    for _ in 0..70_000 {
        assert_eq!(readless.read(&raw, reg::DEV_STS), 1);
    }
    raw.assert_clean();
}

#[test]
pub fn case_07_ready_out_of_power_on() {
    for width in WIDTHS {
        let raw = Raw::new(width, seed(7));
        assert_eq!(raw.get(reg::DEV_STS) & 1, 1);
    }
}
