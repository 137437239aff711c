//! The whole card without the driver: rings written by hand, one card, its wire looped back.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use nitor_abi::{admin, bar, rx, tx};
use nitor_driver::dma::DmaBuf;
use nitor_driver::pci::PciFunction;
use nitor_fw::Settings;
use nitor_sim::firmware::standard;
use nitor_sim::function::HostMemory;
use nitor_sim::wire::WireConfig;
use nitor_sim::{HostConfig, HostFunction, World};

type Dma = DmaBuf<HostMemory>;

/// A host that has brought its card up as far as the admin queue.
struct Rig {
    function: HostFunction,
    aq: Dma,
    acq: Dma,
    commands: u16,
}

const US: Duration = Duration::from_micros(1);

impl Rig {
    fn new(width: u32, seed: u64) -> Rig {
        let mut world = World::new(seed);
        let config =
            HostConfig::new(width).with_firmware(standard(Settings::new([2, 0, 0, 0, 0, 1])));
        let host = world.add_host(config).unwrap();
        world.connect(host, host, WireConfig::default());
        let function = HostFunction::open(&Rc::new(RefCell::new(world)), host).unwrap();
        function.config_write(4, function.config_read(4) | 6);
        let aq = function.alloc_dma(32 * 64, 4096).unwrap();
        let acq = function.alloc_dma(32 * 64, 4096).unwrap();
        let mut rig = Rig { function, aq, acq, commands: 0 };
        rig.reset();
        rig
    }

    fn read(&self, register: u32) -> u32 {
        self.function.bar_read(0, u64::from(register))
    }

    fn write(&self, register: u32, value: u32) {
        self.function.bar_write(0, u64::from(register), value);
    }

    fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        for _ in 0..2000 {
            if done() {
                return;
            }
            self.function.wait(US);
        }
        panic!("waited 2 ms for {what}");
    }

    fn reset(&mut self) {
        assert_eq!(self.read(bar::VERSION), 0x0a);
        self.write(bar::DEV_CTL, 1);
        self.until("reset to begin", || self.read(bar::DEV_STS) & 8 != 0);
        self.write(bar::DEV_CTL, 0);
        self.until("reset to end", || self.read(bar::DEV_STS) & 8 == 0);
        for (low, high, at) in [
            (bar::AQ_BASE_LO, bar::AQ_BASE_HI, self.aq.iova()),
            (bar::ACQ_BASE_LO, bar::ACQ_BASE_HI, self.acq.iova()),
        ] {
            self.write(low, at as u32);
            self.write(high, (at >> 32) as u32);
        }
        self.write(bar::AQ_CAPS, 0x0040_0020);
        self.write(bar::ACQ_CAPS, 0x0040_0020);
        self.commands = 0;
    }

    fn command(&mut self, opcode: u8, mut entry: [u8; 64]) -> [u8; 64] {
        let slot = usize::from(self.commands % 32);
        let phase = (self.commands / 32).is_multiple_of(2);
        entry[0..2].copy_from_slice(&(self.commands % 32).to_le_bytes());
        entry[2] = opcode;
        entry[3] |= u8::from(phase);
        self.aq.as_mut_slice()[slot * 64..][..64].copy_from_slice(&entry);
        self.commands += 1;
        self.write(bar::AQ_DB, u32::from(self.commands));
        let acq = &self.acq;
        self.until("an admin command", || (acq.as_slice()[slot * 64 + 3] & 1 == 1) == phase);
        let answer: [u8; 64] = self.acq.as_slice()[slot * 64..][..64].try_into().unwrap();
        assert_eq!(answer[2], 0, "status of opcode {opcode}");
        answer
    }

    fn queue(&mut self, direction: admin::Direction, depth: u16) -> Queue {
        let (words, sq_len) = match direction {
            admin::Direction::Tx => (2, 16),
            admin::Direction::Rx => (4, 16),
        };
        let cq = self.function.alloc_dma(usize::from(depth) * words * 4, 4096).unwrap();
        let sq = self.function.alloc_dma(usize::from(depth) * sq_len, 4096).unwrap();
        let create = admin::CreateCq {
            interrupt_mode: false,
            entry_words: words as u8,
            depth,
            vector: admin::NO_VECTOR,
            base: cq.iova(),
        };
        let answer = self.command(3, create.to_bytes());
        let cq_idx = u16::from_le_bytes([answer[8], answer[9]]);
        let create = admin::CreateSq {
            direction: direction as u8,
            placement: 1,
            completion_policy: 0,
            contiguous: true,
            cq_idx,
            depth,
            base: sq.iova(),
            head_writeback: 0,
        };
        let answer = self.command(1, create.to_bytes());
        let doorbell = u32::from_le_bytes(answer[12..16].try_into().unwrap());
        Queue { sq, cq, depth, tail: 0, head: 0, doorbell }
    }
}

struct Queue {
    sq: Dma,
    cq: Dma,
    depth: u16,
    tail: u16,
    head: u16,
    doorbell: u32,
}

impl Queue {
    fn phase(at: u16, depth: u16) -> bool {
        (at / depth).is_multiple_of(2)
    }

    fn push(&mut self, desc: [u8; 16]) {
        let slot = usize::from(self.tail % self.depth);
        self.sq.as_mut_slice()[slot * 16..][..16].copy_from_slice(&desc);
        self.tail = self.tail.wrapping_add(1);
    }
}

fn exchange(width: u32, lengths: &[usize]) {
    let mut rig = Rig::new(width, 7);
    let mut tx = rig.queue(admin::Direction::Tx, 256);
    let mut rx = rig.queue(admin::Direction::Rx, 256);
    let mut buffers: Vec<Dma> = (0..200u16)
        .map(|i| {
            let buffer = rig.function.alloc_dma(2048, 64).unwrap();
            let desc = rx::RxDesc {
                length: 2048,
                phase: Queue::phase(rx.tail, rx.depth),
                first: true,
                last: true,
                comp_req: true,
                req_id: i,
                address: buffer.iova(),
            };
            rx.push(desc.to_bytes());
            buffer
        })
        .collect();
    rig.write(rx.doorbell, u32::from(rx.tail));
    let frames: Vec<Dma> = lengths
        .iter()
        .enumerate()
        .map(|(i, &len)| {
            let mut frame = rig.function.alloc_dma(len, 64).unwrap();
            for (k, byte) in frame.as_mut_slice().iter_mut().enumerate() {
                *byte = (i * 31 + k * 7) as u8;
            }
            if len >= 14 {
                frame.as_mut_slice()[12..14].copy_from_slice(&[0x88, 0xb5]);
            }
            let desc = tx::TxData {
                length: len as u16,
                req_id: i as u16,
                phase: Queue::phase(tx.tail, tx.depth),
                first: true,
                last: true,
                comp_req: true,
                address: frame.iova(),
                ..Default::default()
            };
            tx.push(desc.to_bytes());
            frame
        })
        .collect();
    let start = rig.function.now();
    rig.write(tx.doorbell, u32::from(tx.tail));
    for i in 0..lengths.len() as u16 {
        rig.until("a TX completion", || {
            let at = usize::from(tx.head % tx.depth) * 8;
            let bytes: [u8; 8] = tx.cq.as_slice()[at..][..8].try_into().unwrap();
            let done = tx::TxCompletion::from_bytes(&bytes);
            done.phase == Queue::phase(tx.head, tx.depth) && {
                assert_eq!(done.req_id, i);
                true
            }
        });
        tx.head += 1;
    }
    let mut next = 0;
    while next < frames.len() {
        let mut got = vec![];
        loop {
            let mut entry = rx::RxCompletion::default();
            rig.until("an RX completion", || {
                let at = usize::from(rx.head % rx.depth) * 16;
                let bytes: [u8; 16] = rx.cq.as_slice()[at..][..16].try_into().unwrap();
                entry = rx::RxCompletion::from_bytes(&bytes);
                entry.phase == Queue::phase(rx.head, rx.depth)
            });
            rx.head += 1;
            let buffer = &mut buffers[usize::from(entry.req_id)];
            got.extend_from_slice(&buffer.as_slice()[..usize::from(entry.length)]);
            if entry.last {
                break;
            }
        }
        let mut wanted = frames[next].as_slice().to_vec();
        wanted.resize(wanted.len().max(60), 0);
        assert!(got == wanted, "frame {next} of {} bytes came as {}", wanted.len(), got.len());
        next += 1;
    }
    let took = rig.function.now() - start;
    eprintln!("{width} bits: {} frames in {} ns", frames.len(), took.as_nanos());
    rig.function.world().borrow().assert_clean();
}

#[test]
fn frames_come_back_byte_for_byte() {
    for width in [128, 512] {
        exchange(width, &[60]);
        exchange(width, &[14, 60, 61, 64, 65, 100, 1514, 1, 2048, 4000, 9000, 128, 256]);
        exchange(width, &[60; 150]);
    }
}
