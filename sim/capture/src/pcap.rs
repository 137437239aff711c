//! Reads pcap files: a header, then frames.

use anyhow::{bail, ensure, Context, Result};

use crate::words::Order;
use crate::Frame;

const HEADER: usize = 24;
const RECORD: usize = 16;
/// The bit of the link word that says that its upper four bits count the FCS in words of two bytes.
const HAS_FCS: u32 = 1 << 26;

pub fn frames(file: &[u8], order: Order) -> Result<Vec<Frame>> {
    ensure!(file.len() >= HEADER, "its header is cut off");
    let short = |at| order.u16(file, at).context("its header is cut off");
    let (major, minor) = (short(4)?, short(6)?);
    ensure!(major == 2, "it is of version {major}.{minor}, and 2 is known");
    let word = order.u32(file, 20).context("its header is cut off")?;
    let link = word as u16;
    let fcs = if word & HAS_FCS != 0 { (word >> 28) as usize * 2 } else { 0 };
    let mut frames = vec![];
    let mut rest = &file[HEADER..];
    while !rest.is_empty() {
        let number = frames.len() + 1;
        let (Some(captured), Some(original)) = (order.u32(rest, 8), order.u32(rest, 12)) else {
            bail!("frame {number} is broken: its header is cut off");
        };
        let (mut captured, mut original) = (captured as usize, original as usize);
        // Old writers swapped the two lengths.
        if minor < 3 || minor == 3 && captured > original {
            (captured, original) = (original, captured);
        }
        rest = &rest[RECORD..];
        let Some((data, behind)) = rest.split_at_checked(captured) else {
            bail!("frame {number} is broken: of its {captured} bytes {} are there", rest.len());
        };
        frames.push(Frame { data: data.into(), original, link, fcs });
        rest = behind;
    }
    Ok(frames)
}
