//! Frames whose contents identify their flow.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The number of UDP flows. Frames too short for UDP, or of another protocol, are one more flow:
/// number `FLOWS`.
pub const FLOWS: usize = 24;
const FIRST_PORT: u16 = 20_000;
const HEADERS: usize = 14 + 20 + 8;

pub struct Frame {
    pub flow: usize,
    pub bytes: Vec<u8>,
}

pub struct Frames {
    rng: ChaCha8Rng,
    made: u64,
}

impl Frames {
    pub fn new(seed: u64) -> Self {
        Frames { rng: ChaCha8Rng::seed_from_u64(seed), made: 0 }
    }

    /// A frame of `len` bytes with random contents.
    pub fn make(&mut self, len: usize) -> Frame {
        let rng = &mut self.rng;
        let mut bytes = vec![0; len];
        rng.fill_bytes(&mut bytes);
        self.made += 1;
        if len >= 14 {
            // A frame that is not IP gets an experimental protocol number.
            bytes[12..14].copy_from_slice(&[0x88, 0xb5]);
        }
        if len < HEADERS || rng.random_bool(0.1) {
            return Frame { flow: FLOWS, bytes };
        }
        let flow = rng.random_range(0..FLOWS);
        bytes[12..14].copy_from_slice(&[8, 0]);
        bytes[14..16].copy_from_slice(&[0x45, 0]);
        bytes[16..18].copy_from_slice(&((len - 14) as u16).to_be_bytes());
        bytes[20..22].copy_from_slice(&[0x40, 0]);
        bytes[22..24].copy_from_slice(&[64, 17]);
        bytes[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        bytes[34..36].copy_from_slice(&(FIRST_PORT + flow as u16).to_be_bytes());
        bytes[36..38].copy_from_slice(&9u16.to_be_bytes());
        bytes[38..40].copy_from_slice(&((len - 34) as u16).to_be_bytes());
        Frame { flow, bytes }
    }
}

/// The flow of a frame made here.
pub fn flow_of(bytes: &[u8]) -> usize {
    if bytes.len() < HEADERS || bytes[12..14] != [8, 0] || bytes[23] != 17 {
        return FLOWS;
    }
    usize::from(u16::from_be_bytes([bytes[34], bytes[35]]) - FIRST_PORT)
}
