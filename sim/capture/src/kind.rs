//! The kind of a file, by its first bytes. Kinds that are not supported have names for messages.

use anyhow::{bail, Result};

use crate::words::Order;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Pcap(Order),
    PcapNg,
    Gzip,
    /// The name of the packer, and the command that unpacks the file to standard output.
    Packed(&'static str, &'static str),
    /// Another format for captures.
    Foreign(&'static str),
    /// The bytes it starts with.
    Unknown(u32),
    Short,
}

/// The number of first bytes that decide.
pub const HEAD: usize = 16;

impl Kind {
    pub fn of(head: &[u8]) -> Kind {
        let known = BEGINNINGS.iter().find(|(beginning, _)| head.starts_with(beginning));
        match (known, head.first_chunk()) {
            (Some((_, kind)), _) => *kind,
            (None, Some(word)) => Kind::Unknown(u32::from_be_bytes(*word)),
            (None, None) => Kind::Short,
        }
    }

    /// The kind, if it can be read; else an error.
    pub fn known(self, name: &str) -> Result<Kind> {
        match self {
            Kind::Packed(by, tool) => bail!(
                "{name} is packed by {by}; unpack it, or let `{tool}` write it to `--pcap -` by a pipe"
            ),
            Kind::Foreign(format) => bail!(
                "{name} is {format}, neither pcap nor pcapng; Wireshark's editcap makes one of it"
            ),
            Kind::Unknown(word) => {
                bail!("{name} is neither pcap nor pcapng (it starts with {word:08x})")
            }
            Kind::Short => bail!("{name} is too short to be a capture"),
            known => Ok(known),
        }
    }
}

const KUZNETZOV: &str = "the pcap variant of Alexey Kuznetzov's libpcap patch (magic a1b2cd34)";
const MESQUITA: &str = "the pcap variant of Francisco Mesquita's libpcap patch (magic a1b234cd)";
const NAVTEL: &str = "the pcap variant of Navtel's analysers (magic a12b3c4d)";
const IXIA: &str = "the pcap variant of Ixia's analysers (lcap)";

const BEGINNINGS: [(&[u8], Kind); 36] = [
    // Time stamps in microseconds, and in nanoseconds.
    (b"\xa1\xb2\xc3\xd4", Kind::Pcap(Order::Big)),
    (b"\xd4\xc3\xb2\xa1", Kind::Pcap(Order::Little)),
    (b"\xa1\xb2\x3c\x4d", Kind::Pcap(Order::Big)),
    (b"\x4d\x3c\xb2\xa1", Kind::Pcap(Order::Little)),
    (b"\x0a\x0d\x0d\x0a", Kind::PcapNg),
    (b"\x1f\x8b", Kind::Gzip),
    (b"\xfd7zXZ\0", Kind::Packed("xz", "xz -dc")),
    (b"\x28\xb5\x2f\xfd", Kind::Packed("zstd", "zstd -dc")),
    (b"\x04\x22\x4d\x18", Kind::Packed("lz4", "lz4 -dc")),
    (b"BZh", Kind::Packed("bzip2", "bzip2 -dc")),
    (b"\x1f\x9d", Kind::Packed("compress", "zcat")),
    (b"LZIP", Kind::Packed("lzip", "lzip -dc")),
    (b"PK\x03\x04", Kind::Packed("zip", "unzip -p")),
    (b"7z\xbc\xaf\x27\x1c", Kind::Packed("7-Zip", "7z e -so")),
    (b"\xa1\xb2\xcd\x34", Kind::Foreign(KUZNETZOV)),
    (b"\x34\xcd\xb2\xa1", Kind::Foreign(KUZNETZOV)),
    (b"\xa1\xb2\x34\xcd", Kind::Foreign(MESQUITA)),
    (b"\xcd\x34\xb2\xa1", Kind::Foreign(MESQUITA)),
    (b"\xa1\x2b\x3c\x4d", Kind::Foreign(NAVTEL)),
    (b"\x4d\x3c\x2b\xa1", Kind::Foreign(NAVTEL)),
    (b"\x1c\x00\x01\xac", Kind::Foreign(IXIA)),
    (b"\xac\x01\x00\x1c", Kind::Foreign(IXIA)),
    (b"\x1c\x00\x01\xab", Kind::Foreign(IXIA)),
    (b"\xab\x01\x00\x1c", Kind::Foreign(IXIA)),
    (b"snoop\0\0\0", Kind::Foreign("a snoop capture")),
    (b"RTSS", Kind::Foreign("a capture of Microsoft Network Monitor 1")),
    (b"GMBU", Kind::Foreign("a capture of Microsoft Network Monitor 2")),
    (b"TRSNIFF data", Kind::Foreign("a capture of NetXRay or Sniffer")),
    (b"XCP\0", Kind::Foreign("a capture of NetXRay or Sniffer")),
    (b"iptrace 1.0", Kind::Foreign("a capture of AIX's iptrace")),
    (b"iptrace 2.0", Kind::Foreign("a capture of AIX's iptrace")),
    (b"\x54\x52\x00\x64\x00", Kind::Foreign("an HP-UX nettl trace")),
    (b"btsnoop\0", Kind::Foreign("a btsnoop trace of Bluetooth")),
    (b"\x7fver", Kind::Foreign("a capture of EtherPeek or OmniPeek")),
    (b"\0\0\0\0\x0a\x0d\x0d\x0a", Kind::Foreign("a pcapng file with zeros before it")),
    (b"-----BEGIN", Kind::Foreign("a text in PEM")),
];

/// The names of common link types.
pub fn link(number: u16) -> Option<&'static str> {
    Some(match number {
        0 => "BSD loopback",
        6 => "Token Ring",
        9 => "PPP",
        10 => "FDDI",
        50 => "PPP over a serial line",
        51 => "PPPoE",
        101 | 228 | 229 => "raw IP",
        104 => "Cisco HDLC",
        105 => "802.11",
        107 => "Frame Relay",
        108 => "OpenBSD loopback",
        113 => "Linux cooked",
        117 => "OpenBSD pflog",
        119 => "802.11 behind a Prism header",
        122 => "IP over Fibre Channel",
        127 => "802.11 behind a radiotap header",
        147..=162 => "a private one",
        187 | 201 => "Bluetooth",
        189 | 220 => "USB of Linux",
        195 | 215 | 230 | 283 => "802.15.4",
        227 => "CAN",
        239 => "nflog",
        249 => "USB of Windows",
        253 => "netlink",
        276 => "Linux cooked, version 2",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_names_one_kind() {
        for (n, (beginning, _)) in BEGINNINGS.iter().enumerate() {
            assert!(beginning.len() <= HEAD);
            let first = BEGINNINGS.iter().position(|(other, _)| beginning.starts_with(other));
            assert_eq!(first, Some(n), "{beginning:?}");
        }
    }
}
