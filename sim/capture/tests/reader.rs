//! Captures made byte by byte, of both orders, as others have written them: each read whole or refused by its reason.

use nitor_capture::Capture;
use proptest::prelude::*;

const LONGEST: usize = 9234;

fn read(file: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let capture = Capture::parse("x", file, LONGEST).map_err(|e| format!("{e:#}"));
    capture.map(|capture| capture.frames)
}

fn refused(file: &[u8], words: &str) {
    let said = read(file).expect_err(words);
    assert!(said.contains(words), "{said}, not {words}");
}

fn frame(n: u8, len: usize) -> Vec<u8> {
    (0..len).map(|i| n ^ i as u8).collect()
}

/// A writer in one byte order.
#[derive(Clone, Copy)]
struct Writer {
    big: bool,
}

const BOTH: [Writer; 2] = [Writer { big: false }, Writer { big: true }];

impl Writer {
    fn u16(self, n: u16) -> [u8; 2] {
        if self.big {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    }

    fn u32(self, n: u32) -> [u8; 4] {
        if self.big {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    }

    fn words(self, words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|&word| self.u32(word)).collect()
    }

    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let len = self.u32(body.len() as u32 + 12);
        [&self.u32(kind)[..], &len, &body, &len].concat()
    }

    fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut option = [self.u16(code), self.u16(value.len() as u16)].concat();
        option.extend(value);
        option.resize(option.len().next_multiple_of(4), 0);
        option
    }

    fn section(self, options: &[u8]) -> Vec<u8> {
        let version = [self.u16(1), self.u16(0)].concat();
        let head = [&self.u32(0x1a2b_3c4d)[..], &version, &[0xff; 8], options].concat();
        self.block(0x0a0d_0d0a, &head)
    }

    fn interface(self, link: u16, snap: u32, options: &[u8]) -> Vec<u8> {
        self.block(1, &[&self.u16(link)[..], &[0; 2], &self.u32(snap), options].concat())
    }

    fn enhanced(self, interface: u32, frame: &[u8], options: &[u8]) -> Vec<u8> {
        let len = frame.len() as u32;
        let mut body = self.words(&[interface, 0xffff_ffff, 7, len, len]);
        body.extend(frame);
        body.resize(body.len().next_multiple_of(4), 0);
        self.block(6, &[body, options.to_vec()].concat())
    }

    /// The first draft's: interface and count of drops share a word.
    fn packet(self, interface: u16, frame: &[u8], options: &[u8]) -> Vec<u8> {
        let len = frame.len() as u32;
        let mut body = [self.u16(interface), self.u16(0xffff)].concat();
        body.extend(self.words(&[1, 2, len, len]));
        body.extend(frame);
        body.resize(body.len().next_multiple_of(4), 0);
        self.block(2, &[body, options.to_vec()].concat())
    }

    fn simple(self, frame: &[u8], original: u32) -> Vec<u8> {
        self.block(3, &[&self.u32(original)[..], frame].concat())
    }

    fn pcap(self, magic: u32, minor: u16, link: u32, frames: &[(&[u8], u32)]) -> Vec<u8> {
        let mut file = self.u32(magic).to_vec();
        file.extend([self.u16(2), self.u16(minor)].concat());
        file.extend(self.words(&[0, 0, 65535, link]));
        for (data, original) in frames {
            file.extend(self.words(&[1, 2, data.len() as u32, *original]));
            file.extend(*data);
        }
        file
    }
}

const MICRO: u32 = 0xa1b2_c3d4;
const NANO: u32 = 0xa1b2_3c4d;

#[test]
fn pcap_of_both_orders_and_clocks() {
    let (a, b) = (frame(1, 60), frame(2, 1514));
    for writer in BOTH {
        for magic in [MICRO, NANO] {
            let file = writer.pcap(magic, 4, 1, &[(&a, 60), (&b, 1514)]);
            assert_eq!(read(&file).unwrap(), [a.clone(), b.clone()]);
        }
    }
}

#[test]
fn bits_of_the_link_word_say_how_long_the_fcs_is() {
    let (whole, with_fcs) = (frame(1, 60), frame(1, 64));
    for writer in BOTH {
        let link = 2 << 28 | 1 << 26 | 1;
        assert_eq!(read(&writer.pcap(MICRO, 4, link, &[(&with_fcs, 64)])).unwrap(), [&whole[..]]);
        // A length without the bit that says that there is one; and the bit with none.
        for link in [2 << 28 | 1, 1 << 26 | 1] {
            let file = writer.pcap(MICRO, 4, link, &[(&with_fcs, 64)]);
            assert_eq!(read(&file).unwrap(), [&with_fcs[..]]);
        }
        let file = writer.pcap(MICRO, 4, 1 << 28 | 1 << 26 | 1, &[(&with_fcs, 64)]);
        refused(&file, "frame 1 ends with a check sequence of 2 bytes");
        // 9,234 bytes and an FCS are no longer than the longest.
        let (longest, link) = (frame(3, LONGEST + 4), 2 << 28 | 1 << 26 | 1);
        let file = writer.pcap(MICRO, 4, link, &[(&longest, longest.len() as u32)]);
        assert_eq!(read(&file).unwrap(), [&longest[..LONGEST]]);
    }
}

#[test]
fn old_pcap_has_lengths_the_other_way_round() {
    let data = frame(1, 60);
    for writer in BOTH {
        let mut file = writer.pcap(MICRO, 2, 1, &[]);
        file.extend(writer.words(&[1, 2, 100, 60]));
        file.extend(&data);
        refused(&file, "frame 1 was cut to 60 of 100 bytes");
        assert_eq!(read(&writer.pcap(MICRO, 3, 1, &[(&data, 60)])).unwrap(), [&data[..]]);
    }
}

#[test]
fn every_kind_of_packet_block_is_a_frame() {
    for writer in BOTH {
        // Lengths of all four remainders: padding is no part of a frame.
        for len in 60..64 {
            let frames: Vec<_> = (0..3).map(|n| frame(n, len)).collect();
            let file = [
                writer.section(&[]),
                writer.interface(1, 0, &[]),
                writer.enhanced(0, &frames[0], &[]),
                writer.packet(0, &frames[1], &[]),
                writer.simple(&frames[2], len as u32),
            ];
            assert_eq!(read(&file.concat()).unwrap(), frames);
        }
    }
}

#[test]
fn a_simple_packet_is_as_long_as_its_interface_lets_it() {
    for writer in BOTH {
        let file = |snap, original| {
            let simple = writer.simple(&frame(1, 61), original);
            [writer.section(&[]), writer.interface(1, snap, &[]), simple].concat()
        };
        assert_eq!(read(&file(61, 61)).unwrap(), [frame(1, 61)]);
        assert_eq!(read(&file(65535, 61)).unwrap(), [frame(1, 61)]);
        refused(&file(61, 1514), "frame 1 was cut to 61 of 1514 bytes");
        refused(&file(0, 1514), "frame 1 is broken: of its 1514 bytes its block holds 64");
    }
}

/// What is legal, and what no frame depends on.
#[test]
fn options_are_not_looked_at() {
    for writer in BOTH {
        let option = |code, value: &[u8]| writer.option(code, value);
        let odd = [
            // No end of options, here and everywhere.
            option(1, b"a comment"),
            option(1, b"no UTF-8: \xff\xfe"),
            option(2, b"a name without UTF-8: \xe4"),
            option(10, &[0, 0, 0, 60]),
            option(9, &[6, 0, 0, 0]),
            option(8, &[1, 2, 3]),
            option(14, &[1]),
            option(4, &[10, 0, 0]),
            option(13, &[1, 2]),
            option(0x8123, b"private"),
        ];
        let blocks = odd.iter().cloned().chain([odd.concat()]);
        for options in blocks {
            let flags = option(2, &[1, 0]);
            let file = [
                writer.section(&options),
                writer.interface(1, 0, &options),
                writer.block(4, &[0xff; 32]),
                writer.block(5, &options),
                writer.enhanced(0, &frame(1, 61), &[flags.clone(), option(1, b"\xff")].concat()),
                writer.block(0xbad, b"custom"),
                writer.packet(0, &frame(2, 62), &flags),
            ];
            assert_eq!(read(&file.concat()).unwrap(), [frame(1, 61), frame(2, 62)], "{options:x?}");
        }
        // One that is longer than its block ends them.
        let endless = [&writer.u16(1)[..], &writer.u16(400), b"cut "].concat();
        let file = [
            writer.section(&endless),
            writer.interface(1, 0, &endless),
            writer.enhanced(0, &frame(1, 60), &endless),
        ];
        assert_eq!(read(&file.concat()).unwrap(), [frame(1, 60)]);
    }
}

#[test]
fn options_that_frames_depend_on_are_read() {
    let (with_fcs, without) = (frame(1, 64), frame(1, 60));
    for writer in BOTH {
        let flags = |bytes: u32| writer.option(2, &writer.u32(bytes << 5 | 1));
        let read = |interface: &[u8], packet: &[u8]| {
            let start = [writer.section(&[]), writer.interface(1, 0, interface)].concat();
            let enhanced = read(&[&start[..], &writer.enhanced(0, &with_fcs, packet)].concat());
            let draft = read(&[&start[..], &writer.packet(0, &with_fcs, packet)].concat());
            assert_eq!(enhanced, draft);
            enhanced
        };
        // In bytes, as most have it, and in bits; or the packet says it.
        for length in [4, 32] {
            let options = [writer.option(1, b"before"), writer.option(13, &[length])].concat();
            assert_eq!(read(&options, &[]).unwrap(), [&without[..]]);
        }
        assert_eq!(read(&[], &flags(4)).unwrap(), [&without[..]]);
        assert_eq!(read(&writer.option(13, &[4]), &flags(0)).unwrap(), [&without[..]]);
        assert_eq!(read(&[], &flags(0)).unwrap(), [&with_fcs[..]]);
        assert!(read(&[], &flags(2)).unwrap_err().contains("a check sequence of 2 bytes"));
        // Behind the end of options there is none.
        let hidden = [writer.option(0, &[]), writer.option(13, &[4])].concat();
        assert_eq!(read(&hidden, &[]).unwrap(), [&with_fcs[..]]);
    }
}

#[test]
fn sections_have_their_own_order_and_interfaces() {
    let [little, big] = BOTH;
    let part = |writer: Writer, n| {
        let blocks = [writer.interface(113, 0, &[]), writer.interface(1, 0, &[])].concat();
        [writer.section(&[]), blocks, writer.enhanced(1, &frame(n, 60), &[])].concat()
    };
    let file = [part(little, 1), part(big, 2), part(little, 3)].concat();
    assert_eq!(read(&file).unwrap(), [frame(1, 60), frame(2, 60), frame(3, 60)]);
    let file = [part(little, 1), big.section(&[]), big.enhanced(1, &frame(2, 60), &[])].concat();
    refused(&file, "frame 2 is broken: it names interface 1, which is not described");
    refused(
        &[little.section(&[]), little.simple(&frame(1, 60), 60)].concat(),
        "before any interface",
    );
    let file = [part(little, 1), little.enhanced(0, &frame(2, 60), &[])].concat();
    refused(&file, "frame 2 is of link type 113 (Linux cooked), not Ethernet");
}

#[test]
fn gzip_is_unpacked() {
    use flate2::{write::GzEncoder, Compression};
    use std::io::Write;
    let pack = |bytes: &[u8]| {
        let mut packed = GzEncoder::new(vec![], Compression::default());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    };
    let file = BOTH[0].pcap(MICRO, 4, 1, &[(&frame(1, 60), 60), (&frame(2, 900), 900)]);
    let frames = [frame(1, 60), frame(2, 900)];
    assert_eq!(read(&pack(&file)).unwrap(), frames);
    // In two members, as pigz and cat make them.
    let parts = [pack(&file[..100]), pack(&file[100..])].concat();
    assert_eq!(read(&parts).unwrap(), frames);
    let packed = pack(&file);
    refused(&packed[..packed.len() - 9], "x cannot be unpacked");
    refused(&pack(b"this is no capture"), "x, unpacked, is neither pcap nor pcapng");
    refused(&pack(&pack(&file)), "packed twice");
    refused(&pack(b""), "too short");
}

#[test]
fn what_is_not_read_is_named() {
    let named: [(&[u8], &str); 12] = [
        (b"\x28\xb5\x2f\xfd....", "x is packed by zstd; unpack it, or let `zstd -dc`"),
        (b"\xfd7zXZ\0\0\x04", "packed by xz"),
        (b"\x04\x22\x4d\x18....", "packed by lz4"),
        (b"BZh91AY", "packed by bzip2"),
        (b"PK\x03\x04....", "packed by zip"),
        (b"snoop\0\0\0\0\0\0\x02", "x is a snoop capture, neither pcap nor pcapng"),
        (b"\xa1\xb2\xcd\x34\0\x02\0\x04", "Kuznetzov"),
        (b"\x34\xcd\xb2\xa1\x02\0\x04\0", "Kuznetzov"),
        (b"\xa1\xb2\x34\xcd\0\x02\0\x04", "Mesquita"),
        (b"\x4d\x3c\x2b\xa1\x02\0\x04\0", "Navtel"),
        (b"\xac\x01\x00\x1c\x02\0\x04\0", "Ixia"),
        (b"GIF89a", "x is neither pcap nor pcapng (it starts with 47494638)"),
    ];
    for (file, words) in named {
        refused(file, words);
    }
    refused(b"", "too short");
    refused(b"abc", "too short");
}

#[test]
fn broken_files_are_refused() {
    let writer = BOTH[0];
    let whole = writer.pcap(MICRO, 4, 1, &[(&frame(1, 60), 60), (&frame(2, 60), 60)]);
    refused(
        &whole[..whole.len() - 10],
        "x cannot be read: frame 2 is broken: of its 60 bytes 50 are there",
    );
    refused(&whole[..whole.len() - 61], "frame 2 is broken: its header is cut off");
    refused(&whole[..20], "its header is cut off");
    refused(&whole[..24], "holds no frame");
    let mut wrong = whole.clone();
    wrong[4] = 7;
    refused(&wrong, "it is of version 7.4");

    let start = [writer.section(&[]), writer.interface(1, 0, &[])].concat();
    let whole = [&start[..], &writer.enhanced(0, &frame(1, 61), &[])].concat();
    refused(&start, "holds no frame");
    refused(
        &whole[..whole.len() - 1],
        "a block before the first frame is broken: of its 96 bytes 95",
    );
    refused(
        &[&whole[..], &whole[..10]].concat(),
        "the block after frame 1 is broken: it is cut off",
    );
    let mut wrong = whole.clone();
    *wrong.last_mut().unwrap() = 1;
    refused(&wrong, "at its begin and");
    let mut wrong = whole.clone();
    // Its captured length.
    wrong[start.len() + 20] = 65;
    refused(&wrong, "frame 1 is broken: of its 65 bytes its block holds 64");
    refused(
        &[&start[..], &writer.block(6, &[0; 16])].concat(),
        "frame 1 is broken: its block is too short",
    );
    refused(&[&start[..], &writer.block(1, &[0; 4])].concat(), "is broken: it is too short");
    let mut wrong = start.clone();
    wrong[12] = 9;
    refused(&wrong, "its section is of version 9.0");
    wrong[8] = 0;
    refused(&wrong, "names no byte order");
}

#[test]
fn frames_that_do_not_cross_are_refused() {
    let writer = BOTH[1];
    let file = |len: usize, original| writer.pcap(MICRO, 4, 1, &[(&frame(1, len), original)]);
    refused(&file(13, 13), "frame 1 has 13 bytes, an Ethernet header has 14");
    refused(&file(9235, 9235), "frame 1 has 9235 bytes, the card carries at most 9234");
    refused(&file(60, 61), "frame 1 was cut to 60 of 61 bytes");
    assert_eq!(read(&file(14, 14)).unwrap(), [frame(1, 14)]);
    for (link, words) in [(105, "105 (802.11)"), (277, "277, not Ethernet")] {
        refused(&writer.pcap(MICRO, 4, link, &[(&frame(1, 60), 60)]), words);
    }
}

/// What another library writes is read.
#[test]
fn files_of_another_writer() {
    use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
    use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionBlock;
    use pcap_file::pcapng::PcapNgWriter;
    use pcap_file::{DataLink, Endianness};
    for order in [Endianness::Little, Endianness::Big] {
        let mut writer = PcapNgWriter::with_endianness(vec![], order).unwrap();
        let interface =
            InterfaceDescriptionBlock { linktype: DataLink::ETHERNET, snaplen: 0, options: vec![] };
        writer.write_pcapng_block(interface).unwrap();
        let frames: Vec<_> = (60..70).map(|len| frame(len as u8, len)).collect();
        for data in &frames {
            let block = EnhancedPacketBlock {
                interface_id: 0,
                timestamp: std::time::Duration::from_nanos(5),
                original_len: data.len() as u32,
                data: data.into(),
                options: vec![],
            };
            writer.write_pcapng_block(block).unwrap();
        }
        assert_eq!(read(&writer.into_inner()).unwrap(), frames);
    }
}

/// The name of an endless file is all that is read of it.
#[cfg(unix)]
#[test]
fn what_has_no_end_is_refused() {
    let said = Capture::read("/dev/zero".as_ref(), LONGEST).unwrap_err().to_string();
    assert!(said.contains("neither pcap nor pcapng (it starts with 00000000)"), "{said}");
}

proptest! {
    /// Whatever a file has, it is read or refused, and what is read fits.
    #[test]
    fn no_file_makes_it_panic(
        big: bool,
        ng: bool,
        cut in 0usize..600,
        changes in prop::collection::vec((0usize..600, any::<u8>()), 0..6),
    ) {
        let writer = Writer { big };
        let mut file = match ng {
            true => [
                writer.section(&writer.option(2, b"hardware")),
                writer.interface(1, 0, &writer.option(13, &[4])),
                writer.enhanced(0, &frame(1, 65), &writer.option(2, &writer.u32(1))),
                writer.packet(0, &frame(2, 66), &[]),
                writer.simple(&frame(3, 67), 67),
            ].concat(),
            false => writer.pcap(MICRO, 4, 1, &[(&frame(1, 61), 61), (&frame(2, 90), 90)]),
        };
        file.truncate(file.len().saturating_sub(cut / 4));
        for (at, byte) in changes {
            if let Some(place) = file.get_mut(at) {
                *place = byte;
            }
        }
        if let Ok(frames) = read(&file) {
            prop_assert!(frames.iter().all(|frame| (14..=LONGEST).contains(&frame.len())));
        }
    }
}
