//! The host's end of the host link's protocol (see [nitor_hdl::link]): acknowledges and repeats
//! frames, so that messages arrive once and in order.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use nitor_hdl::link::{self, MOST_WORDS};

use crate::cable::Cable;

/// The least number of frames that a board keeps for its host.
const WINDOW: usize = 4;
/// Words of a frame before its messages.
const HEAD: usize = 2;
/// A quiet link is polled after this many acknowledgement timeouts, so that no change is missed.
const ASK: u32 = 4;

/// A message from the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Tlp { header: [u32; 4], payload: Vec<u8> },
    Value(u32),
}

/// Counts of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionStats {
    pub frames_sent: u64,
    pub frames_sent_again: u64,
    pub frames_taken: u64,
    pub frames_dropped: u64,
    pub bytes_sent: u64,
    pub bytes_taken: u64,
}

/// A session with a board: messages in both directions, once each and in order.
pub struct Session {
    cable: Box<dyn Cable>,
    session: u16,
    next: u8,
    expected: u8,
    /// Frames that are sent and not acknowledged, oldest first.
    unacknowledged: VecDeque<(u8, Vec<u32>)>,
    /// How many of these have been sent since the last repetition.
    out: usize,
    progress: Duration,
    asked: Duration,
    heard: Duration,
    answer: bool,
    nak: bool,
    waiting: VecDeque<Vec<u32>>,
    arrived: VecDeque<Message>,
    irq: bool,
    wire_up: bool,
    credit: u8,
    pub stats: SessionStats,
}

impl Session {
    /// Opens a session: the board resets its card. None if the board does not answer in `patience`.
    pub fn open(
        mut cable: Box<dyn Cable>,
        session: u16,
        patience: Duration,
    ) -> io::Result<Option<Self>> {
        let begin = cable.now();
        let mut asked = None;
        // Drops frames that an earlier session left in the cable.
        while cable.receive()?.is_some() {}
        loop {
            if asked.is_none_or(|at: Duration| cable.now() - at > cable.patience()) {
                cable.send(&bytes(&[link::OPEN as u32, u32::from(session) << 16]))?;
                asked = Some(cable.now());
            }
            if let Some(frame) = cable.receive()? {
                if word(&frame, 1).is_some_and(|w| w >> 16 == u32::from(session)) {
                    break;
                }
            } else {
                std::thread::sleep(Duration::from_micros(100));
            }
            if cable.now() - begin > patience {
                return Ok(None);
            }
        }
        let now = cable.now();
        Ok(Some(Session {
            cable,
            session,
            next: 0,
            expected: 0,
            unacknowledged: VecDeque::new(),
            out: 0,
            progress: now,
            asked: now,
            heard: now,
            answer: false,
            nak: false,
            waiting: VecDeque::new(),
            arrived: VecDeque::new(),
            irq: false,
            wire_up: false,
            credit: 16,
            stats: SessionStats::default(),
        }))
    }

    pub fn send_tlp(&mut self, header: [u32; 4], payload: &[u8]) {
        let mut words = vec![link::TLP as u32 | (payload.len() as u32 / 4) << 8];
        words.extend(header);
        words.extend(payload.chunks(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]])));
        self.waiting.push_back(words);
    }

    pub fn bus_read(&mut self, address: u16) {
        self.waiting.push_back(vec![link::BUS_READ as u32 | u32::from(address) << 16]);
    }

    pub fn bus_write(&mut self, address: u16, value: u32) {
        self.waiting
            .push_back(vec![link::BUS_WRITE as u32 | 0x100 | u32::from(address) << 16, value]);
    }

    pub fn board_read(&mut self, number: u16) {
        self.waiting.push_back(vec![link::BOARD_READ as u32 | u32::from(number) << 16]);
    }

    pub fn board_write(&mut self, number: u16, value: u32) {
        self.waiting
            .push_back(vec![link::BOARD_WRITE as u32 | 0x100 | u32::from(number) << 16, value]);
    }

    /// The next message from the board.
    pub fn take(&mut self) -> Option<Message> {
        self.arrived.pop_front()
    }

    pub fn irq(&self) -> bool {
        self.irq
    }

    pub fn wire_up(&self) -> bool {
        self.wire_up
    }

    /// The card's cumulative limit of non-posted requests.
    pub fn credit(&self) -> u8 {
        self.credit
    }

    /// The time since the last frame from the board.
    pub fn silence(&self) -> Duration {
        self.cable.now() - self.heard
    }

    /// Whether everything sent has arrived.
    pub fn idle(&self) -> bool {
        self.waiting.is_empty() && self.unacknowledged.is_empty()
    }

    /// Sends and receives as many frames as possible. Returns whether there were any.
    pub fn poll(&mut self) -> io::Result<bool> {
        let mut moved = false;
        while let Some(frame) = self.cable.receive()? {
            moved = true;
            self.frame(&frame);
        }
        while self.unacknowledged.len() < WINDOW && !self.waiting.is_empty() {
            let mut words = Vec::new();
            while let Some(message) = self.waiting.front() {
                if words.len() + message.len() > MOST_WORDS {
                    break;
                }
                words.extend(self.waiting.pop_front().unwrap_or_default());
            }
            if self.unacknowledged.is_empty() {
                self.progress = self.cable.now();
            }
            self.unacknowledged.push_back((self.next, words));
            self.next = self.next.wrapping_add(1);
        }
        if !self.unacknowledged.is_empty()
            && self.cable.now() - self.progress > self.cable.patience()
        {
            self.repeat();
        }
        while self.out < self.unacknowledged.len() {
            let (number, words) = &self.unacknowledged[self.out];
            let (number, words) = (*number, words.clone());
            self.send(link::DATA as u32, number, &words)?;
            self.out += 1;
            moved = true;
        }
        let quiet = self.cable.now() - self.asked > ASK * self.cable.patience();
        if self.answer || quiet {
            let ask = if quiet { link::ASK as u32 } else { 0 };
            self.send(ask, 0, &[])?;
        }
        Ok(moved)
    }

    /// Repeats the frames from the first one that was not acknowledged.
    fn repeat(&mut self) {
        self.stats.frames_sent_again += self.out as u64;
        self.out = 0;
        self.progress = self.cable.now();
    }

    fn send(&mut self, flags: u32, number: u8, words: &[u32]) -> io::Result<()> {
        let nak = if self.nak { link::NAK as u32 } else { 0 };
        let head = [
            flags | nak | u32::from(number) << 8 | u32::from(self.expected) << 16,
            u32::from(self.session) << 16 | words.len() as u32,
        ];
        let frame = bytes(&[&head, words].concat());
        self.cable.send(&frame)?;
        self.stats.frames_sent += 1;
        self.stats.bytes_sent += frame.len() as u64;
        (self.answer, self.nak) = (false, false);
        if flags & link::ASK as u32 != 0 {
            self.asked = self.cable.now();
        }
        Ok(())
    }

    fn frame(&mut self, frame: &[u8]) {
        let (Some(word0), Some(word1)) = (word(frame, 0), word(frame, 1)) else { return };
        let len = (word1 & 0xffff) as usize;
        if word1 >> 16 != u32::from(self.session) || frame.len() < (HEAD + len) * 4 {
            self.stats.frames_dropped += 1;
            return;
        }
        self.heard = self.cable.now();
        self.irq = word0 & link::IRQ as u32 != 0;
        self.wire_up = word0 & link::WIRE as u32 != 0;
        self.credit = (word0 >> 24) as u8;
        let acknowledged = (word0 >> 16) as u8;
        let known =
            acknowledged.wrapping_sub(self.next.wrapping_sub(self.unacknowledged.len() as u8));
        if known > 0 && usize::from(known) <= self.unacknowledged.len() {
            self.unacknowledged.drain(..usize::from(known));
            self.out = self.out.saturating_sub(known.into());
            self.progress = self.cable.now();
        }
        if word0 & link::NAK as u32 != 0 && !self.unacknowledged.is_empty() {
            self.repeat();
        }
        if word0 & link::DATA as u32 == 0 {
            return;
        }
        self.answer = true;
        let number = (word0 >> 8) as u8;
        if number != self.expected {
            // A later number means that a frame was lost, an earlier one that this is a copy.
            self.nak |= number.wrapping_sub(self.expected) < 128;
            self.stats.frames_dropped += 1;
            return;
        }
        self.expected = self.expected.wrapping_add(1);
        self.stats.frames_taken += 1;
        self.stats.bytes_taken += frame.len() as u64;
        let words: Vec<u32> = (HEAD..HEAD + len).filter_map(|i| word(frame, i)).collect();
        let mut rest = &words[..];
        while let Some((&first, behind)) = rest.split_first() {
            let len = (first >> 8 & 0xff) as usize;
            match u64::from(first & 0xff) {
                link::TLP if behind.len() >= 4 + len => {
                    let header = [behind[0], behind[1], behind[2], behind[3]];
                    self.arrived
                        .push_back(Message::Tlp { header, payload: bytes(&behind[4..4 + len]) });
                    rest = &behind[4 + len..];
                }
                link::BUS_VALUE if !behind.is_empty() => {
                    self.arrived.push_back(Message::Value(behind[0]));
                    rest = &behind[1..];
                }
                // No board sends this.
                _ => rest = behind.get(len..).unwrap_or_default(),
            }
        }
    }
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn word(frame: &[u8], index: usize) -> Option<u32> {
    frame.get(4 * index..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}
