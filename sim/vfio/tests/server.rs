//! A card as a guest's hypervisor sees it, over the socket.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use nitor_abi::bar;
use nitor_abi::mgmt::Counter;
use nitor_vfio::{machine, Ask, Machine, Options, Summary};
use tempfile::TempDir;
use vfio_user::Client;

const CONFIG: u32 = 7;
const MSIX: u32 = 2;
/// SET_IRQS: event files, trigger.
const TRIGGER: u32 = 1 << 2 | 1 << 5;
/// Where the guest's memory is.
const MEMORY: u64 = 0x10_0000;
const LEN: u64 = 0x1_0000;
/// The ring of events in it.
const EVENTS: u64 = 0x3000;

struct Guest {
    client: Client,
    memory: File,
    machine: Machine,
    _folder: TempDir,
}

impl Guest {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { guests: 1, seed: 1, ..Options::default() };
        let machine = Machine::start(&options, folder.path()).unwrap();
        let mut client = Client::new(&machine::socket(folder.path(), 0)).unwrap();
        let memory = tempfile::tempfile().unwrap();
        memory.set_len(LEN).unwrap();
        client.dma_map(0, MEMORY, LEN, memory.as_raw_fd()).unwrap();
        Guest { client, memory, machine, _folder: folder }
    }

    fn config(&mut self, offset: u64) -> u32 {
        let mut bytes = [0; 4];
        self.client.region_read(CONFIG, offset, &mut bytes).unwrap();
        u32::from_le_bytes(bytes)
    }

    fn set_config(&mut self, offset: u64, bytes: &[u8]) {
        self.client.region_write(CONFIG, offset, bytes).unwrap();
    }

    fn register(&mut self, offset: u32) -> u32 {
        let mut bytes = [0; 4];
        self.client.region_read(0, offset.into(), &mut bytes).unwrap();
        u32::from_le_bytes(bytes)
    }

    fn set_register(&mut self, offset: u32, value: u32) {
        self.client.region_write(0, offset.into(), &value.to_le_bytes()).unwrap();
    }

    fn word(&self, at: u64) -> u32 {
        let mut bytes = [0; 4];
        self.memory.read_exact_at(&mut bytes, at).unwrap();
        u32::from_le_bytes(bytes)
    }

    /// Lets the card master the bus.
    fn master(&mut self) {
        self.set_config(4, &[6, 0]);
    }

    /// Asks for VERSION by DMA, as request `id`.
    fn ask_readless(&mut self, id: u32, to: u64) {
        self.set_register(bar::MMIO_RESP_LO, to as u32);
        self.set_register(bar::MMIO_RESP_HI, (to >> 32) as u32);
        self.set_register(bar::MMIO_REG_READ, id | bar::VERSION << 16);
    }

    /// The admin queue is set up, and keep-alives are asked for.
    fn ask_for_signs_of_life(&mut self) {
        self.master();
        let msix = 0x48;
        self.set_config(msix + 2, &0x8000u16.to_le_bytes());
        for (low, at) in
            [(bar::AQ_BASE_LO, 0x1000), (bar::ACQ_BASE_LO, 0x2000), (bar::AENQ_BASE_LO, EVENTS)]
        {
            self.set_register(low, (MEMORY + at) as u32);
            self.set_register(low + 4, 0);
        }
        for caps in [bar::AQ_CAPS, bar::ACQ_CAPS, bar::AENQ_CAPS] {
            self.set_register(caps, 64 << 16 | 16);
        }
        self.set_register(bar::INTR_MASK, 0);
        self.set_register(bar::AENQ_HEAD_DB, 16);
        // SET_FEATURE 26: enable keep-alive, group 4.
        let mut command = [0; 64];
        (command[2], command[3], command[17]) = (9, 1, 26);
        command[24..28].copy_from_slice(&(1u32 << 4).to_le_bytes());
        self.memory.write_all_at(&command, 0x1000).unwrap();
        self.set_register(bar::AQ_DB, 1);
        assert_eq!(self.word(0x2000) >> 16, 0x0100, "success");
    }

    /// The time stamps of the keep-alives so far, of at most 16.
    fn signs_of_life(&self) -> Vec<u32> {
        let entries = (0..16).map(|n| EVENTS + 64 * n);
        let posted = entries.take_while(|at| self.word(at + 4) & 1 == 1);
        posted.filter(|at| self.word(*at) & 0xffff == 4).map(|at| self.word(at + 8)).collect()
    }

    fn summary(&self) -> Summary {
        self.machine.summary().unwrap()
    }
}

#[test]
fn configuration_space_is_the_cards_but_for_bars_and_memory_enable() {
    let mut guest = Guest::new();
    assert_eq!(guest.config(0), 0xec20_1d0f);
    let mut header = [0; 64];
    guest.client.region_read(CONFIG, 0, &mut header).unwrap();
    assert_eq!(header[..4], [0x0f, 0x1d, 0x20, 0xec]);
    assert_eq!(guest.config(4) & 7, 0, "off until the guest says so");
    let bar0 = guest.config(0x10);
    guest.set_config(0x10, &[0xff; 4]);
    assert_eq!(guest.config(0x10), bar0, "the guest's BAR is not the card's");
    assert_eq!(guest.register(bar::VERSION), 0x000a, "registers answer all the same");
    guest.set_config(5, &[4]);
    assert_eq!(guest.config(4) & 0xffff, 0x0400, "one byte of the command register");
    guest.set_config(4, &[6]);
    assert_eq!(guest.config(4) & 0xffff, 0x0406);
    // Past the end, and across dwords: no harm.
    let mut bytes = [0; 4];
    guest.client.region_read(CONFIG, 0xfff0, &mut bytes).unwrap();
    guest.client.region_write(CONFIG, 6, &[0; 4]).unwrap();
    let summary = guest.summary();
    assert_eq!(summary.violations, [""; 0]);
    assert_eq!(summary.guests[0].refused, [""; 0]);
}

#[test]
fn dma_reaches_what_is_mapped_and_nothing_else() {
    let mut guest = Guest::new();
    guest.master();
    guest.ask_readless(7, MEMORY + 0x100);
    assert_eq!((guest.word(0x100), guest.word(0x104)), (7, 0x000a));
    assert_eq!(guest.summary().guests[0].denied, 0);
    // Outside.
    guest.ask_readless(8, MEMORY + LEN);
    assert_eq!(guest.summary().guests[0].denied, 1);
    // No more.
    guest.client.dma_unmap(MEMORY, LEN).unwrap();
    guest.ask_readless(9, MEMORY + 0x100);
    assert_eq!(guest.summary().guests[0].denied, 2);
    assert_eq!(guest.word(0x100), 7);
    // And again, elsewhere; a part of the file, beyond a page.
    guest.client.dma_map(0x1000, 0x5000_0000, 0x1000, guest.memory.as_raw_fd()).unwrap();
    guest.ask_readless(10, 0x5000_0010);
    assert_eq!((guest.word(0x1010), guest.summary().guests[0].denied), (10, 2));
}

/// The crate's client does not tell whether it was refused; what the card reaches does.
#[test]
fn maps_that_cannot_be_are_refused() {
    let mut guest = Guest::new();
    guest.master();
    let fd = guest.memory.as_raw_fd();
    let beyond = MEMORY + LEN;
    for (offset, iova, len) in
        [(0, beyond, LEN + 1), (u64::MAX, beyond, LEN), (LEN, beyond, 0x1000), (0, beyond, 0)]
    {
        let before = guest.summary().guests[0].denied;
        let _ = guest.client.dma_map(offset, iova, len, fd);
        guest.ask_readless(1, iova);
        assert_eq!(guest.summary().guests[0].denied, before + 1, "{offset:#x} {len:#x}");
    }
    let _ = guest.client.dma_map(0x1000, MEMORY, 0x1000, fd);
    guest.ask_readless(2, MEMORY);
    assert_eq!((guest.word(0), guest.word(0x1000)), (2, 0), "what was mapped first still is");
}

#[test]
fn a_reset_stops_the_card_and_leaves_it_usable() {
    let mut guest = Guest::new();
    for id in 1..4 {
        guest.master();
        guest.ask_readless(id, MEMORY);
        assert_eq!(guest.word(0), id);
        match id {
            1 => guest.client.reset().unwrap(),
            // The guest's own function-level reset.
            _ => guest.set_config(0x68, &0xa810u32.to_le_bytes()),
        }
        assert_eq!(guest.config(4) & 7, 0);
        assert_eq!(guest.register(bar::MMIO_RESP_LO), 0, "forgotten");
    }
    assert_eq!(guest.summary().guests[0].counts.resets, 3);
}

/// Vector 0 is raised by the firmware, for a keep-alive.
#[test]
fn an_interrupt_reaches_whoever_listens_now_or_later() {
    let mut guest = Guest::new();
    guest.ask_for_signs_of_life();
    let (mut read, write) = std::io::pipe().unwrap();
    let listen = |guest: &mut Guest| {
        guest.client.set_irqs(MSIX, TRIGGER, 0, 1, &[write.as_raw_fd()]).unwrap();
    };
    let waits = || std::thread::sleep(Duration::from_millis(20));
    let begin = Instant::now();
    while guest.summary().guests[0].counts.unheard == 0 {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "no interrupt: {:08x} {:?}",
            guest.word(0x3000),
            guest.summary()
        );
        waits();
    }
    listen(&mut guest);
    let mut event = [0; 8];
    read.read_exact(&mut event).unwrap();
    assert_eq!(u64::from_ne_bytes(event), 1, "it was kept");
    read.read_exact(&mut event).unwrap();
    assert_eq!(guest.word(0x3000) & 0xffff, 4, "a keep-alive");
}

/// Signs of life come by the wall's time, which is a guest's, and cost next to nothing: a guest on a busy host must not miss them.
#[test]
fn a_quiet_card_shows_signs_of_life_and_stands_still_between_them() {
    let mut guest = Guest::new();
    guest.ask_for_signs_of_life();
    let (begin, before, first) = (Instant::now(), guest.summary(), guest.signs_of_life().len());
    assert!(first >= 1, "the first one at once");
    while guest.signs_of_life().len() < first + 3 {
        let (waited, now) = (begin.elapsed(), guest.summary().cycles - before.cycles);
        assert!(waited < Duration::from_secs(30), "{:?} in {now} cycles", guest.signs_of_life());
        std::thread::sleep(Duration::from_millis(10));
    }
    let (took, after, signs) = (begin.elapsed(), guest.summary(), guest.signs_of_life());
    let (cycles, processor) = (after.cycles - before.cycles, after.processor - before.processor);
    println!("{cycles} cycles and {processor:?} in {took:?}; signs of life at {signs:?} us");
    assert!(cycles < 3 * 5_000, "{cycles} cycles for three signs of life");
    assert!(took > Duration::from_millis(1900), "no more than one a second: {took:?}");
    // The firmware's clock is the guest's: the last three are a second apart, more or less what a busy host is late.
    for pair in signs[first..].windows(2) {
        let apart = Duration::from_micros(pair[1].wrapping_sub(pair[0]).into());
        assert!(
            apart >= Duration::from_secs(1) && apart < took + Duration::from_secs(1),
            "{signs:?}"
        );
    }
    assert_eq!(after.violations, [""; 0]);
}

/// Drivers say why they reset a card.
#[test]
fn a_reset_that_nobody_asked_for_is_told() {
    let mut guest = Guest::new();
    let mut reset = |reason: u32| {
        guest.set_register(bar::DEV_CTL, reason << 28 | 1);
        guest.set_register(bar::DEV_CTL, 0);
        guest.summary().guests[0].resets.len()
    };
    const NORMAL: u32 = 0;
    const KEEP_ALIVE: u32 = 1;
    const SHUTDOWN: u32 = 11;
    assert_eq!([NORMAL, SHUTDOWN, NORMAL].map(&mut reset), [0; 3]);
    assert_eq!(reset(KEEP_ALIVE), 1);
    assert_eq!(reset(NORMAL), 1, "the driver starts again");
    // It was told to hang: no surprise, once.
    guest.machine.tell(0, Ask::Hang).unwrap();
    let mut reset = |reason: u32| {
        guest.set_register(bar::DEV_CTL, reason << 28 | 1);
        guest.set_register(bar::DEV_CTL, 0);
        guest.summary().guests[0].resets.clone()
    };
    assert_eq!(reset(KEEP_ALIVE).len(), 1);
    let resets = reset(KEEP_ALIVE);
    assert_eq!(resets.len(), 2);
    assert!(resets.iter().all(|text| text.contains("signs of life")), "{resets:?}");
}

#[test]
fn the_wire_can_be_pulled_and_a_machine_without_guests_ends() {
    let guest = Guest::new();
    guest.machine.tell(0, Ask::Link(false)).unwrap();
    guest.machine.tell(0, Ask::Link(true)).unwrap();
    let summary = guest.summary();
    assert_eq!(summary.violations, [""; 0]);
    assert_eq!(summary.guests[0].refused, [""; 0]);
    drop(guest);
    let folder = tempfile::tempdir().unwrap();
    let options = Options { guests: 2, seed: 1, ..Options::default() };
    drop(Machine::start(&options, folder.path()).unwrap());
}

/// Two guests with a wire each: frames go to the right peer, and counters come from the right card.
#[test]
fn guests_that_are_apart_have_a_wire_and_counters_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { guests: 2, apart: true, seed: 1, ..Options::default() };
    let machine = Machine::start(&options, folder.path()).unwrap();
    let of = |guest: usize, which: Counter| {
        let counters = machine.counters(guest).unwrap();
        assert_eq!(counters.len(), Counter::ALL.len());
        counters.iter().find(|(counter, _)| *counter == which).unwrap().1
    };
    let mut client = Client::new(&machine::socket(folder.path(), 1)).unwrap();
    // A queue that there is not.
    client.region_write(0, bar::tx_doorbell(9).into(), &1u32.to_le_bytes()).unwrap();
    assert_eq!([0, 1].map(|guest| of(guest, Counter::Doorbells)), [0, 1]);
    assert_eq!([0, 1].map(|guest| of(guest, Counter::TxDoorbellsIllegal)), [0, 1]);
    machine.tell(1, Ask::Hang).unwrap();
    assert!(machine.counters(1).unwrap().is_empty(), "its firmware hangs");
    assert_eq!(of(0, Counter::Doorbells), 0);
    drop(client);
}
