//! A card at the end of a cable, as the root complex and the firmware see it.

use std::path::Path;
use std::time::Duration;

use nitor_hdl::board::core as board;
use nitor_hdl::board::event;
use nitor_sim::card::{Card, MgmtAccess, Record, RecordKind, Stop};
use nitor_sim::tlp::Header;

use crate::cable::Cable;
use crate::session::{Message, Session, SessionStats};
use crate::Error;

/// A card is considered dead after this long without a frame.
const GONE: Duration = Duration::from_secs(20);

/// See the crate. The cycles of this card are polls of the cable: they give an order, not a time.
pub struct CabledCard {
    name: String,
    session: Session,
    now: u64,
    records: Vec<Record>,
    arena: Vec<u8>,
    reading: bool,
    done: Option<u32>,
    waits: u32,
}

impl CabledCard {
    /// Opens a session with the board at the other end of `cable`, which resets its card. `name` is
    /// the name of the cable, for messages.
    pub fn open(name: &str, cable: Box<dyn Cable>, patience: Duration) -> Result<Self, Error> {
        let failed = |error| Error::Link(name.to_string(), error);
        // The number must differ from that of the last session, of any host.
        let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let number = clock.map_or(1, |t| t.as_nanos() as u16 | 1);
        let session = Session::open(cable, number, patience)
            .map_err(failed)?
            .ok_or_else(|| Error::Silent(name.to_string()))?;
        let mut card = CabledCard {
            name: name.to_string(),
            session,
            now: 0,
            records: Vec::new(),
            arena: Vec::new(),
            reading: false,
            done: None,
            waits: 0,
        };
        match card.board_register(0)? {
            id if u64::from(id) == board::ID => Ok(card),
            id => Err(Error::NotNitor(name.to_string(), id)),
        }
    }

    pub fn stats(&self) -> SessionStats {
        self.session.stats
    }

    /// The core's clock in Hz.
    pub fn hertz(&mut self) -> Result<u64, Error> {
        Ok(u64::from(self.board_register(1)? & 0xffff) * 8000)
    }

    /// The board's counters, in the order of [event::NAMES].
    pub fn counters(&mut self) -> Result<Vec<u32>, Error> {
        (0..event::COUNT as u16).map(|n| self.board_register(32 + n)).collect()
    }

    /// Loops frames to the wire back within the board.
    pub fn loop_wire(&mut self, on: bool) -> Result<(), Error> {
        self.session.board_write(2, on.into());
        self.board_register(0).map(drop)
    }

    /// Reads a register of the board. Call this only while neither firmware nor driver runs.
    fn board_register(&mut self, number: u16) -> Result<u32, Error> {
        self.session.board_read(number);
        loop {
            let moved = self.session.poll().map_err(|e| Error::Link(self.name.clone(), e))?;
            if let Some(Message::Value(value)) = self.session.take() {
                return Ok(value);
            }
            if self.session.silence() > GONE {
                return Err(Error::Silent(self.name.clone()));
            }
            if !moved {
                std::thread::sleep(Duration::from_micros(50));
            }
        }
    }

    fn record(&mut self, kind: RecordKind, header: [u32; 4], payload: &[u8], cookie: u64) {
        self.records.push(Record {
            kind,
            flags: 0,
            first: self.now,
            last: self.now,
            cookie,
            header,
            offset: self.arena.len() as u32,
            len: payload.len() as u32,
        });
        self.arena.extend_from_slice(payload);
    }
}

impl Card for CabledCard {
    fn width(&self) -> u32 {
        128
    }

    fn cycle(&self) -> u64 {
        self.now
    }

    fn run(&mut self, until: u64, _stop: Stop) -> u64 {
        // A cable that fails counts as silent; the host's requests time out.
        let moved = self.session.poll().unwrap_or(false);
        let mut any = moved;
        while let Some(message) = self.session.take() {
            any = true;
            match message {
                Message::Tlp { header, payload } => {
                    self.record(RecordKind::TlpOut, header, &payload, 0)
                }
                Message::Value(value) => {
                    self.done = self.reading.then_some(value);
                    self.reading = false;
                }
            }
        }
        if self.reading && self.session.silence() > GONE {
            self.reading = false;
            self.done = Some(u32::MAX);
        }
        // Sleeps while nothing happens.
        self.waits = if any { 0 } else { self.waits + 1 };
        if self.waits > 8 {
            std::thread::sleep(Duration::from_micros(20));
        }
        self.now = until;
        self.now
    }

    fn push_tlp(&mut self, _at: u64, header: Header, payload: &[u8], cookie: u64) {
        self.session.send_tlp(header.0, payload);
        self.record(RecordKind::TlpIn, header.0, payload, cookie);
    }

    fn push_frame(&mut self, _at: u64, _frame: &[u8], _error: bool, _cookie: u64) {
        unreachable!("a board has a wire of its own");
    }

    fn records(&self) -> (&[Record], &[u8]) {
        (&self.records, &self.arena)
    }

    fn clear_records(&mut self) {
        self.records.clear();
        self.arena.clear();
    }

    fn start_mgmt(&mut self, _at: u64, access: MgmtAccess) {
        if access.write {
            self.session.bus_write(access.address, access.value);
            self.done = Some(0);
        } else {
            self.session.bus_read(access.address);
            self.reading = true;
        }
    }

    fn take_mgmt(&mut self) -> Option<(u64, u32)> {
        self.done.take().map(|value| (self.now, value))
    }

    fn irq(&self) -> bool {
        self.session.irq()
    }

    fn set_link(&mut self, _up: bool) {}

    fn set_mac_rate(&mut self, _byte_time_q16: u64) {}

    fn start_waves(&mut self, _path: &Path) -> bool {
        false
    }

    fn stop_waves(&mut self) {}
}
