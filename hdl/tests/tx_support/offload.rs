//! What frames are to become of a packet with offloads, byte by byte from the descriptors' rules.

/// A request as descriptors have it: word 1 of the first data descriptor, and the meta descriptor's values.
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

    /// Frames of a packet whose first `pushed` bytes come with its descriptors, or nothing if it is bad.
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
            if mss == 0 || self.l4_words < 5 || header > 256 || header > packet.len() {
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
        let count = cuts.len();
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
                let sum = !fold(total + sum(&frame[l4_at..])) & 0xffff;
                put(frame, sum_at, if udp && sum == 0 { 0xffff } else { sum });
            }
            cut
        };
        Some(cuts.into_iter().enumerate().map(finish).collect())
    }
}
