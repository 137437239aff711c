//! Reads pcapng files: sections of blocks, which have their length at both ends. Blocks without
//! frames are skipped, whatever they contain.

use anyhow::{bail, ensure, Context, Result};

use crate::words::Order;
use crate::Frame;

/// Kinds of blocks.
mod block {
    pub const SECTION: u32 = 0x0a0d_0d0a;
    pub const INTERFACE: u32 = 1;
    /// From the first draft of the format; the enhanced packet block replaced it.
    pub const PACKET: u32 = 2;
    pub const SIMPLE_PACKET: u32 = 3;
    pub const ENHANCED_PACKET: u32 = 6;
}

/// Codes of options, each of its own kind of block.
mod option {
    pub const END: u16 = 0;
    pub const INTERFACE_FCS: u16 = 13;
    pub const PACKET_FLAGS: u16 = 2;
}

/// Bytes of a block around its body.
const AROUND: usize = 12;

struct Interface {
    link: u16,
    snap: usize,
    fcs: usize,
}

pub fn frames(file: &[u8]) -> Result<Vec<Frame>> {
    let mut section = Section { order: Order::Little, interfaces: vec![] };
    let mut frames = vec![];
    let mut rest = file;
    while !rest.is_empty() {
        let count = frames.len();
        let broken = || match count {
            0 => "a block before the first frame is broken".to_string(),
            n => format!("the block after frame {n} is broken"),
        };
        let (kind, body, behind) = section.block(rest).with_context(broken)?;
        rest = behind;
        match kind {
            block::SECTION => section.begin(body).with_context(broken)?,
            block::INTERFACE => {
                let interface = section.interface(body).with_context(broken)?;
                section.interfaces.push(interface);
            }
            block::PACKET | block::SIMPLE_PACKET | block::ENHANCED_PACKET => {
                let broken = || format!("frame {} is broken", count + 1);
                frames.push(section.frame(kind, body).with_context(broken)?);
            }
            _ => {}
        }
    }
    Ok(frames)
}

struct Section {
    order: Order,
    interfaces: Vec<Interface>,
}

impl Section {
    /// The first block of `bytes`: its kind, its body, and the bytes behind it. The header of a
    /// section sets the byte order.
    fn block<'a>(&mut self, bytes: &'a [u8]) -> Result<(u32, &'a [u8], &'a [u8])> {
        if bytes.starts_with(&block::SECTION.to_be_bytes()) {
            self.order = match bytes.get(8..12) {
                Some([0x1a, 0x2b, 0x3c, 0x4d]) => Order::Big,
                Some([0x4d, 0x3c, 0x2b, 0x1a]) => Order::Little,
                Some(other) => bail!("{other:02x?} names no byte order"),
                None => bail!("it is cut off"),
            };
        }
        let word = |at| self.order.u32(bytes, at).context("it is cut off");
        let (kind, len) = (word(0)?, word(4)? as usize);
        ensure!(len >= AROUND && len.is_multiple_of(4), "no block has {len} bytes");
        let there = bytes.len();
        let Some((whole, behind)) = bytes.split_at_checked(len) else {
            bail!("of its {len} bytes {there} are there");
        };
        let again = word(len - 4)?;
        ensure!(again as usize == len, "it has {len} bytes at its begin and {again} at its end");
        Ok((kind, &whole[8..len - 4], behind))
    }

    fn begin(&mut self, body: &[u8]) -> Result<()> {
        self.interfaces.clear();
        let version = |at| self.order.u16(body, at).context("it is too short");
        let (major, minor) = (version(4)?, version(6)?);
        ensure!(major == 1, "its section is of version {major}.{minor}, and 1 is known");
        Ok(())
    }

    fn interface(&self, body: &[u8]) -> Result<Interface> {
        let link = self.order.u16(body, 0).context("it is too short")?;
        let snap = self.order.u32(body, 4).context("it is too short")? as usize;
        // The specification counts in bits; its example, and most files, count in bytes.
        let fcs = match self.option(&body[8..], option::INTERFACE_FCS) {
            Some(&[32]) => 4,
            Some(&[bytes]) => bytes.into(),
            _ => 0,
        };
        Ok(Interface { link, snap, fcs })
    }

    fn frame(&self, kind: u32, body: &[u8]) -> Result<Frame> {
        let word = |at| self.order.u32(body, at).context("its block is too short");
        let number = match kind {
            block::PACKET => u32::from(self.order.u16(body, 0).context("its block is too short")?),
            block::ENHANCED_PACKET => word(0)?,
            _ => 0,
        };
        let Some(interface) = self.interfaces.get(number as usize) else {
            match kind {
                block::SIMPLE_PACKET => bail!("it comes before any interface description"),
                _ => bail!("it names interface {number}, which is not described"),
            }
        };
        let (header, captured, original) = match kind {
            block::SIMPLE_PACKET => {
                let original = word(0)? as usize;
                let most = if interface.snap == 0 { original } else { interface.snap };
                (4, original.min(most), original)
            }
            _ => (20, word(12)? as usize, word(16)? as usize),
        };
        let there = body.get(header..).context("its block is too short")?;
        let Some(data) = there.get(..captured) else {
            bail!("of its {captured} bytes its block holds {}", there.len());
        };
        let options = there.get(captured.next_multiple_of(4)..).unwrap_or_default();
        let fcs = match kind {
            block::SIMPLE_PACKET => 0,
            _ => self.flags(options) >> 5 & 0xf,
        };
        let fcs = if fcs == 0 { interface.fcs } else { fcs as usize };
        Ok(Frame { data: data.into(), original, link: interface.link, fcs })
    }

    /// The flags of a packet; 0 if they are not four bytes.
    fn flags(&self, options: &[u8]) -> u32 {
        let flags = self.option(options, option::PACKET_FLAGS).filter(|flags| flags.len() == 4);
        flags.and_then(|flags| self.order.u32(flags, 0)).unwrap_or(0)
    }

    /// The value of the first option with this code. Options end at their end mark, or at the end
    /// of the block.
    fn option<'a>(&self, mut options: &'a [u8], wanted: u16) -> Option<&'a [u8]> {
        loop {
            let (code, len) = (self.order.u16(options, 0)?, self.order.u16(options, 2)?.into());
            let value = options.get(4..)?;
            if code == option::END {
                return None;
            }
            if code == wanted {
                return value.get(..len);
            }
            options = value.get(len.next_multiple_of(4)..)?;
        }
    }
}
