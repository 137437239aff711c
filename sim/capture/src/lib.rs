//! Reads captures: the Ethernet frames of pcap and pcapng files, which may be packed by gzip.
//! `nitor demo` and `nitor board` send them.
//!
//! Blocks are read leniently, and of their options only those that a frame depends on. If any frame
//! is not complete, the capture is refused with the reason: a frame that was truncated when it was
//! captured, or is of another link type, must not cross as an Ethernet frame.

mod kind;
mod pcap;
mod pcapng;
mod words;

use std::fs::File;
use std::io::{self, stdin, IsTerminal, Read};
use std::path::Path;

use anyhow::{bail, ensure, Context, Result};
use flate2::read::MultiGzDecoder;
use kind::Kind;

/// The frames of a capture, in file order.
#[derive(Debug)]
pub struct Capture {
    /// The frames, without FCS.
    pub frames: Vec<Vec<u8>>,
}

/// A frame as a file has it.
struct Frame {
    data: Vec<u8>,
    /// Bytes that were on the wire.
    original: usize,
    /// The link type of its interface.
    link: u16,
    /// Bytes of the FCS at its end.
    fcs: usize,
}

/// The most bytes of a capture, unpacked, since it is kept in memory. In a simulation this many
/// would take weeks.
const LARGEST: u64 = 1 << 30;
const ETHERNET: u16 = 1;
const HEADER: usize = 14;
const FCS: usize = 4;

impl Capture {
    /// Reads every frame of a file, or of standard input if `path` is `-`. `longest` is the length
    /// of the longest frame that is accepted, without FCS.
    pub fn read(path: &Path, longest: usize) -> Result<Self> {
        let name = path.display().to_string();
        if path == Path::new("-") {
            let stdin = stdin();
            ensure!(
                !stdin.is_terminal(),
                "standard input is a terminal; pipe a capture into it, or name a file"
            );
            return Self::take("standard input", stdin.lock(), longest);
        }
        ensure!(!path.is_dir(), "{name} is a directory; give a pcap or pcapng file");
        let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
        Self::take(&name, file, longest)
    }

    /// Reads every frame of a file in memory.
    pub fn parse(name: &str, file: &[u8], longest: usize) -> Result<Self> {
        Self::take(name, file, longest)
    }

    fn take(name: &str, mut from: impl Read, longest: usize) -> Result<Self> {
        let cannot = || format!("cannot read {name}");
        // The first bytes show whether the file is a capture. A file that is none may have no end.
        let head = some(&mut from, kind::HEAD as u64).with_context(cannot)?;
        let kind = Kind::of(&head);
        let file = match kind {
            Kind::Gzip => {
                let mut unpacked = MultiGzDecoder::new(head.chain(from));
                let packed = || format!("{name} cannot be unpacked");
                let head = some(&mut unpacked, kind::HEAD as u64).with_context(packed)?;
                let within = format!("{name}, unpacked,");
                let kind = Kind::of(&head).known(&within)?;
                ensure!(kind != Kind::Gzip, "{name} is packed twice by gzip; unpack it once");
                return Self::whole(&within, kind, head, unpacked, longest, packed);
            }
            _ => (head, from),
        };
        Self::whole(name, kind.known(name)?, file.0, file.1, longest, cannot)
    }

    /// A capture of a known kind, of which `file` is the beginning.
    fn whole(
        name: &str,
        kind: Kind,
        mut file: Vec<u8>,
        rest: impl Read,
        longest: usize,
        cannot: impl FnOnce() -> String,
    ) -> Result<Self> {
        rest.take(LARGEST + 1).read_to_end(&mut file).with_context(cannot)?;
        ensure!(file.len() as u64 <= LARGEST, "{name} has more than {} MiB", LARGEST >> 20);
        let frames = match kind {
            Kind::Pcap(order) => pcap::frames(&file, order),
            _ => pcapng::frames(&file),
        };
        let frames = frames.with_context(|| format!("{name} cannot be read"))?;
        ensure!(!frames.is_empty(), "{name} holds no frame");
        let number = 1..;
        let frames = number.zip(frames).map(|(number, frame)| frame.carried(name, number, longest));
        Ok(Self { frames: frames.collect::<Result<_>>()? })
    }
}

/// The first bytes of a stream, `most` unless it ends before.
fn some(from: &mut impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Frame {
    /// The frame without its FCS; an error if the frame is not complete.
    fn carried(mut self, name: &str, number: usize, longest: usize) -> Result<Vec<u8>> {
        let Frame { original, link, fcs, .. } = self;
        let len = self.data.len();
        if link != ETHERNET {
            let called = kind::link(link).map(|name| format!(" ({name})")).unwrap_or_default();
            bail!("{name}: frame {number} is of link type {link}{called}, not Ethernet");
        }
        if len < original {
            bail!(
                "{name}: frame {number} was cut to {len} of {original} bytes when it was captured; \
                 record with a larger snap length"
            );
        }
        if !matches!(fcs, 0 | FCS) {
            bail!("{name}: frame {number} ends with a check sequence of {fcs} bytes; Ethernet's has 4");
        }
        let len = len.saturating_sub(fcs);
        if len < HEADER {
            bail!("{name}: frame {number} has {len} bytes, an Ethernet header has {HEADER}");
        }
        if len > longest {
            bail!(
                "{name}: frame {number} has {len} bytes, the card carries at most {longest}; \
                 record with segmentation offload off (ethtool -K DEV tso off gso off gro off)"
            );
        }
        self.data.truncate(len);
        Ok(self.data)
    }
}
