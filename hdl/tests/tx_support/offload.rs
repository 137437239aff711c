//! The frames expected of a packet with offloads, byte by byte from the descriptors' rules.

use super::Rng;

/// A request as descriptors have it: word 1 of the first data descriptor, and the meta descriptor's
/// values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wish {
    pub word1: u32,
    pub mss: u16,
    pub l3_len: u16,
    pub l3_off: u16,
    pub l4_words: u16,
}

pub const DF: u32 = 1 << 4;
pub const TSO: u32 = 1 << 7;
pub const IP_CSUM: u32 = 1 << 13;
pub const L4_CSUM: u32 = 1 << 14;
pub const PARTIAL: u32 = 1 << 17;
pub const V4: u32 = 8;
pub const V6: u32 = 11;
pub const TCP: u32 = 12 << 8;
pub const UDP: u32 = 13 << 8;

/// Most bytes of a frame without and with offloads.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub plain: u64,
    pub off: u64,
}

/// A frame, and which bytes of the packet are in it, but for a header that is repeated.
#[derive(Clone, Debug, PartialEq)]
pub struct Cut {
    pub frame: Vec<u8>,
    pub bytes: std::ops::Range<usize>,
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from(bytes[at]) << 8 | u64::from(bytes[at + 1])
}

fn put(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 2].copy_from_slice(&(value as u16).to_be_bytes());
}

fn sum(bytes: &[u8]) -> u64 {
    bytes
        .chunks(2)
        .map(|pair| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0)))
        .sum()
}

fn fold(mut sum: u64) -> u64 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

impl Wish {
    fn has(&self, bit: u32) -> bool {
        self.word1 & bit != 0
    }

    pub fn tso(&self) -> bool {
        self.has(TSO)
    }

    /// Frames of a packet whose first `pushed` bytes come with its descriptors, or nothing if it is
    /// bad.
    pub fn frames(&self, packet: &[u8], pushed: usize, limits: Limits) -> Option<Vec<Cut>> {
        let (l3, l4_proto) = (self.word1 & 15, self.word1 & 0x1f00);
        let tso = self.tso();
        let ask_ip = tso || self.has(IP_CSUM);
        let ask_l4 = tso || self.has(L4_CSUM);
        let full = tso || (ask_l4 && !self.has(PARTIAL));
        let (l3_at, l3_len) = (usize::from(self.l3_off), usize::from(self.l3_len));
        let l4_at = l3_at + l3_len;
        if !ask_ip && !ask_l4 {
            let all = Cut { frame: packet.to_vec(), bytes: 0..packet.len() };
            return (packet.len() as u64 <= limits.plain).then_some(vec![all]);
        }
        let udp = l4_proto == UDP;
        if ask_l4 && !(l4_proto == TCP || (udp && !tso) || (tso && l4_proto == 0)) {
            return None;
        }
        if ask_ip || full {
            match l3 {
                V4 if (20..=60).contains(&l3_len) && l3_len % 4 == 0 => {}
                V6 if !full || (l3_len >= 40 && l3_len % 2 == 0) => {}
                _ => return None,
            }
        }
        let header = l4_at + 4 * usize::from(self.l4_words);
        let cuts: Vec<Cut> = if tso {
            let mss = usize::from(self.mss);
            if mss < 8 || self.l4_words < 5 || header > 256 || header > packet.len() {
                return None;
            }
            let mut at = header;
            let mut cuts = Vec::new();
            while cuts.is_empty() || at < packet.len() {
                let end = packet.len().min(at + mss);
                let frame = [&packet[..header], &packet[at..end]].concat();
                cuts.push(Cut { frame, bytes: if cuts.is_empty() { 0..end } else { at..end } });
                at = end;
            }
            cuts
        } else {
            vec![Cut { frame: packet.to_vec(), bytes: 0..packet.len() }]
        };
        let sum_at = l4_at + if udp { 6 } else { 16 };
        let need = if ask_l4 { sum_at + 2 } else { l4_at };
        let longest = cuts[0].frame.len();
        if need.max(pushed) > longest || longest as u64 > limits.off {
            return None;
        }
        if full && l4_at > 256 {
            return None;
        }
        let count = cuts.len();
        let packet_end = self.end(packet, longest);
        let finish = |(n, mut cut): (usize, Cut)| {
            let frame = &mut cut.frame;
            if tso {
                let len = frame.len() - l3_at;
                if l3 == V4 {
                    put(frame, l3_at + 2, len as u64);
                    let id = word(frame, l3_at + 4) + n as u64;
                    put(frame, l3_at + 4, id);
                } else {
                    put(frame, l3_at + 4, (len - 40) as u64);
                }
                let seq: [u8; 4] = frame[l4_at + 4..l4_at + 8].try_into().unwrap();
                let before = (n * usize::from(self.mss)) as u32;
                let seq = u32::from_be_bytes(seq).wrapping_add(before).to_be_bytes();
                frame[l4_at + 4..l4_at + 8].copy_from_slice(&seq);
                if n + 1 < count {
                    frame[l4_at + 13] &= !0x09;
                }
                if n > 0 {
                    frame[l4_at + 13] &= !0x80;
                }
            }
            if ask_ip && l3 == V4 {
                put(frame, l3_at + 10, 0);
                let sum = fold(sum(&frame[l3_at..l4_at]));
                put(frame, l3_at + 10, !sum);
            }
            if ask_l4 {
                let mut total = 0;
                if full {
                    put(frame, sum_at, 0);
                    let protocol = if udp { 17 } else { 6 };
                    let (len, addresses) = if l3 == V4 {
                        (word(frame, l3_at + 2) as i64, 12..20)
                    } else {
                        (word(frame, l3_at + 4) as i64 + 40, 8..40)
                    };
                    let len = (len - l3_len as i64).rem_euclid(0xffff) as u64;
                    total = protocol + len + sum(&frame[l3_at..][addresses]);
                }
                let end = if tso { frame.len() } else { packet_end };
                let sum = !fold(total + sum(&frame[l4_at..end])) & 0xffff;
                put(frame, sum_at, if udp && sum == 0 { 0xffff } else { sum });
            }
            cut
        };
        Some(cuts.into_iter().enumerate().map(finish).collect())
    }

    /// Where the packet ends that is no segment: what is behind is a trailer.
    fn end(&self, packet: &[u8], all: usize) -> usize {
        let (l3, l3_at, l3_len) = (self.word1 & 15, self.l3_off as usize, self.l3_len as usize);
        let end = match l3 {
            V4 if (20..=60).contains(&l3_len) && l3_len % 4 == 0 => word(packet, l3_at + 2),
            V6 if l3_len >= 40 && l3_len % 2 == 0 => word(packet, l3_at + 4) + 40,
            _ => return all,
        };
        let end = l3_at + end as usize;
        let least = l3_at + l3_len + if self.word1 & 0x1f00 == UDP { 8 } else { 18 };
        if (least..=all).contains(&end) {
            end
        } else {
            all
        }
    }

    /// A packet of which frames could be made, but none with a checksum that is right for what its
    /// IP header says.
    pub fn refused(&self, packet: &[u8]) -> bool {
        let tso = self.tso();
        if !tso && (!self.has(L4_CSUM) || self.has(PARTIAL)) {
            return false;
        }
        let v6 = self.word1 & 15 == V6;
        let l3_len = usize::from(self.l3_len);
        let ip = &packet[usize::from(self.l3_off)..];
        if !tso {
            let end = if v6 { word(ip, 4) as usize + 40 } else { word(ip, 2) as usize };
            let udp = self.word1 & 0x1f00 == UDP;
            if end > ip.len() || end < l3_len + if udp { 8 } else { 18 } {
                return true;
            }
            if udp && l3_len + word(ip, l3_len + 4) as usize != end {
                return true;
            }
        }
        if v6 {
            chain(ip, l3_len)
        } else {
            word(ip, 6) & 0x3fff != 0 || source_route(ip, l3_len)
        }
    }

    /// Headers as a host makes them, `trailer` bytes before the frame's end; options and extension
    /// headers of padding.
    pub fn dress(&self, packet: &mut [u8], trailer: usize) {
        let (l3_at, l3_len) = (usize::from(self.l3_off), usize::from(self.l3_len));
        let l4_at = l3_at + l3_len;
        let v6 = self.word1 & 15 == V6;
        if packet.len() < l4_at + 20 + trailer || l3_len < if v6 { 40 } else { 20 } {
            return;
        }
        let len = packet.len() - trailer - l3_at;
        if v6 {
            put(packet, l3_at + 4, len as u64 - 40);
            let l4 = if self.word1 & 0x1f00 == UDP { 17 } else { 6 };
            let rest = l3_len - 40;
            packet[l3_at + 6] = if rest == 0 { l4 } else { 60 };
            if rest >= 8 {
                packet[l3_at + 40..l4_at].fill(0);
                packet[l3_at + 40] = l4;
                packet[l3_at + 41] = (rest / 8 - 1) as u8;
            }
        } else {
            put(packet, l3_at + 2, len as u64);
            packet[l3_at + 6] &= 0x40;
            packet[l3_at + 7] = 0;
            packet[l3_at + 20..l4_at].fill(1);
        }
        if self.word1 & 0x1f00 == UDP {
            put(packet, l4_at + 4, (len - l3_len) as u64);
        }
    }

    /// The same, or with a trailer, or something odd: options and extension headers of any kind,
    /// lengths that are wrong, fragments.
    pub fn vary(&self, packet: &mut [u8], rng: &mut Rng) {
        let trailer = if rng.percent(30) { rng.below(50) as usize } else { 0 };
        self.dress(packet, trailer);
        let (l3_at, l3_len) = (usize::from(self.l3_off), usize::from(self.l3_len));
        let l4_at = l3_at + l3_len;
        let v6 = self.word1 & 15 == V6;
        if packet.len() < l4_at + 20 || l3_len < if v6 { 40 } else { 20 } {
            return;
        }
        let len_at = l3_at + if v6 { 4 } else { 2 };
        let len = word(packet, len_at);
        match rng.below(20) {
            0 => put(packet, len_at, rng.next()),
            1 => put(packet, len_at, len + rng.range(1, 3)),
            2 => put(packet, len_at, len.wrapping_sub(rng.range(1, 3))),
            3 => put(packet, l4_at + 4, word(packet, l4_at + 4) + rng.range(1, 3)),
            4 if !v6 => put(packet, l3_at + 6, 1 << rng.below(16)),
            _ => {}
        }
        if v6 {
            extensions(&mut packet[l3_at..l4_at], rng);
        } else {
            options(&mut packet[l3_at + 20..l4_at], rng);
        }
    }
}

/// Extension headers up to `l3_len` that change the pseudo header, or lead to anything but TCP or
/// UDP.
fn chain(ip: &[u8], l3_len: usize) -> bool {
    if l3_len == 40 {
        return false;
    }
    let (mut kind, mut at) = (ip[6], 40);
    while at < l3_len {
        let len = if kind == 44 { 8 } else { 8 + 8 * usize::from(ip[at + 1]) };
        if at + len > l3_len {
            return true;
        }
        let header = &ip[at..at + len];
        let odd = match kind {
            0 | 60 => {
                let mut types = Vec::new();
                let mut rest = &header[2..];
                while let Some(&kind) = rest.first() {
                    types.push(kind);
                    let skip = match (kind, rest.get(1)) {
                        (0, _) => 1,
                        (_, Some(&len)) => 2 + usize::from(len),
                        _ => 2,
                    };
                    rest = &rest[skip.min(rest.len())..];
                }
                types.iter().any(|kind| [0xc2, 0xc9].contains(kind))
            }
            43 => header[3] > 0,
            44 => word(header, 2) & !6 != 0,
            _ => true,
        };
        if odd {
            return true;
        }
        (kind, at) = (header[0], at + len);
    }
    ![6, 17].contains(&kind)
}

/// An IPv4 source route that is not used up, or an option that can't be read.
fn source_route(ip: &[u8], l3_len: usize) -> bool {
    let mut rest = &ip[20..l3_len];
    while let Some(&kind) = rest.first() {
        let skip = match (kind, rest.get(1)) {
            (0, _) => return false,
            (1, _) => 1,
            (_, None) => return true,
            (131 | 137, Some(&len)) => {
                if len < 3 || rest.get(2).is_some_and(|&pointer| pointer <= len) {
                    return true;
                }
                len
            }
            (_, Some(0 | 1)) => return true,
            (_, Some(&len)) => len,
        };
        let Some(behind) = rest.get(usize::from(skip)..) else { return true };
        rest = behind;
    }
    false
}

/// Headers one after the other in what there is room for.
fn extensions(ip: &mut [u8], rng: &mut Rng) {
    let (mut at, mut kind_at) = (40, 6);
    let l4 = if ip.len() == 40 { return } else { ip[40] };
    while at + 8 <= ip.len() {
        let units = rng.range(1, (ip.len() as u64 - at as u64) / 8) as usize;
        let kind = [0, 60, 60, 43, 44, 60][rng.below(6) as usize];
        let units = if kind == 44 { 1 } else { units };
        let header = &mut ip[at..at + 8 * units];
        header.fill(0);
        header[1] = units as u8 - 1;
        match kind {
            43 => header[3] = u8::from(rng.percent(20)),
            44 => {
                header[1] = rng.next() as u8;
                header[2] = u8::from(rng.percent(10));
                header[3] = if rng.percent(20) { 1 << rng.below(8) } else { 6 };
            }
            _ => {
                let mut o = 2;
                while o + 1 < header.len() {
                    let len = rng.below(8).min((header.len() - o - 2) as u64) as usize;
                    header[o] = if rng.percent(10) { 0xc9 } else { rng.range(1, 100) as u8 };
                    header[o + 1] = len as u8;
                    for byte in &mut header[o + 2..o + 2 + len] {
                        *byte = 0xc9;
                    }
                    o += 2 + len;
                }
            }
        }
        ip[kind_at] = kind;
        (kind_at, at) = (at, at + 8 * units);
    }
    ip[kind_at] = match rng.below(20) {
        0 => 50,
        1 => 59,
        2 => 60,
        _ => l4,
    };
    if rng.percent(5) && ip.len() > 41 {
        ip[41] = ip[41].wrapping_add(1);
    }
}

/// Options of IPv4.
fn options(area: &mut [u8], rng: &mut Rng) {
    let mut o = 0;
    while o + 3 < area.len() && rng.percent(80) {
        let len = rng.range(2, (area.len() - o) as u64).min(11);
        area[o] = [7, 68, 131, 137, 148, 1, 0][rng.below(7) as usize];
        area[o + 1] = if rng.percent(5) { rng.below(3) } else { len } as u8;
        if o + 2 < area.len() {
            area[o + 2] = if rng.percent(70) { len + 1 } else { len } as u8;
        }
        o += len as usize;
    }
}
