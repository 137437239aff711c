//! Writes the frames that the wires carried to a pcapng file with nanosecond time stamps.
//! [`World::start_capture`](crate::World::start_capture) uses it.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::Duration;

use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::{DataLink, PcapError};

use crate::CYCLE_NS;

/// A pcapng file being written. Each direction of a wire is an interface of its own.
pub struct Capture {
    writer: PcapNgWriter<Box<dyn Write>>,
    error: Option<io::Error>,
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Capture").field("error", &self.error).finish_non_exhaustive()
    }
}

fn plain(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}

impl Capture {
    /// Starts a file with the named interfaces.
    pub fn new(out: Box<dyn Write>, interfaces: &[String]) -> io::Result<Self> {
        let mut writer = PcapNgWriter::new(out).map_err(plain)?;
        for name in interfaces {
            let block = InterfaceDescriptionBlock {
                linktype: DataLink::ETHERNET,
                snaplen: 0,
                options: vec![
                    InterfaceDescriptionOption::IfName(Cow::from(name.as_str())),
                    InterfaceDescriptionOption::IfTsResol(9),
                ],
            };
            writer.write_pcapng_block(block).map_err(plain)?;
        }
        Ok(Capture { writer, error: None })
    }

    /// Adds a frame that was on interface `interface` at `cycle`. The first error is kept for
    /// [`Capture::finish`]; nothing is written after it.
    pub fn frame(&mut self, interface: u32, cycle: u64, frame: &[u8]) {
        if self.error.is_some() {
            return;
        }
        let block = EnhancedPacketBlock {
            interface_id: interface,
            timestamp: Duration::from_nanos(cycle * CYCLE_NS),
            original_len: frame.len() as u32,
            data: Cow::from(frame),
            options: Vec::new(),
        };
        self.error = self.writer.write_pcapng_block(block).map_err(plain).err();
    }

    /// Ends the file and returns the first write error.
    pub fn finish(self) -> io::Result<()> {
        match self.error {
            Some(error) => Err(error),
            None => self.writer.into_inner().flush(),
        }
    }
}
