//! The thread that owns the cards. Guests send it requests through a channel. It carries these out
//! in order, runs the cards, and passes interrupts and frames on.
//!
//! A card's time is not that of the guest: no simulation is as fast as the card. The card's clock
//! runs
//!
//! - while packets are in flight, and afterwards for as long as something may be delayed on purpose
//!   (moderated interrupts),
//! - from the write of a control register until the card is quiet again, with the guest waiting,
//!
//! and otherwise it is stopped: no register of the card changes, and no timer in it advances. The
//! clock of the firmware is separate: once a second it is put forward by the time that has passed
//! on the wall clock, and the firmware is woken. So the guest sees a keep-alive each second,
//! however slow the simulation is, and a quiet card costs only the work of its firmware in that
//! moment.
//!
//! Doorbells are posted: the guest continues while the card works, as on a machine.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{
    channel, sync_channel, Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError,
};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nitor_abi::bar::{self, DevCtl, Interrupt, ResetReason};
use nitor_abi::mgmt::Counter;
use nitor_sim::checker::Rule;
use nitor_sim::completer::Latency;
use nitor_sim::firmware::standard;
use nitor_sim::iommu::Permission;
use nitor_sim::tlp::{self, Header};
use nitor_sim::wire::WireConfig;
use nitor_sim::CardSpec;
use nitor_sim::{HostConfig, World, CYCLE_NS};

use nix::time::{clock_gettime, ClockId};

use crate::device::{Counts, Device};
use crate::peer::{Peer, PeerStats};
use crate::record::Recorder;
use crate::server::{Backend, Service};
use crate::tap::Tap;
use crate::trace::{Cause, Head, Writer};

/// The options of a machine.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub card: &'static CardSpec,
    /// The number of guests: 1, whose wire leads to a [`Peer`], or 2, whose cards one wire joins.
    pub guests: usize,
    /// Whether two guests each have a wire and a [`Peer`] of their own.
    pub apart: bool,
    pub seed: u64,
    /// About how many cycles a read of the guest's memory takes; 0 is the default.
    pub latency: u64,
    /// The file for a capture of the wire.
    pub pcap: Option<PathBuf>,
    /// The file for waves of the first guest's card, and for how many cycles.
    pub waves: Option<(PathBuf, u64)>,
    /// The file for a trace of the first guest's card, which must be the only one; and a
    /// description of the session.
    pub record: Option<(PathBuf, String)>,
    /// Polled while the cards are made: whether to stop.
    pub stopped: Option<fn() -> bool>,
}

/// A request of a guest, or of the program that runs the machine.
#[derive(Debug)]
pub enum Ask {
    Read {
        region: u32,
        offset: u64,
        len: usize,
    },
    Write {
        region: u32,
        offset: u64,
        bytes: Vec<u8>,
    },
    Map {
        iova: u64,
        len: u64,
        file: File,
        offset: u64,
        permission: Permission,
    },
    Unmap {
        iova: u64,
        len: u64,
    },
    Listen {
        start: u32,
        count: u32,
        files: Vec<File>,
    },
    Reset,
    /// The guest has disconnected.
    Gone,
    /// Plugs the guest's wire in or pulls it.
    Link(bool),
    /// Sends the card any TLP.
    Tlp([u32; 4], Vec<u8>),
    /// Hangs the card's firmware until the driver resets the card.
    Hang,
    /// Reads the counters of the card.
    Counters(SyncSender<Vec<(Counter, u64)>>),
    /// Returns a summary so far.
    Summary(SyncSender<Summary>),
    Stop,
}

pub(crate) type Answer = io::Result<Vec<u8>>;

pub(crate) struct Message {
    pub guest: usize,
    pub ask: Ask,
    pub answer: Option<SyncSender<Answer>>,
}

/// What happened so far.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub cycles: u64,
    /// The time in which the cards had work, and the processor time that it took.
    pub busy: Duration,
    pub processor: Duration,
    pub guests: Vec<GuestSummary>,
    /// The counts of the first guest's peer.
    pub peer: PeerStats,
    /// Violations that the root complexes found, except for accesses to memory that is not mapped.
    pub violations: Vec<String>,
}

/// The part of the summary about one guest's card.
#[derive(Clone, Debug, Default)]
pub struct GuestSummary {
    pub counts: Counts,
    pub frames_out: u64,
    pub frames_in: u64,
    /// Accesses to memory that the guest has not mapped for the card.
    pub denied: u64,
    pub reads_outstanding: usize,
    /// The number of error messages of the card: correctable, non-fatal, fatal.
    pub errors: [u64; 3],
    /// The first of the accesses that were denied.
    pub refused: Vec<String>,
    /// Resets of the card by its driver that were not requested: when, and the driver's reason.
    pub resets: Vec<String>,
}

/// See the module. Dropping this ends the thread of the cards; the guests must have disconnected by
/// then.
pub struct Machine {
    asks: Sender<Message>,
    services: Vec<Service>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Machine {
    /// Makes the cards and serves guest `n` at the socket `guest<n>` in folder `sockets`.
    pub fn start(options: &Options, sockets: &Path) -> io::Result<Self> {
        let (asks, inbox) = channel();
        let (ready, made) = sync_channel(1);
        let own = options.clone();
        let guests = options.guests;
        let thread = thread::Builder::new().name("cards".into()).spawn(move || {
            let mut cards = Cards::new(&own, inbox)?;
            let shapes = cards.devices.iter().map(|d| (d.bars(&cards.world), d.vectors()));
            let _ = ready.send(shapes.collect::<Vec<_>>());
            cards.run()
        })?;
        let mut machine = Machine { asks, services: Vec::new(), thread: Some(thread) };
        let shapes = loop {
            match made.recv_timeout(Duration::from_millis(100)) {
                Ok(shapes) => break shapes,
                Err(RecvTimeoutError::Timeout) => {
                    if options.stopped.is_some_and(|stopped| stopped()) {
                        machine.finish()?;
                        return Err(io::ErrorKind::Interrupted.into());
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(machine.finish().err().unwrap_or(io::ErrorKind::BrokenPipe.into()));
                }
            }
        };
        debug_assert_eq!(shapes.len(), guests);
        for (guest, (bars, vectors)) in shapes.into_iter().enumerate() {
            let posted = options.record.is_none();
            let backend = Backend { guest, asks: machine.asks.clone(), posted };
            let service = Service::start(&socket(sockets, guest), backend, bars, vectors);
            machine.services.push(service.map_err(io::Error::other)?);
        }
        Ok(machine)
    }

    fn post(&self, guest: usize, ask: Ask) -> io::Result<()> {
        let message = Message { guest, ask, answer: None };
        self.asks.send(message).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Sends a request on behalf of `guest`, and does not wait for it.
    pub fn tell(&self, guest: usize, ask: Ask) -> io::Result<()> {
        self.post(guest, ask)
    }

    /// What happened so far.
    pub fn summary(&self) -> io::Result<Summary> {
        let (to, from) = sync_channel(1);
        self.post(0, Ask::Summary(to))?;
        from.recv().map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// The counters of `guest`'s card; none if its firmware hangs.
    pub fn counters(&self, guest: usize) -> io::Result<Vec<(Counter, u64)>> {
        let (to, from) = sync_channel(1);
        self.post(guest, Ask::Counters(to))?;
        from.recv().map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Ends the thread of the cards. Returns the first error with the files it wrote.
    pub fn finish(&mut self) -> io::Result<()> {
        self.services.clear();
        let _ = self.post(0, Ask::Stop);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the cards' thread panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // A drop cannot report an error. A caller that wants it calls `finish`.
        let _ = self.finish();
    }
}

/// The socket of `guest`.
pub fn socket(folder: &Path, guest: usize) -> PathBuf {
    folder.join(format!("guest{guest}"))
}

/// A card is quiet after this many cycles without activity: more than the longest frame takes,
/// which is seen when it ends.
pub(crate) const QUIET: u64 = 768;
/// The same for a card without packets, whose firmware answers within a few cycles.
const BRIEF: u64 = 128;
/// The most cycles that a guest waits for a quiet card.
const PATIENCE: u64 = 400_000;
/// Cycles that a read of memory takes: few, since each one is simulated.
const LATENCY: u64 = 80;
/// Cycles between two polls of the requests.
const SLICE: u64 = 128;
/// Cycles for which a card that has carried packets runs on, besides interrupt delays: more than a
/// frame waits for a descriptor and a vector for its turn.
const LINGER: u64 = 8_192;
/// How often the firmware's clock is put forward.
const TICK: Duration = Duration::from_secs(1);
/// The length of the card's microsecond in the guest, for interrupt delays.
const DELAY_RESOLUTION_US: u16 = 16;
/// Cycles that the firmware may take until it has read its counters.
const COUNTING: u64 = 100_000;

/// The processor time of this thread so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from);
    time.unwrap_or_default()
}

struct Cards {
    world: World,
    taps: Vec<Tap>,
    devices: Vec<Device>,
    /// The peers of the guests that have one.
    peers: Vec<Peer>,
    recorder: Option<Recorder>,
    /// Frames from the peer that wait until the card is quiet, while a trace is recorded.
    waiting: VecDeque<Vec<u8>>,
    inbox: Receiver<Message>,
    started: Instant,
    /// When the firmware's clock was last put forward.
    ticked: Instant,
    busy: Duration,
    /// By guest, the longest interrupt delay that it has asked for since the last reset of its
    /// card, in cycles.
    delays: Vec<u64>,
    /// The cycle until which the cards run although they are quiet.
    awake: u64,
    /// By guest: whether the firmware hangs on request, so that a reset is expected.
    hung: Vec<bool>,
    /// By guest: see [`GuestSummary::resets`].
    resets: Vec<Vec<String>>,
    stopping: bool,
}

/// Locally administered address of guest `n`'s card.
fn mac(n: usize) -> [u8; 6] {
    [0x02, 0x4e, 0x49, 0x54, 0x01, n as u8]
}

/// The cards and their wires.
pub(crate) fn world(options: &Options) -> io::Result<(World, Vec<Tap>)> {
    let mut taps = Vec::new();
    let mut world = World::new(options.seed);
    for guest in 0..options.guests {
        let settings = nitor_fw::Settings {
            // The card's time is a fraction of the guest's.
            delay_resolution_us: DELAY_RESOLUTION_US,
            ..nitor_fw::Settings::new(mac(guest))
        };
        let tap = Tap::default();
        taps.push(tap.clone());
        let firmware = tap.on(standard(settings));
        let waves = guest == 0 && options.waves.is_some();
        let mut config = HostConfig::of(options.card).with_firmware(firmware).with_waves(waves);
        let latency = if options.latency == 0 { LATENCY } else { options.latency };
        config.root.completer.latency = Latency::around(latency);
        config.root.completer.split = 0.0;
        config.firmware_gap = 2;
        world.add_host(config)?;
    }
    if options.guests == 1 || options.apart {
        for guest in 0..options.guests {
            world.connect_outside(guest, WireConfig::default());
        }
    } else {
        world.connect(0, 1, WireConfig::default());
    }
    if let Some(path) = &options.pcap {
        world.start_capture(Box::new(io::BufWriter::new(File::create(path)?)))?;
    }
    if let Some((path, cycles)) = &options.waves {
        world.add_waves(0, path, 0..*cycles);
    }
    Ok((world, taps))
}

impl Cards {
    fn new(options: &Options, inbox: Receiver<Message>) -> io::Result<Self> {
        let (mut world, taps) = world(options)?;
        let devices = (0..options.guests)
            .map(|guest| Device::new(&mut world, guest).map_err(io::Error::other));
        let devices = devices.collect::<io::Result<_>>()?;
        let alone = options.guests == 1 || options.apart;
        let peers = (0..options.guests).filter(|_| alone).map(|_| Peer::new()).collect();
        let recorder = match &options.record {
            None => None,
            Some((path, about)) => {
                let head = Head {
                    card: options.card.name.into(),
                    seed: options.seed,
                    about: about.clone(),
                };
                Some(Recorder::new(Writer::create(path, &head)?, &mut world))
            }
        };
        Ok(Cards {
            world,
            taps,
            devices,
            peers,
            recorder,
            waiting: VecDeque::new(),
            inbox,
            started: Instant::now(),
            ticked: Instant::now(),
            busy: Duration::ZERO,
            delays: vec![0; options.guests],
            awake: 0,
            hung: vec![false; options.guests],
            resets: vec![Vec::new(); options.guests],
            stopping: false,
        })
    }

    fn run(&mut self) -> io::Result<()> {
        while !self.stopping {
            let left = TICK.saturating_sub(self.ticked.elapsed());
            let message = if left.is_zero() {
                self.tick();
                continue;
            } else if self.world.now() < self.awake {
                match self.inbox.try_recv() {
                    Ok(message) => Some(message),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => break,
                }
            } else {
                let now = self.started.elapsed();
                let peer = self.peers.iter_mut().filter_map(|peer| peer.next(now)).min();
                match self.inbox.recv_timeout(peer.map_or(left, |peer| peer.min(left))) {
                    Ok(message) => Some(message),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            };
            let begin = Instant::now();
            match message {
                Some(Message { guest, ask, answer }) => {
                    let result = self.serve(guest, ask);
                    if let Some(answer) = answer {
                        let _ = answer.send(result);
                    }
                }
                None => {
                    self.advance(SLICE);
                    self.send_waiting();
                }
            }
            self.busy += begin.elapsed();
        }
        self.world.finish_capture()?;
        self.recorder.take().map_or(Ok(()), Recorder::finish)
    }

    /// Puts the firmware's clock forward by the time on the wall clock, and lets the firmware do
    /// what is due.
    fn tick(&mut self) {
        let now = Instant::now();
        let passed = now - std::mem::replace(&mut self.ticked, now);
        let microseconds = passed.as_micros() as u64;
        self.begin(|| Cause::Tick(microseconds));
        for (guest, tap) in self.taps.iter().enumerate() {
            tap.forward(microseconds);
            self.world.host_mut(guest).wake_firmware();
        }
        if self.is_idle() || self.recorder.is_some() {
            self.settle_firmware();
            self.send_waiting();
        }
        self.busy += now.elapsed();
    }

    /// Whether the cards' clock stands still until the next request.
    fn is_idle(&self) -> bool {
        self.awake <= self.world.now()
    }

    /// Runs the cards for `cycles`, and passes on their interrupts and frames.
    fn advance(&mut self, cycles: u64) {
        self.world.step(cycles);
        if let Some(recorder) = &mut self.recorder {
            recorder.look(&mut self.world);
        }
        for device in &mut self.devices {
            device.deliver(&mut self.world, |_| {});
        }
        for (guest, frame) in self.world.take_outside() {
            if let Some(recorder) = &mut self.recorder {
                recorder.frame(&frame);
            }
            self.peers[guest].receive(frame);
        }
        let linger = self.linger();
        for (guest, peer) in self.peers.iter_mut().enumerate() {
            peer.poll(self.started.elapsed());
            while let Some(frame) = peer.next_frame() {
                if self.recorder.is_some() {
                    self.waiting.push_back(frame);
                } else {
                    self.world.send_in(guest, &frame);
                }
                self.awake = self.awake.max(self.world.now() + linger);
            }
        }
        // Activity of a card that is not awake is that of the firmware: it involves no packet, and
        // so nothing delayed.
        if !self.is_idle() && self.world.active() + QUIET > self.world.now() {
            self.stay_awake();
        }
    }

    fn linger(&self) -> u64 {
        LINGER + self.delays.iter().max().unwrap_or(&0)
    }

    /// Keeps the cards awake: packets may be in flight.
    fn stay_awake(&mut self) {
        self.awake = self.awake.max(self.world.now() + self.linger());
    }

    /// Runs the cards until they are quiet.
    fn settle(&mut self) {
        self.settle_for(QUIET);
    }

    /// Runs the cards until the firmware is done. The cards have no packets unless they are awake.
    fn settle_firmware(&mut self) {
        self.settle_for(if self.recorder.is_some() { QUIET } else { BRIEF });
    }

    fn settle_for(&mut self, quiet: u64) {
        let begin = self.world.now();
        while self.world.now() < begin + PATIENCE
            && self.world.now() < self.world.active().max(begin) + quiet
        {
            self.advance(SLICE / 4);
        }
    }

    /// Sends the waiting frames of the peer while a trace is recorded: one at a time, each when the
    /// card is quiet.
    fn send_waiting(&mut self) {
        while let Some(frame) = self.waiting.pop_front() {
            self.settle();
            self.begin(|| Cause::Frame(frame.clone()));
            self.world.send_in(0, &frame);
            self.settle();
        }
    }

    /// Notes in the trace what is about to be done to the card.
    fn begin(&mut self, cause: impl FnOnce() -> Cause) {
        if let Some(recorder) = &mut self.recorder {
            recorder.look(&mut self.world);
            recorder.begin(cause());
        }
    }

    /// Notes in the trace the part of `ask` that belongs there.
    fn note(&mut self, ask: &Ask) {
        match ask {
            Ask::Write { region: 7, offset, bytes } => {
                self.begin(|| Cause::Config { offset: *offset, bytes: bytes.clone() })
            }
            Ask::Write { region, offset, bytes } => self.begin(|| Cause::Write {
                region: *region,
                offset: *offset,
                bytes: bytes.clone(),
            }),
            Ask::Read { region, offset, len } if *region != 7 => {
                self.begin(|| Cause::Read { region: *region, offset: *offset, len: *len as u32 })
            }
            Ask::Map { iova, len, permission, .. } => self.begin(|| Cause::Map {
                iova: *iova,
                len: *len,
                read: *permission != Permission::Write,
                write: *permission != Permission::Read,
            }),
            Ask::Unmap { iova, len } => self.begin(|| Cause::Unmap { iova: *iova, len: *len }),
            Ask::Gone => self.begin(|| Cause::Unmap { iova: 0, len: u64::MAX }),
            Ask::Link(up) => self.begin(|| Cause::Link(*up)),
            Ask::Reset => self.begin(|| Cause::Reset),
            _ => {}
        }
    }

    fn serve(&mut self, guest: usize, ask: Ask) -> Answer {
        self.note(&ask);
        let answer = self.obey(guest, ask);
        if self.recorder.is_some() {
            self.settle();
            self.send_waiting();
        }
        answer
    }

    fn obey(&mut self, guest: usize, ask: Ask) -> Answer {
        let (world, device) = (&mut self.world, &mut self.devices[guest]);
        match ask {
            Ask::Read { region, offset, len } => {
                let mut bytes = vec![0; len];
                match region {
                    7 => device.config_read(world, offset, &mut bytes),
                    _ => device.bar_read(world, region, offset, &mut bytes),
                }
                return Ok(bytes);
            }
            Ask::Write { region: 7, offset, bytes } => {
                device.config_write(world, offset, &bytes);
                self.settle();
            }
            Ask::Write { region, offset, bytes } => {
                device.bar_write(world, region, offset, &bytes);
                self.written(guest, region, offset, &bytes);
            }
            Ask::Map { iova, len, file, offset, permission } => {
                device.map(world, (iova, len), (&file, offset), permission)?;
            }
            Ask::Unmap { iova, len } => device.unmap(world, iova, len),
            Ask::Listen { start, count, files } => device.listen(start, count, files),
            Ask::Reset => {
                device.reset(world).map_err(io::Error::other)?;
                self.settle();
            }
            Ask::Gone => device.gone(world),
            Ask::Link(up) => {
                if let Some(wire) = world.wire_of(guest) {
                    world.set_link(wire, up);
                }
                self.settle();
            }
            Ask::Tlp(header, payload) => {
                let now = world.now();
                world.host_mut(guest).root.post_raw(now, Header(header), &payload);
                self.settle();
            }
            Ask::Hang => {
                world.host_mut(guest).hang_firmware(true);
                self.hung[guest] = true;
            }
            Ask::Counters(to) => {
                let _ = to.send(self.counters(guest));
            }
            Ask::Summary(to) => {
                let _ = to.send(self.summary());
            }
            Ask::Stop => self.stopping = true,
        }
        Ok(Vec::new())
    }

    /// Runs the cards after a guest's write to a register.
    fn written(&mut self, guest: usize, region: u32, offset: u64, bytes: &[u8]) {
        let word = (u32::try_from(offset), bytes.try_into().map(u32::from_le_bytes));
        let (Ok(offset), Ok(value), 0) = (word.0, word.1, region) else {
            return self.stay_awake();
        };
        match offset {
            // This is the vector of the firmware, which has no delay and no packets.
            bar::INTERRUPTS | bar::AENQ_HEAD_DB if self.is_idle() => self.settle_firmware(),
            bar::INTERRUPTS..=bar::INTERRUPT_NONE => {
                let delays = Interrupt::from(value);
                if !delays.keep_delays {
                    let longest = u64::from(delays.rx_delay.max(delays.tx_delay)) + 1;
                    let cycles = longest * 1000 / CYCLE_NS;
                    self.delays[guest] = self.delays[guest].max(cycles);
                }
                self.stay_awake();
            }
            bar::TX_DOORBELLS..bar::INTERRUPTS => self.stay_awake(),
            bar::DEV_CTL => {
                let control = DevCtl::from(value);
                if control.dev_reset {
                    self.reset_by_driver(guest, control.reset_reason);
                }
                self.settle();
            }
            _ => self.settle(),
        }
    }

    /// Handles a driver's reset of its card: drivers reset it when they begin and end, or because
    /// something is wrong.
    fn reset_by_driver(&mut self, guest: usize, reason: u8) {
        self.world.host_mut(guest).hang_firmware(false);
        self.delays[guest] = 0;
        let asked = std::mem::take(&mut self.hung[guest]);
        let queues = self.world.host(guest).root.monitor.queues();
        if let Some(why) = distress(reason, queues).filter(|_| !asked) {
            let after = self.started.elapsed().as_secs_f64();
            self.resets[guest].push(format!("after {after:.1} s: {why}"));
        }
    }

    fn counters(&mut self, guest: usize) -> Vec<(Counter, u64)> {
        self.taps[guest].ask();
        self.world.host_mut(guest).wake_firmware();
        let end = self.world.now() + COUNTING;
        while self.world.now() < end && self.taps[guest].waits() {
            self.advance(SLICE);
        }
        self.taps[guest].take()
    }

    fn summary(&self) -> Summary {
        let violations = |guest: usize, unmapped: bool| {
            let of = self.world.violations().filter(move |(host, _)| *host == guest);
            of.filter(move |(_, violation)| (violation.rule == Rule::Unmapped) == unmapped)
                .map(|(host, violation)| format!("card {host}: {violation:?}"))
        };
        let guest = |(number, device): (usize, &Device)| {
            let root = &self.world.host(number).root;
            GuestSummary {
                counts: device.counts,
                frames_out: root.stats.frames_out,
                frames_in: root.stats.frames_in,
                denied: root.stats.iommu_read_faults + root.stats.iommu_write_faults,
                reads_outstanding: root.reads_outstanding(),
                errors: [tlp::Message::Correctable, tlp::Message::NonFatal, tlp::Message::Fatal]
                    .map(|kind| {
                        root.errors.iter().filter(|error| error.error == kind).count() as u64
                    }),
                refused: violations(number, true).collect(),
                resets: self.resets[number].clone(),
            }
        };
        Summary {
            cycles: self.world.now(),
            busy: self.busy,
            processor: processor_time(),
            guests: self.devices.iter().enumerate().map(guest).collect(),
            peer: self.peers.first().map(|peer| peer.stats).unwrap_or_default(),
            violations: (0..self.devices.len()).flat_map(|host| violations(host, false)).collect(),
        }
    }
}

/// The complaint in a driver's reason for a reset; none if the driver begins, ends, or was asked to
/// reset.
fn distress(reason: u8, queues: usize) -> Option<&'static str> {
    const NORMAL: u8 = ResetReason::Normal as u8;
    const KEEP_ALIVE: u8 = ResetReason::KeepAliveTimeout as u8;
    const ADMIN: u8 = ResetReason::AdminTimeout as u8;
    const MISSING_TX: u8 = ResetReason::MissingTxCompletion as u8;
    const RX_ID: u8 = ResetReason::InvalidRxReqId as u8;
    const TX_ID: u8 = ResetReason::InvalidTxReqId as u8;
    const RX_DESCS: u8 = ResetReason::TooManyRxDescs as u8;
    const INIT: u8 = ResetReason::InitError as u8;
    const STATE: u8 = ResetReason::DriverInvalidState as u8;
    const NETDEV: u8 = ResetReason::OsNetdevWatchdog as u8;
    const INTERRUPT: u8 = ResetReason::MissInterrupt as u8;
    const FIRST_INTERRUPT: u8 = ResetReason::MissFirstInterrupt as u8;
    const ADMIN_INTERRUPT: u8 = ResetReason::MissingAdminInterrupt as u8;
    const STARVATION: u8 = ResetReason::SuspectedPollStarvation as u8;
    const OS: u8 = ResetReason::OsTrigger as u8;
    const SHUTDOWN: u8 = ResetReason::Shutdown as u8;
    const USER: u8 = ResetReason::UserTrigger as u8;
    Some(match reason {
        NORMAL if queues == 0 => return None,
        OS | SHUTDOWN | USER => return None,
        // Older drivers truncate a reason of more than four bits, and no other driver resets a card
        // that works.
        NORMAL => "it gave no reason, and had queues",
        KEEP_ALIVE => "its watchdog missed the card's signs of life",
        ADMIN => "an admin command was not answered in time",
        MISSING_TX => "packets to send were not completed in time",
        RX_ID => "a received packet named a buffer that it had not posted",
        TX_ID => "a completion named a packet that it had not sent",
        RX_DESCS => "a received packet took too many buffers",
        INIT => "it failed while it started",
        STATE => "it found itself in a state that is none",
        NETDEV => "its kernel saw a send queue stand still",
        INTERRUPT | FIRST_INTERRUPT | ADMIN_INTERRUPT => "it missed an interrupt",
        STARVATION => "its kernel did not poll it",
        _ => "it found something wrong, which its reason does not tell",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_in_distress_is_told_from_one_that_starts_or_ends() {
        for reason in 0..=u8::MAX {
            let usual = [ResetReason::OsTrigger, ResetReason::Shutdown, ResetReason::UserTrigger];
            let usual = usual.map(|reason| reason as u8).contains(&reason);
            assert_eq!(distress(reason, 0).is_none(), usual || reason == 0, "{reason}");
            assert_eq!(distress(reason, 2).is_none(), usual, "{reason}");
        }
    }
}
