//! MSI-X interrupts: memory writes to a window of addresses that has no memory. The root complex
//! keeps them here until the driver takes them.

use std::collections::VecDeque;
use std::ops::Range;

use crate::tlp::{ByteEnables, Header};

/// The window, as on a PC.
pub const WINDOW: Range<u64> = 0xfee0_0000..0xfef0_0000;

/// An interrupt that the card raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupt {
    pub cycle: u64,
    pub vector: u16,
}

/// The interrupts of one function.
#[derive(Debug, Default)]
pub struct Interrupts {
    enabled: u16,
    pending: VecDeque<Interrupt>,
    counts: Vec<u64>,
}

impl Interrupts {
    /// The address and data of `vector`. Both encode the vector.
    pub fn message(vector: u16) -> (u64, u32) {
        (WINDOW.start + (u64::from(vector & 0xff) << 12), 0x4000 | u32::from(vector))
    }

    /// Accepts vectors below `count` from now on.
    pub fn enable(&mut self, count: u16) {
        self.enabled = count;
        self.counts.resize(self.counts.len().max(count.into()), 0);
    }

    /// Accepts no more interrupts, and drops the pending ones.
    pub fn disable(&mut self) {
        self.enabled = 0;
        self.pending.clear();
    }

    /// The oldest pending interrupt.
    pub fn first(&self) -> Option<Interrupt> {
        self.pending.front().copied()
    }

    /// Takes the oldest interrupt.
    pub fn take(&mut self) -> Option<Interrupt> {
        self.pending.pop_front()
    }

    /// How often each vector was raised.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Accepts a write to the window. Returns its vector, or what is wrong with the write.
    pub fn written(&mut self, cycle: u64, header: Header, payload: &[u8]) -> Result<u16, String> {
        let whole_dword = ByteEnables { first: 0xf, last: 0 };
        let (Ok(word), true) = (payload.try_into(), header.byte_enables() == whole_dword) else {
            return Err("an interrupt is one whole dword".into());
        };
        let data = u32::from_le_bytes(word);
        let vector = data as u16 & 0x3fff;
        if vector >= self.enabled || Self::message(vector) != (header.address(), data) {
            let address = header.address();
            return Err(format!("data {data:#x} at {address:#x} is no vector of this function"));
        }
        self.counts[usize::from(vector)] += 1;
        self.pending.push_back(Interrupt { cycle, vector });
        Ok(vector)
    }
}
