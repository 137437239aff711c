//! One host of the world: a card, the root complex that the card is plugged into, and the card's
//! firmware.

use std::io;

use crate::card::{flags, Card, RecordKind, ShimConfig, Stop, VerilatedCard};
use crate::firmware::{Controller, Firmware};
use crate::model::Features;
use crate::root::{RootComplex, RootConfig};
use nitor_hdl::cards::{CARD_128, CARD_512};
use nitor_hdl::CardSpec;

/// Random back-pressure and gaps on the card's streams: probabilities of a cycle without progress.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// TLPs to the card have gaps.
    pub rx_gap: f64,
    /// TLPs from the card are stalled.
    pub tx_stall: f64,
    /// Frames from the wire have gaps.
    pub mac_rx_gap: f64,
    /// Frames to the wire are stalled.
    pub mac_tx_stall: f64,
}

impl Pressure {
    /// The same probability for all four.
    pub fn all(probability: f64) -> Self {
        Pressure {
            rx_gap: probability,
            tx_stall: probability,
            mac_rx_gap: probability,
            mac_tx_stall: probability,
        }
    }
}

/// Flow-control credits that the root complex grants. `None` means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credits {
    pub posted_headers: Option<u8>,
    /// In 16-byte units. Fewer than the largest payload needs would block the card for ever.
    pub posted_data: Option<u16>,
    pub non_posted_headers: Option<u8>,
    /// Credits for completions. A root port has room for all completions it asked for. A switch in
    /// between may grant few, but enough for a whole completion.
    pub completion_headers: Option<u8>,
    pub completion_data: Option<u16>,
    /// Cycles until a TLP's credits are returned: at least and at most.
    pub delay: (u32, u32),
}

impl Default for Credits {
    /// About what a server's root port grants.
    fn default() -> Self {
        Credits {
            posted_headers: Some(64),
            posted_data: Some(1024),
            non_posted_headers: Some(64),
            completion_headers: None,
            completion_data: None,
            delay: (8, 24),
        }
    }
}

/// How a host is made.
pub struct HostConfig {
    pub card: &'static CardSpec,
    /// Optional abilities of the card's model.
    pub features: Features,
    pub root: RootConfig,
    pub pressure: Pressure,
    pub credits: Credits,
    /// Cycles by which the MAC may run ahead of the wire.
    pub mac_slack: u64,
    /// The firmware on the card's management bus.
    pub firmware: Option<Firmware>,
    /// Cycles that firmware takes between two accesses to the bus.
    pub firmware_gap: u64,
}

impl HostConfig {
    /// A host with card-128 or card-512, by the width of its data paths; everything else as usual.
    pub fn new(width: u32) -> Self {
        HostConfig::of(match width {
            128 => &CARD_128,
            512 => &CARD_512,
            _ => panic!("no card-{width}"),
        })
    }

    /// A host with the given card; everything else as usual.
    pub fn of(card: &'static CardSpec) -> Self {
        HostConfig {
            card,
            features: Features::default(),
            root: RootConfig::default(),
            pressure: Pressure::default(),
            credits: Credits::default(),
            mac_slack: 64,
            firmware: None,
            firmware_gap: 8,
        }
    }

    /// The same with `firmware`.
    pub fn with_firmware(self, firmware: Firmware) -> Self {
        HostConfig { firmware: Some(firmware), ..self }
    }

    /// The same with a card that can write waves, if `waves`.
    pub fn with_waves(mut self, waves: bool) -> Self {
        self.features.waves = waves;
        self
    }

    /// The configuration of the shim that drives the card's pins.
    pub fn shim(&self, seed: u64) -> ShimConfig {
        let chance = |probability: f64| {
            assert!(
                (0.0..1.0).contains(&probability),
                "a stall's probability is 0 or more, below 1"
            );
            (probability * 65536.0) as u32
        };
        let Credits { posted_headers, posted_data, non_posted_headers, delay, .. } = self.credits;
        let Credits { completion_headers, completion_data, .. } = self.credits;
        let largest = self.root.max_payload / 16;
        assert!(
            posted_data.is_none_or(|credits| u32::from(credits) >= largest)
                && posted_headers != Some(0)
                && non_posted_headers != Some(0)
                && completion_headers.is_none_or(|credits| (1..128).contains(&credits))
                && completion_data.is_none_or(|credits| (8..2048).contains(&credits)),
            "too few credits for a TLP of the largest payload, or more than PCI Express can grant"
        );
        ShimConfig {
            seed,
            rx_gap: chance(self.pressure.rx_gap),
            tx_stall: chance(self.pressure.tx_stall),
            mac_rx_gap: chance(self.pressure.mac_rx_gap),
            mac_tx_stall: chance(self.pressure.mac_tx_stall),
            mac_slack: self.mac_slack,
            posted_headers: posted_headers.map_or(0, u32::from),
            posted_data: posted_data.map_or(0, u32::from),
            non_posted_headers: non_posted_headers.map_or(0, u32::from),
            completion_headers: completion_headers.map_or(0, u32::from),
            completion_data: completion_data.map_or(0, u32::from),
            credit_delay_min: delay.0,
            credit_delay_max: delay.1,
        }
    }
}

/// Frames that left cards; `bytes` has the bytes of all of them.
#[derive(Debug, Default)]
pub(crate) struct Departures {
    pub frames: Vec<Departure>,
    pub bytes: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Departure {
    pub host: usize,
    /// The cycle in which the frame's last bit left the MAC.
    pub left: u64,
    pub error: bool,
    pub start: usize,
    pub len: usize,
}

/// See the module.
pub struct Host {
    pub root: RootComplex,
    pub(crate) card: Box<dyn Card>,
    controller: Option<Controller>,
    /// The end of the last window in which the card or its firmware was active.
    pub(crate) active: u64,
    /// Whether the card has begun to run in this window.
    begun: bool,
}

impl Host {
    pub(crate) fn new(config: HostConfig, seed: u64) -> io::Result<Self> {
        let card = VerilatedCard::new(config.card, config.features, &config.shim(seed));
        Self::with_card(Box::new(card?), config, seed)
    }

    pub(crate) fn with_card(
        mut card: Box<dyn Card>,
        config: HostConfig,
        seed: u64,
    ) -> io::Result<Self> {
        let controller = match config.firmware {
            Some(firmware) => Some(Controller::new(firmware, config.firmware_gap, card.as_mut())?),
            None => None,
        };
        Ok(Host {
            root: RootComplex::new(config.root, seed),
            card,
            controller,
            active: 0,
            begun: false,
        })
    }

    /// Halts the firmware at once, or lets it continue.
    pub fn hang_firmware(&mut self, hang: bool) {
        if let Some(controller) = &mut self.controller {
            controller.hang(hang);
        }
    }

    /// Wakes the firmware without an interrupt of the card.
    pub fn wake_firmware(&mut self) {
        if let Some(controller) = &mut self.controller {
            controller.wake();
        }
    }

    /// Starts to count the handshakes of the streams within the card.
    pub fn count_streams(&mut self) {
        self.card.count_streams();
    }

    /// The counts since [`Self::count_streams`]: for each stream of
    /// [nitor_hdl::common::probe::STREAMS] the cycles with neither `valid` nor `ready`, with
    /// `valid` alone, with `ready` alone, and with both.
    pub fn stream_counts(&self) -> Vec<[u64; 4]> {
        self.card.stream_counts().chunks_exact(4).map(|c| [c[0], c[1], c[2], c[3]]).collect()
    }

    /// How often each branch of the card's Verilog was taken; empty if the model does not count
    /// branches.
    pub fn coverage(&self) -> &[u32] {
        self.card.coverage()
    }

    /// Prepares the card to run until cycle `until`. Returns the card and the events at which it
    /// has to stop; none if the card has already reached `until`.
    pub(crate) fn begin(&mut self, until: u64) -> Option<(&mut dyn Card, Stop)> {
        self.root.flush(self.card.as_mut());
        self.begun = self.card.cycle() < until;
        if !self.begun {
            return None;
        }
        let stop = match &mut self.controller {
            Some(controller) => controller.begin(self.card.as_mut()),
            None => Stop::default(),
        };
        Some((self.card.as_mut(), stop))
    }

    /// Completes the window that ends at cycle `until`: runs the card and its firmware to its end
    /// and acts on what crossed the pins. Adds the frames that left the card to `departures`.
    pub(crate) fn finish(&mut self, number: usize, until: u64, departures: &mut Departures) {
        if let Some(controller) = &mut self.controller {
            controller.go_on(self.card.as_mut(), until, self.begun);
        }
        let (records, arena) = self.card.records();
        let mut busy = !records.is_empty();
        for record in records {
            let payload = &arena[record.offset as usize..][..record.len as usize];
            self.root.on_record(record, payload);
            if record.kind == RecordKind::FrameOut {
                let start = departures.bytes.len();
                departures.bytes.extend_from_slice(payload);
                departures.frames.push(Departure {
                    host: number,
                    left: record.cookie,
                    error: record.flags & flags::FRAME_ERROR != 0,
                    start,
                    len: payload.len(),
                });
            }
        }
        self.card.clear_records();
        self.root.expire(until);
        self.root.flush(self.card.as_mut());
        busy |= self.root.reads_outstanding() > 0;
        busy |= self.controller.as_ref().is_some_and(Controller::is_working);
        if busy {
            self.active = until;
        }
    }
}
