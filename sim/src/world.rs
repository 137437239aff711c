//! The world: hosts, the wires between their cards, and the one clock they all share.
//!
//! Time advances in windows of at most [`REACTION`] cycles. Within a window each card runs alone.
//! The root complex, software and the card at the far end of a wire react to it [`REACTION`] cycles
//! later at the earliest. So the length of a window changes no result.

use std::io::{self, Write};
use std::path::Path;

use crate::capture::Capture;
use crate::card::Card;
use crate::checker::Violation;
use crate::cores::Cores;
use crate::host::{Departure, Departures, Host, HostConfig};
use crate::requester::{Request, RequestError};
use crate::wire::{Fate, Wire, WireConfig};
use crate::REACTION;

/// A request for waves of one card.
struct Waves {
    host: usize,
    path: std::path::PathBuf,
    cycles: std::ops::Range<u64>,
    open: bool,
}

/// Stands for a host at the far end of a wire that leaves the simulation.
const OUTSIDE: usize = usize::MAX;

/// See the module.
pub struct World {
    seed: u64,
    now: u64,
    window: u64,
    pub(crate) hosts: Vec<Host>,
    wires: Vec<Wire>,
    /// Frames that left by wires to the outside, with the host they came from.
    outside: Vec<(usize, Vec<u8>)>,
    departures: Departures,
    capture: Option<Capture>,
    /// Frames for the capture. They wait here while earlier frames may still arrive.
    uncaptured: Vec<(u64, u32, Vec<u8>)>,
    waves: Vec<Waves>,
    /// The worker threads. The first step makes them.
    cores: Option<Cores>,
}

impl World {
    /// A world without hosts. Everything random in it comes from `seed`.
    pub fn new(seed: u64) -> Self {
        World {
            seed,
            now: 0,
            window: REACTION,
            hosts: Vec::new(),
            wires: Vec::new(),
            outside: Vec::new(),
            departures: Departures::default(),
            capture: None,
            uncaptured: Vec::new(),
            waves: Vec::new(),
            cores: None,
        }
    }

    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Sets the length of a window, 1 to [`REACTION`] cycles. It changes speed, never results.
    pub fn set_window(&mut self, cycles: u64) {
        assert!((1..=REACTION).contains(&cycles), "a window is 1 to {REACTION} cycles");
        self.window = cycles;
    }

    /// The seed of one part of the world: of hosts (`kind` 1) or wires (`kind` 2) by number.
    fn derive(&self, kind: u64, number: usize) -> u64 {
        let mut z = self.seed ^ (kind << 32 | number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Adds a host with a card, whose link is down until it is connected; returns its number.
    /// Hosts are added before time begins to pass.
    pub fn add_host(&mut self, config: HostConfig) -> io::Result<usize> {
        assert_eq!(self.now, 0, "hosts are there from the beginning");
        let seed = self.derive(1, self.hosts.len());
        self.hosts.push(Host::new(config, seed)?);
        Ok(self.hosts.len() - 1)
    }

    /// Adds a host with the caller's own card, which need not be an ENA device. The card settings
    /// in `config` are not used, and the monitor is off.
    pub fn add_host_with(&mut self, card: Box<dyn Card>, config: HostConfig) -> io::Result<usize> {
        assert_eq!(self.now, 0, "hosts are there from the beginning");
        let seed = self.derive(1, self.hosts.len());
        let mut host = Host::with_card(card, config, seed)?;
        host.root.monitor.switch_off();
        self.hosts.push(host);
        Ok(self.hosts.len() - 1)
    }

    /// Puts a wire between the cards of hosts `a` and `b`, which may be the same; returns its
    /// number. A card has one wire.
    pub fn connect(&mut self, a: usize, b: usize, config: WireConfig) -> usize {
        self.lay([a, b], config)
    }

    /// Puts a wire between the card of `host` and the outside. [`Self::take_outside`] gives the
    /// frames that the card sends, and [`Self::send_in`] sends frames to it.
    pub fn connect_outside(&mut self, host: usize, config: WireConfig) -> usize {
        self.lay([host, OUTSIDE], config)
    }

    fn lay(&mut self, ends: [usize; 2], config: WireConfig) -> usize {
        for host in ends.into_iter().filter(|&host| host != OUTSIDE) {
            assert!(self.wire_of(host).is_none(), "the card of host {host} has a wire");
            let card = &mut self.hosts[host].card;
            card.set_mac_rate(config.byte_time_q16());
            card.set_link(true);
        }
        let seed = self.derive(2, self.wires.len());
        self.wires.push(Wire::new(ends, config, seed));
        self.wires.len() - 1
    }

    /// Takes the frames that have arrived outside, with the host each came from.
    pub fn take_outside(&mut self) -> Vec<(usize, Vec<u8>)> {
        std::mem::take(&mut self.outside)
    }

    /// Sends `frame` from the outside to the card of `host`, whose wire leads there.
    pub fn send_in(&mut self, host: usize, frame: &[u8]) {
        let number = self.wires.iter().position(|wire| wire.ends == [host, OUTSIDE]);
        let number = number.expect("a wire from this card to the outside");
        let (wire, now) = (&mut self.wires[number], self.now);
        if self.capture.is_some() && wire.is_up() {
            self.uncaptured.push((now, number as u32 * 2 + 1, frame.to_vec()));
        }
        if let Fate::Arrives { at, damaged, .. } = wire.carry(OUTSIDE, now) {
            self.hosts[host].card.push_frame(at, frame, damaged, 0);
        }
    }

    /// The number of the wire at `host`'s card.
    pub fn wire_of(&self, host: usize) -> Option<usize> {
        self.wires.iter().position(|wire| wire.ends.contains(&host))
    }

    /// Plugs a wire in or pulls it. Frames in flight still arrive.
    pub fn set_link(&mut self, wire: usize, up: bool) {
        self.wires[wire].set_up(up);
        for host in self.wires[wire].ends.into_iter().filter(|&host| host != OUTSIDE) {
            self.hosts[host].card.set_link(up);
        }
    }

    /// Lets `frame` arrive at the card of `host` as if from its wire, `delay` cycles from now, with
    /// its error mark if it is `damaged`.
    pub fn inject(&mut self, host: usize, delay: u64, frame: &[u8], damaged: bool) {
        self.hosts[host].card.push_frame(self.now + delay, frame, damaged, 0);
    }

    pub fn wire(&self, wire: usize) -> &Wire {
        &self.wires[wire]
    }

    pub fn host(&self, host: usize) -> &Host {
        &self.hosts[host]
    }

    pub fn host_mut(&mut self, host: usize) -> &mut Host {
        &mut self.hosts[host]
    }

    pub fn hosts(&self) -> usize {
        self.hosts.len()
    }

    /// The cycle that runs next.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// The end of the last window in which any card or firmware was active: TLPs, frames, reads in
    /// flight, accesses to the management bus.
    pub fn active(&self) -> u64 {
        self.hosts.iter().map(|host| host.active).max().unwrap_or(0)
    }

    /// Runs the world for `cycles` cycles.
    pub fn step(&mut self, cycles: u64) {
        self.run_until(self.now + cycles);
    }

    /// Runs the world until cycle `end`, unless that is past.
    pub fn run_until(&mut self, end: u64) {
        while self.now < end {
            let mut until = end.min(self.now + self.window);
            until = self.tend_waves(until);
            let cards = self.hosts.len();
            let cores = self.cores.get_or_insert_with(|| Cores::for_cards(cards));
            cores.run(self.hosts.iter_mut().filter_map(|host| host.begin(until)), until);
            for (number, host) in self.hosts.iter_mut().enumerate() {
                host.finish(number, until, &mut self.departures);
            }
            self.now = until;
            self.carry_frames();
        }
    }

    fn carry_frames(&mut self) {
        let Departures { frames, bytes } = &mut self.departures;
        for Departure { host, left, error, start, len } in frames.drain(..) {
            let frame = &bytes[start..start + len];
            let number = self.wires.iter().position(|wire| wire.ends.contains(&host));
            let Some(number) = number else { continue };
            let wire = &mut self.wires[number];
            if self.capture.is_some() && wire.is_up() {
                let direction = u32::from(wire.ends[0] != host);
                self.uncaptured.push((left, number as u32 * 2 + direction, frame.to_vec()));
            }
            if let Fate::Arrives { to, at, damaged } = wire.carry(host, left) {
                if to == OUTSIDE {
                    if !error && !damaged {
                        self.outside.push((host, frame.to_vec()));
                    }
                    continue;
                }
                self.hosts[to].card.push_frame(at, frame, error || damaged, 0);
            }
        }
        bytes.clear();
        self.write_captured(self.now);
    }

    /// Writes the captured frames from before cycle `end`, in order of time.
    fn write_captured(&mut self, end: u64) {
        let Some(capture) = &mut self.capture else { return };
        if self.uncaptured.is_empty() {
            return;
        }
        self.uncaptured.sort_by_key(|&(left, interface, _)| (left, interface));
        let ready = self.uncaptured.partition_point(|&(left, ..)| left < end);
        for (left, interface, frame) in self.uncaptured.drain(..ready) {
            capture.frame(interface, left, &frame);
        }
    }

    /// Writes what all wires carry from now on to `out` as pcapng. Call this once all wires are
    /// connected. The interfaces are named `card0-to-card1` and so on.
    pub fn start_capture(&mut self, out: Box<dyn Write>) -> io::Result<()> {
        let name = |ends: [usize; 2]| {
            let [a, b] = ends.map(|end| match end {
                OUTSIDE => "outside".to_string(),
                host => format!("card{host}"),
            });
            [format!("{a}-to-{b}"), format!("{b}-to-{a}")]
        };
        let names: Vec<String> = self.wires.iter().flat_map(|wire| name(wire.ends)).collect();
        self.capture = Some(Capture::new(out, &names)?);
        Ok(())
    }

    /// Ends the capture and returns the first write error.
    pub fn finish_capture(&mut self) -> io::Result<()> {
        self.write_captured(u64::MAX);
        self.capture.take().map_or(Ok(()), Capture::finish)
    }

    /// Writes waves of the card of `host` to `path`, as FST, in these cycles. The card's model must
    /// have been made with [`Features::waves`](crate::model::Features::waves).
    pub fn add_waves(&mut self, host: usize, path: &Path, cycles: std::ops::Range<u64>) {
        self.waves.push(Waves { host, path: path.into(), cycles, open: false });
    }

    /// Opens and closes the files of waves that begin or end now. Returns the end of the window,
    /// which it cuts at the next such time.
    fn tend_waves(&mut self, mut until: u64) -> u64 {
        let now = self.now;
        for waves in &mut self.waves {
            let card = &mut self.hosts[waves.host].card;
            if !waves.open && waves.cycles.contains(&now) {
                waves.open = card.start_waves(&waves.path);
            }
            for edge in [waves.cycles.start, waves.cycles.end] {
                if edge > now {
                    until = until.min(edge);
                }
            }
            if waves.open && !waves.cycles.contains(&now) {
                card.stop_waves();
                waves.open = false;
            }
        }
        self.waves.retain(|waves| now < waves.cycles.end);
        until
    }

    /// Sends a request from host `host` to its card and lets time pass until software has the
    /// answer.
    pub fn request(&mut self, host: usize, request: &Request) -> Result<Vec<u8>, RequestError> {
        let id = self.hosts[host].root.submit(self.now, request)?;
        loop {
            if let Some(outcome) = self.hosts[host].root.take_outcome(id) {
                self.run_until(outcome.cycle + REACTION);
                return outcome.result;
            }
            self.step(self.window);
        }
    }

    /// Posts a write of `bytes` to `address` of the card of `host`.
    pub fn post_write(&mut self, host: usize, address: u64, bytes: &[u8]) {
        let now = self.now;
        self.hosts[host].root.post_write(now, address, bytes);
    }

    /// Runs the world until the host has a pending interrupt, for at most `cycles`. Returns whether
    /// it has one.
    pub fn wait_interrupt(&mut self, host: usize, cycles: u64) -> bool {
        let deadline = self.now.saturating_add(cycles);
        loop {
            if let Some(interrupt) = self.hosts[host].root.interrupts.first() {
                self.run_until(deadline.min(interrupt.cycle + REACTION));
                return true;
            }
            if self.now >= deadline {
                return false;
            }
            self.run_until(deadline.min(self.now + self.window));
        }
    }

    /// The violations of all cards so far, each with the number of its host.
    pub fn violations(&self) -> impl Iterator<Item = (usize, &Violation)> {
        self.hosts.iter().enumerate().flat_map(|(number, host)| {
            host.root.checker.violations().iter().map(move |violation| (number, violation))
        })
    }

    /// Panics with a list of all violations, if there are any.
    pub fn assert_clean(&self) {
        let list: Vec<_> = self
            .violations()
            .map(|(host, violation)| format!("host {host}, {violation:?}"))
            .collect();
        assert!(
            list.is_empty(),
            "seed {}: {} violations:\n{}",
            self.seed,
            list.len(),
            list.join("\n")
        );
    }
}

impl Drop for World {
    /// Ends the capture and the waves, so that they are readable after a test fails.
    fn drop(&mut self) {
        // A drop cannot report an error. A caller that wants it calls `finish_capture`.
        let _ = self.finish_capture();
        for host in &mut self.hosts {
            host.card.stop_waves();
        }
    }
}
