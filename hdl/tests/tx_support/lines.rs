//! LLQ lines as a driver writes them, and the TLPs in which they may arrive.

use super::Rng;

/// How the lines of a queue are made.
#[derive(Clone, Debug)]
pub struct Layout {
    pub wide: bool,
}

/// A beat of a write, as `pcie/target` hands it over.
#[derive(Clone, Debug)]
pub struct Beat {
    pub addr: u64,
    pub data: Vec<u8>,
    pub dwords: u64,
    pub first_be: u64,
    pub last_be: u64,
}

/// Descriptors before the header.
const BEFORE: usize = 2;

impl Layout {
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        if self.wide {
            256
        } else {
            128
        }
    }

    /// Bytes that can be pushed.
    pub fn most(&self) -> usize {
        self.len() - 16 * BEFORE
    }

    /// Lines of a packet; one that does not begin as it should has no place for a header.
    pub fn count(&self, descs: usize, begins: bool) -> usize {
        let per = self.len() / 16;
        if begins {
            1 + descs.saturating_sub(BEFORE).div_ceil(per)
        } else {
            descs.div_ceil(per)
        }
    }

    /// A packet's lines. `phase` is of the n-th line.
    pub fn lay(
        &self,
        words: &[[u32; 4]],
        header: &[u8],
        phase: impl Fn(usize) -> u32,
    ) -> Vec<Vec<u8>> {
        let begins = words[0][0] >> 26 & 1 == 1;
        let mut lines = vec![vec![0u8; self.len()]];
        let (mut at, mut room) = (0, if begins { BEFORE } else { self.len() / 16 });
        for word in words {
            if at == room {
                lines.push(vec![0; self.len()]);
                (at, room) = (0, self.len() / 16);
            }
            let phase = phase(lines.len() - 1);
            let line = lines.last_mut().expect("a line");
            for (i, value) in word.iter().enumerate() {
                let value = if i == 0 { value | phase } else { *value };
                line[16 * at + 4 * i..][..4].copy_from_slice(&value.to_le_bytes());
            }
            at += 1;
        }
        lines[0][16 * BEFORE..][..header.len()].copy_from_slice(header);
        lines
    }

    /// How a line is written: whole and in order, in shuffled stores of 8 bytes, or in pieces of
    /// any size and place. Without `whole` only what is not zero.
    pub fn beats(&self, line: &[u8], addr: u64, k: usize, whole: bool, rng: &mut Rng) -> Vec<Beat> {
        let mut pieces: Vec<(usize, usize)> = Vec::new();
        let mut beats = Vec::new();
        match if whole { rng.below(3) } else { 3 } {
            0 => pieces.extend((0..line.len()).step_by(64).map(|at| (at, at + 64))),
            1 => pieces.extend((0..line.len()).step_by(8).map(|at| (at, at + 8))),
            2 => {
                let mut at = 0;
                while at < line.len() {
                    let end = (at + rng.range(1, 70) as usize).min(line.len());
                    pieces.push((at, end));
                    at = end;
                }
                // What is written again holds.
                let noise = rng.bytes(line.len());
                beats.extend(split(&noise, addr, 0, line.len(), k, rng));
            }
            _ => {
                let rows = (0..line.len()).step_by(k);
                pieces.extend(
                    rows.filter(|&at| line[at..at + k].iter().any(|&b| b != 0))
                        .map(|at| (at, at + k)),
                );
            }
        }
        if whole {
            for i in (1..pieces.len()).rev() {
                pieces.swap(i, rng.below(i as u64 + 1) as usize);
            }
        }
        for (from, to) in pieces {
            beats.extend(split(line, addr, from, to, k, rng));
        }
        beats
    }
}

/// Bytes `from` to `to` of a line as one TLP's beats.
fn split(line: &[u8], addr: u64, from: usize, to: usize, k: usize, rng: &mut Rng) -> Vec<Beat> {
    let (start, end) = (from & !3, to.next_multiple_of(4));
    let mut beats = Vec::new();
    for at in (start..end).step_by(k) {
        let until = end.min(at + k);
        let mut data = rng.bytes(k);
        let counts = at.max(from)..until.min(to);
        data[counts.start - at..counts.end - at].copy_from_slice(&line[counts]);
        let dwords = (until - at) as u64 / 4;
        let mut first = 0xf;
        let mut last = 0xf;
        if at == start {
            first &= 0xf << (from - start) & 0xf;
        }
        if until == end {
            last &= 0xf >> (end - to);
        }
        if dwords == 1 {
            (first, last) = (first & last, 0xf);
        }
        beats.push(Beat { addr: addr + at as u64, data, dwords, first_be: first, last_be: last });
    }
    beats
}
