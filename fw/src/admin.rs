//! The admin queue: fetches commands in batches, runs them one after the other, and answers them in
//! order.

use nitor_abi::admin::{
    self, part, stats, AnswerHeader, CommandHeader, ControlBuffer, Entry, FeatureCommand, GetStats,
    Opcode, Status,
};
use nitor_abi::bar::QueueCaps;
use nitor_abi::mgmt;

use crate::hw::{behind, buffer, count, Hw};
use crate::stats::Totals;
use crate::{Life, Settings};

/// The body of an answer.
pub(crate) type Body = [u8; admin::ENTRY_LEN - admin::ANSWER];

/// A body that begins with `record`.
pub(crate) fn body<const N: usize>(record: [u8; N]) -> Body {
    let mut body: Body = [0; _];
    body[..N].copy_from_slice(&record);
    body
}

/// A position in a ring of the host.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub index: u16,
    pub phase: bool,
}

impl Place {
    pub const START: Place = Place { index: 0, phase: true };

    pub fn advance(&mut self, depth: u16) {
        self.index += 1;
        if self.index >= depth {
            *self = Place { index: 0, phase: !self.phase };
        }
    }
}

/// How often a batch of commands is fetched before it is given up.
const FETCHES: usize = 3;
/// How many batches are served in a row before events get their turn.
const BATCHES: usize = 4;

pub(crate) struct AdminQueue {
    /// The number of commands taken, as AQ_DB counts them.
    taken: u16,
    from: Place,
    to: Place,
    /// The doorbell value that was refused because it is beyond the ring.
    refused: Option<u16>,
}

impl AdminQueue {
    pub fn new() -> Self {
        AdminQueue { taken: 0, from: Place::START, to: Place::START, refused: None }
    }
}

/// The rings as the host's registers describe them.
struct Rings {
    base: u64,
    depth: u16,
    answers: u64,
    answers_depth: u16,
}

impl Rings {
    /// Reads the registers of the rings. None if the rings are not set up.
    fn read(hw: &mut Hw<'_>) -> Option<Self> {
        let queue = QueueCaps::from(hw.bus.read32(mgmt::AQ_CAPS));
        let answers = QueueCaps::from(hw.bus.read32(mgmt::ACQ_CAPS));
        let usable =
            |caps: &QueueCaps| caps.depth > 0 && usize::from(caps.entry_size) == admin::ENTRY_LEN;
        (usable(&queue) && usable(&answers)).then(|| Rings {
            base: hw.read_address(mgmt::AQ_BASE_LO),
            depth: queue.depth,
            answers: hw.read_address(mgmt::ACQ_BASE_LO),
            answers_depth: answers.depth,
        })
    }
}

impl Life {
    /// Runs the commands that the doorbell has posted. True if there may be more.
    pub(crate) fn serve_admin(&mut self, settings: &Settings, hw: &mut Hw<'_>) -> bool {
        for _ in 0..BATCHES {
            let doorbell = hw.bus.read32(mgmt::AQ_DB) as u16;
            let waiting = doorbell.wrapping_sub(self.admin.taken);
            // Without bus mastering, commands stay pending; the next tick checks again.
            if waiting == 0 || !hw.status().bus_master {
                return false;
            }
            let Some(rings) = Rings::read(hw) else { return false };
            if waiting > rings.depth {
                if self.admin.refused.replace(doorbell) != Some(doorbell) {
                    count(&mut hw.faults.bad_doorbell);
                }
                return false;
            }
            if self.admin.from.index >= rings.depth {
                self.admin.from.index = 0;
            }
            let to_end = rings.depth - self.admin.from.index;
            self.serve_batch(settings, hw, &rings, waiting.min(to_end).min(buffer::COMMANDS_MAX));
        }
        true
    }

    /// Runs the next commands, at most `most`. They are fetched in one transfer; if that fails, the
    /// first is fetched alone, and only it can be lost.
    fn serve_batch(&mut self, settings: &Settings, hw: &mut Hw<'_>, rings: &Rings, most: u16) {
        const LEN: u16 = admin::ENTRY_LEN as u16;
        let at = behind(rings.base, u64::from(self.admin.from.index) * u64::from(LEN));
        let mut fetch =
            |commands| (0..FETCHES).any(|_| hw.fetch(at, buffer::COMMANDS, commands * LEN).is_ok());
        let (commands, fetched) = match fetch(most) {
            true => (most, true),
            false => (1, most > 1 && fetch(1)),
        };
        if !fetched {
            count(&mut hw.faults.commands_lost);
        }
        let mut answered = false;
        for i in 0..commands {
            let phase = self.admin.from.phase;
            self.admin.taken = self.admin.taken.wrapping_add(1);
            self.admin.from.advance(rings.depth);
            if fetched {
                let mut command: Entry = [0; _];
                hw.read_buffer(buffer::COMMANDS + i * LEN, &mut command);
                answered |= self.serve(settings, hw, rings, &command, phase);
            }
        }
        if answered {
            hw.bus.write32(mgmt::RAISE, 1);
        }
    }

    /// Runs one command. Returns whether it could be answered.
    fn serve(
        &mut self,
        settings: &Settings,
        hw: &mut Hw<'_>,
        rings: &Rings,
        command: &Entry,
        phase: bool,
    ) -> bool {
        let header = CommandHeader::from_bytes(&part(command, 0));
        let result = if header.phase == phase {
            self.execute(settings, hw, header.opcode, command)
        } else {
            count(&mut hw.faults.bad_phase);
            Err(Status::MalformedRequest)
        };
        let (status, body) = match result {
            Ok(body) => (Status::Success, body),
            Err(status) => (status, [0; _]),
        };

        let to = &mut self.admin.to;
        if to.index >= rings.answers_depth {
            to.index = 0;
        }
        let answer = AnswerHeader {
            command_id: header.command_id,
            status: status as u8,
            phase: to.phase,
            extended_status: 0,
            sq_head: self.admin.taken,
        };
        let mut entry: Entry = [0; _];
        entry[..admin::ANSWER].copy_from_slice(&answer.to_bytes());
        entry[admin::ANSWER..].copy_from_slice(&body);
        let at = behind(rings.answers, u64::from(to.index) * admin::ENTRY_LEN as u64);
        to.advance(rings.answers_depth);
        let written = hw.post_entry(at, &entry, 0).is_ok();
        if !written {
            count(&mut hw.faults.answers_lost);
        }
        written
    }

    fn execute(
        &mut self,
        settings: &Settings,
        hw: &mut Hw<'_>,
        opcode: u8,
        command: &Entry,
    ) -> Result<Body, Status> {
        match Opcode::try_from(opcode).map_err(|_| Status::BadOpcode)? {
            Opcode::CreateCq => self.create_cq(hw, command),
            Opcode::DestroyCq => self.destroy_cq(hw, command),
            Opcode::CreateSq => self.create_sq(hw, command),
            Opcode::DestroySq => self.destroy_sq(hw, command),
            Opcode::GetFeature => {
                let feature = FeatureCommand::from_bytes(command).feature;
                let control = ControlBuffer::from_bytes(&part(command, admin::CONTROL_BUFFER));
                self.get_feature(settings, hw, feature, control)
            }
            Opcode::SetFeature => {
                let feature = FeatureCommand::from_bytes(command).feature;
                let control = ControlBuffer::from_bytes(&part(command, admin::CONTROL_BUFFER));
                self.set_feature(settings, hw, feature, command, control).map(|()| [0; _])
            }
            // Scope, queue and device are not used, whatever a driver sends: the answer is that of
            // the port.
            Opcode::GetStats => match GetStats::from_bytes(command).kind {
                stats::BASIC => {
                    Ok(body(Totals::read(hw).since(&self.before).basic_stats().to_bytes()))
                }
                stats::EXTENDED => {
                    let control = ControlBuffer::from_bytes(&part(command, admin::CONTROL_BUFFER));
                    let counters = crate::stats::counters(hw);
                    hw.write_control(control, &counters).map(|()| [0; _])
                }
                stats::ENI => Ok(body(Totals::read(hw).since(&self.before).eni_stats().to_bytes())),
                _ => Err(Status::UnsupportedOpcode),
            },
        }
    }
}

impl Hw<'_> {
    /// Reads `bytes` of a command's control buffer. The buffer is direct, whatever the command's
    /// flags say.
    pub fn read_control(&mut self, from: ControlBuffer, bytes: &mut [u8]) -> Result<(), Status> {
        let len = control_len(from, bytes.len())?;
        self.fetch(from.address, buffer::CONTROL, len).map_err(|_| Status::UnknownError)?;
        self.read_buffer(buffer::CONTROL, bytes);
        Ok(())
    }

    /// Writes `bytes` to a command's control buffer.
    pub fn write_control(&mut self, to: ControlBuffer, bytes: &[u8]) -> Result<(), Status> {
        let len = control_len(to, bytes.len())?;
        self.write_buffer(buffer::CONTROL, bytes);
        self.post(to.address, buffer::CONTROL, len).map_err(|_| Status::UnknownError)
    }
}

fn control_len(control: ControlBuffer, needed: usize) -> Result<u16, Status> {
    let enough = control.length as usize >= needed && needed <= buffer::CONTROL_LEN;
    if !enough || !control.address.is_multiple_of(4) {
        return Err(Status::IllegalParameter);
    }
    Ok(needed as u16)
}
