//! Reads captures: pcap and pcapng, Ethernet only.

use anyhow::{bail, Context, Result};
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::DataLink;
use std::fs;
use std::path::Path;

/// The frames of a capture, in file order.
#[derive(Debug)]
pub struct Capture {
    pub frames: Vec<Vec<u8>>,
}

impl Capture {
    /// Reads every frame of a file; refuses what the card could not carry whole. `longest` is the
    /// longest frame the card accepts, without FCS.
    pub fn read(path: &Path, longest: usize) -> Result<Self> {
        let name = path.display();
        if path.is_dir() {
            bail!("{name} is a directory; give a pcap or pcapng file");
        }
        let file = fs::read(path).with_context(|| format!("cannot read {name}"))?;
        Self::parse(&name.to_string(), &file, longest)
    }

    /// The same of a file in memory.
    pub fn parse(name: &str, file: &[u8], longest: usize) -> Result<Self> {
        let Some(magic) = file.first_chunk() else {
            bail!("{name} is too short to be a capture");
        };
        let frames = match u32::from_be_bytes(*magic) {
            0xa1b2_c3d4 | 0xd4c3_b2a1 | 0xa1b2_3c4d | 0x4d3c_b2a1 => pcap_frames(file),
            0x0a0d_0d0a => pcapng_frames(file),
            other => bail!("{name} is neither pcap nor pcapng (it starts with {other:08x})"),
        }
        .with_context(|| format!("{name} cannot be read"))?;
        for (i, frame) in frames.iter().enumerate() {
            let number = i + 1;
            match frame {
                Frame { data, original, .. } if data.len() < *original => bail!(
                    "{name}: frame {number} was cut to {} of {original} bytes when it was captured; \
                     record with a larger snap length",
                    data.len()
                ),
                Frame { data, .. } if data.len() < 14 => {
                    bail!("{name}: frame {number} has {} bytes, an Ethernet header has 14", data.len())
                }
                Frame { data, .. } if data.len() > longest => bail!(
                    "{name}: frame {number} has {} bytes, the card carries at most {longest}; \
                     record with segmentation offload off (ethtool -K DEV tso off gso off gro off)",
                    data.len()
                ),
                Frame { link, .. } if *link != DataLink::ETHERNET => {
                    bail!("{name}: frame {number} is of link type {link:?}, not Ethernet")
                }
                _ => {}
            }
        }
        if frames.is_empty() {
            bail!("{name} holds no frame");
        }
        Ok(Self { frames: frames.into_iter().map(|f| f.data).collect() })
    }
}

struct Frame {
    data: Vec<u8>,
    original: usize,
    link: DataLink,
}

fn pcap_frames(file: &[u8]) -> Result<Vec<Frame>> {
    let mut reader = PcapReader::new(file)?;
    let link = reader.header().datalink;
    let mut frames = vec![];
    // Raw: time stamps that are none, or a snap length that isn't kept, are no matter here.
    while let Some(packet) = reader.next_raw_packet() {
        let packet = packet.with_context(|| format!("frame {} is broken", frames.len() + 1))?;
        frames.push(Frame {
            original: packet.orig_len as usize,
            data: packet.data.into_owned(),
            link,
        });
    }
    Ok(frames)
}

fn pcapng_frames(file: &[u8]) -> Result<Vec<Frame>> {
    let mut reader = PcapNgReader::new(file)?;
    let mut frames: Vec<Frame> = vec![];
    let mut links: Vec<DataLink> = vec![];
    while let Some(block) = reader.next_block() {
        let broken = || format!("the block after frame {} is broken", frames.len());
        match block.with_context(broken)? {
            Block::SectionHeader(_) => links.clear(),
            Block::InterfaceDescription(i) => links.push(i.linktype),
            Block::EnhancedPacket(p) => {
                let Some(&link) = links.get(p.interface_id as usize) else {
                    bail!(
                        "frame {} names interface {}, which is not described",
                        frames.len() + 1,
                        p.interface_id
                    );
                };
                frames.push(Frame {
                    original: p.original_len as usize,
                    data: p.data.into_owned(),
                    link,
                });
            }
            Block::SimplePacket(p) => {
                let Some(&link) = links.first() else {
                    bail!("frame {} comes before any interface description", frames.len() + 1);
                };
                let original = p.original_len as usize;
                // The block's padding may be left at its end.
                let mut data = p.data.into_owned();
                data.truncate(original);
                frames.push(Frame { original, data, link });
            }
            _ => {}
        }
    }
    Ok(frames)
}
