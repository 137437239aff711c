//! Records a trace: what is done to a card, and what the card does.

use std::collections::HashMap;
use std::io;
use std::mem;

use nitor_sim::stats::Event;
use nitor_sim::{World, CARD_ID};

use crate::trace::{Cause, Step, Writer};

/// See the module. The guest must wait until the card is quiet after each cause: then the host
/// memory that the card reads is recorded with the right cause.
pub struct Recorder {
    writer: Writer,
    step: Option<Step>,
    /// The bytes that the card has read or written so far, as a replay's memory will have them.
    known: HashMap<u64, u8>,
    result: io::Result<()>,
}

impl Recorder {
    pub fn new(writer: Writer, world: &mut World) -> Self {
        world.host_mut(0).root.keep_stamps(true);
        world.host_mut(0).root.take_stamps();
        Recorder { writer, step: None, known: HashMap::new(), result: Ok(()) }
    }

    /// Begins a step: `cause` is about to happen to the card.
    pub fn begin(&mut self, cause: Cause) {
        if let Cause::Unmap { iova, len } = cause {
            self.known.retain(|&at, _| at.wrapping_sub(iova) >= len);
        }
        self.put(Some(Step::new(cause)));
    }

    fn put(&mut self, next: Option<Step>) {
        if let (Some(step), Ok(())) = (mem::replace(&mut self.step, next), &self.result) {
            self.result = self.writer.step(&step);
        }
    }

    /// Records what the card has read and written. Call this before interrupts are passed on: the
    /// guest may change the memory after them.
    pub fn look(&mut self, world: &mut World) {
        let Some(step) = &mut self.step else { return };
        for stamp in world.host_mut(0).root.take_stamps() {
            match stamp.event {
                Event::Read { iova, len } => {
                    let Some(bytes) = memory(world, iova, len) else { continue };
                    let known = |(at, byte): (u64, &u8)| self.known.get(&at) == Some(byte);
                    if !(iova..).zip(&bytes).all(known) {
                        self.known.extend((iova..).zip(bytes.iter().copied()));
                        step.memory.push((iova, bytes));
                    }
                }
                Event::Written { iova, len } => {
                    let Some(bytes) = memory(world, iova, len) else { continue };
                    self.known.extend((iova..).zip(bytes.iter().copied()));
                    // Entries in one cache line may be written in several writes: the last has all
                    // of them.
                    step.writes.retain(|(at, old)| *at != iova || old.len() > bytes.len());
                    step.writes.push((iova, bytes));
                }
                Event::Interrupt { vector } => step.interrupts.push(vector),
                _ => {}
            }
        }
    }

    /// The card has sent a frame.
    pub fn frame(&mut self, frame: &[u8]) {
        if let Some(step) = &mut self.step {
            step.frames.push(frame.to_vec());
        }
    }

    pub fn finish(mut self) -> io::Result<()> {
        self.put(None);
        self.result?;
        self.writer.finish()
    }
}

fn memory(world: &World, iova: u64, len: u32) -> Option<Vec<u8>> {
    let mut bytes = vec![0; len as usize];
    world.host(0).root.iommu.read(CARD_ID, iova, &mut bytes).ok()?;
    Some(bytes)
}
