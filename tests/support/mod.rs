//! The rig of the system tests: a card whose wire is looped back, a driver on it, and traffic whose
//! every frame is accounted for.
//!
//! Everything random depends on one seed. `NITOR_SEED=n cargo test` runs with another, and a
//! failure reports its seed.

#![allow(dead_code)] // Each test binary uses its part.

pub mod frames;
pub mod packets;
pub mod raw;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use frames::{Frames, FLOWS};
use nitor_driver::dma::DmaBuf;
use nitor_driver::pci::PciFunction;
use nitor_driver::{Config, Ena, Mode, Offload, Segment};
use nitor_fw::Settings;
use nitor_sim::firmware::standard;
use nitor_sim::function::HostMemory;
use nitor_sim::wire::WireConfig;
use nitor_sim::{HostConfig, HostFunction, World, CYCLE_NS, REACTION};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub const MAC: [u8; 6] = [2, 0x4e, 0x49, 0x54, 0, 1];
const MOMENT: Duration = Duration::from_nanos(REACTION * CYCLE_NS);
/// If no frame arrives for this long, the missing ones are lost.
const PATIENCE: Duration = Duration::from_millis(1);
pub const INTERRUPTS: Mode =
    Mode::Interrupts { tx_delay: Duration::from_micros(4), rx_delay: Duration::from_micros(1) };

/// The seed of this run, for test `n`.
pub fn seed(n: u64) -> u64 {
    let base: u64 = std::env::var("NITOR_SEED").map_or(1, |text| {
        text.parse().unwrap_or_else(|_| panic!("NITOR_SEED is a number, not {text:?}"))
    });
    println!("seed: NITOR_SEED={base}");
    base.wrapping_mul(1_000_003).wrapping_add(n)
}

/// A card and its driver.
pub struct Rig {
    pub world: Rc<RefCell<World>>,
    pub nic: Ena<HostFunction>,
    pub rng: ChaCha8Rng,
}

impl Rig {
    pub fn new(width: u32, seed: u64, config: Config) -> Rig {
        Rig::with(width, seed, config, WireConfig::default(), |host| host)
    }

    /// A rig on a host whose configuration `host` changes.
    pub fn with(
        width: u32,
        seed: u64,
        config: Config,
        wire: WireConfig,
        host: impl FnOnce(HostConfig) -> HostConfig,
    ) -> Rig {
        let mut world = World::new(seed);
        let ordinary = HostConfig::new(width).with_firmware(standard(Settings::new(MAC)));
        let number = world.add_host(host(ordinary)).unwrap();
        world.connect(number, number, wire);
        let world = Rc::new(RefCell::new(world));
        let function = HostFunction::open(&world, number).unwrap();
        let nic = Ena::open(function, config).unwrap();
        Rig { world, nic, rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    pub fn now(&self) -> Duration {
        self.nic.function().now()
    }

    /// Fails if the card broke a rule of PCI Express or of the IOMMU.
    pub fn assert_clean(&self) {
        self.world.borrow().assert_clean();
    }
}

/// What is sent, and how much of it at once.
#[derive(Clone, Debug)]
pub struct Traffic {
    pub frames: usize,
    /// Bytes of a frame, drawn at random
    pub lengths: std::ops::RangeInclusive<usize>,
    /// or, as long as there are any, one after the other.
    pub in_turn: Vec<usize>,
    pub max_segments: usize,
    /// The most frames and bytes in flight. Beyond what rings and buffers hold, frames are lost.
    pub window: (usize, usize),
}

impl Default for Traffic {
    fn default() -> Self {
        Traffic {
            frames: 200,
            lengths: 1..=9216,
            in_turn: vec![],
            max_segments: 8,
            window: (12, 20_000),
        }
    }
}

/// The memory of packets in flight. After completion it is overwritten, so that a late read is
/// detected.
struct Pool {
    memory: DmaBuf<HostMemory>,
    free: Vec<u64>,
}

/// Bytes for the longest frame, in pieces and with gaps.
const SLOT: usize = 12_288;

impl Pool {
    fn new(function: &HostFunction, slots: usize) -> Pool {
        let memory = function.alloc_dma(slots * SLOT, 4096).unwrap();
        Pool { memory, free: (0..slots as u64).collect() }
    }

    /// Puts a frame into a slot, in pieces at any address.
    fn place(&mut self, slot: u64, frame: &[u8], most: usize, rng: &mut impl Rng) -> Vec<Segment> {
        if frame.is_empty() {
            return Vec::new();
        }
        let count = rng.random_range(1..=most.min(frame.len()));
        let mut ends: Vec<usize> =
            (1..count).map(|_| rng.random_range(1..=frame.len())).chain([frame.len()]).collect();
        ends.sort_unstable();
        ends.dedup();
        let mut at = slot as usize * SLOT + rng.random_range(0..64);
        let mut begin = 0;
        let mut segments = Vec::new();
        for end in ends {
            let piece = &frame[begin..end];
            self.memory.as_mut_slice()[at..at + piece.len()].copy_from_slice(piece);
            segments.push(Segment { iova: self.memory.iova() + at as u64, len: piece.len() });
            at += piece.len() + rng.random_range(0..64);
            begin = end;
        }
        segments
    }

    fn give_back(&mut self, slot: u64) {
        self.memory.as_mut_slice()[slot as usize * SLOT..][..SLOT].fill(0xee);
        self.free.push(slot);
    }
}

/// The outcome of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub sent: usize,
    pub received: usize,
    /// Receive buffers used.
    pub buffers: u64,
    pub interrupts: usize,
}

/// Sends traffic and checks what comes back: each frame of a flow in the order it was sent, byte for byte, padded to 60 bytes, all
/// frames of a flow on the same queue. A frame may only be missing if `lossy`. Ends when all is sent, received or given up, and completed.
pub fn run(rig: &mut Rig, traffic: &Traffic, lossy: bool) -> Outcome {
    let queues = rig.nic.pairs().len();
    let polling = rig.nic.config().mode == Mode::Polling;
    let mut pool = Pool::new(rig.nic.function(), 2 * traffic.window.0 + queues);
    let mut frames = Frames::new(rig.rng.random());
    // The frames in flight of each flow.
    let mut under_way: HashMap<usize, VecDeque<Vec<u8>>> = HashMap::new();
    let mut home: HashMap<usize, usize> = HashMap::new();
    let mut out = Outcome::default();
    let (mut missing, mut missing_bytes) = (0usize, 0usize);
    let mut awake = vec![true; queues];
    let mut last = rig.now();
    let before = rig.nic.pairs().iter().map(|pair| pair.rx.stats().buffers).sum::<u64>();
    let mut next: Option<frames::Frame> = None;
    loop {
        // Sends as many frames as the window and the rings take.
        loop {
            let frame = match next.take() {
                Some(frame) => frame,
                None if out.sent < traffic.frames => {
                    let random = rig.rng.random_range(traffic.lengths.clone());
                    frames.make(traffic.in_turn.get(out.sent).copied().unwrap_or(random))
                }
                None => break,
            };
            let len = frame.bytes.len();
            let fits = missing < traffic.window.0
                && (missing == 0 || missing_bytes + len <= traffic.window.1);
            let slot = pool.free.last().copied().filter(|_| fits);
            let Some(slot) = slot else {
                next = Some(frame);
                break;
            };
            // Pushes as much into the card as it takes, nothing, or something in between.
            let most = rig.nic.pair(frame.flow % queues).tx.max_push().min(len);
            let push = match most {
                0 => 0,
                most if rig.rng.random_bool(0.5) => most,
                most => rig.rng.random_range(0..=most),
            };
            let (head, rest) = frame.bytes.split_at(push);
            let segments = pool.place(slot, rest, traffic.max_segments, &mut rig.rng);
            let tx = &mut rig.nic.pair(frame.flow % queues).tx;
            if tx.send_pushed(head, &segments, &Offload::default(), slot).is_err() {
                next = Some(frame);
                break;
            }
            pool.free.pop();
            out.sent += 1;
            missing += 1;
            missing_bytes += len;
            let mut expected = frame.bytes;
            expected.resize(len.max(60), 0);
            under_way.entry(frame.flow).or_default().push_back(expected);
            // Sometimes one doorbell covers several packets.
            if rig.rng.random_bool(0.5) {
                tx.flush();
            }
        }
        for q in 0..queues {
            rig.nic.pair(q).tx.flush();
        }

        let fired = rig.nic.wait(MOMENT);
        let mut got = false;
        for (q, awake) in awake.iter_mut().enumerate() {
            let pair = rig.nic.pair(q);
            let interrupted = pair.vector().is_some_and(|vector| fired.contains(vector));
            out.interrupts += usize::from(interrupted);
            *awake |= interrupted || polling;
            if !*awake {
                continue;
            }
            pair.tx.reap(usize::MAX, |sent| pool.give_back(sent.token)).unwrap();
            // Sometimes the host is slow.
            if rig.rng.random_bool(0.2) {
                continue;
            }
            while let Some(bytes) =
                rig.nic.pair(q).rx.receive().unwrap().map(|frame| frame.to_vec())
            {
                let flow = frames::flow_of(&bytes);
                assert_eq!(*home.entry(flow).or_insert(q), q, "flow {flow} changed its queue");
                let waiting = under_way.entry(flow).or_default();
                let at = waiting.iter().position(|wanted| *wanted == bytes);
                let Some(at) = at.filter(|&at| lossy || at == 0) else {
                    let front = waiting.front().map(|wanted| {
                        let differs = wanted.iter().zip(&bytes).position(|(a, b)| a != b);
                        format!("{} bytes, different from byte {differs:?} on", wanted.len())
                    });
                    panic!("flow {flow}: a frame of {} bytes, sent as number {at:?} of those missing, not {front:?}; {:?}", bytes.len(), rig.nic.card_stats(),);
                };
                for gone in waiting.drain(..=at) {
                    missing -= 1;
                    missing_bytes -= gone.len().min(missing_bytes);
                }
                out.received += 1;
                got = true;
            }
            let pair = rig.nic.pair(q);
            pair.rx.refill();
            if !polling {
                pair.unmask();
                *awake = false;
            }
        }
        let now = rig.now();
        if got {
            last = now;
        }
        let idle = rig.nic.pairs().iter().all(|pair| pair.tx.oldest().is_none());
        if out.sent == traffic.frames && idle && missing == 0 {
            break;
        }
        if now - last > PATIENCE {
            assert!(lossy, "{missing} frames are missing, {} sent", out.sent);
            assert!(idle, "packets do not complete");
            under_way.clear();
            (missing, missing_bytes) = (0, 0);
            if out.sent == traffic.frames {
                break;
            }
            last = now;
        }
    }
    let after = rig.nic.pairs().iter().map(|pair| pair.rx.stats().buffers).sum::<u64>();
    out.buffers = after - before;
    assert!(home.len() <= FLOWS + 1);
    out
}
