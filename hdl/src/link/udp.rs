//! The host link's frames in UDP datagrams: checks and removes headers, and makes them.
//!
//! | port | what |
//! |---|---|
//! | `mac_in_*`, `mac_out_*` | words of Ethernet frames as in [crate::eth::gmii_rx] |
//! | `word_*` | the link's words of a frame received; never stalled |
//! | `learn` | the frame that ended last is from the host: send to where it came from |
//! | `frame_*`, `frame_words` | a frame to send, and its length |
//!
//! A datagram's payload is 2 bytes of [MAGIC], so that what follows is aligned, and the link's
//! words.
//!
//! **Receiving.** Datagrams to UDP port [PORT] are accepted, whatever their destination addresses:
//! a host that does not know the board's addresses sends to the subnet's broadcast address. They
//! must be IPv4 with a header of 20 bytes, not fragmented. All other frames are ignored. The IP
//! checksum is not checked, since the FCS was.
//!
//! **Sending.** Frames go to the MAC address, IP address and port of the host, from the board's own
//! addresses, so neither side needs ARP. The IP header has its checksum (RFC 1071); the UDP
//! checksum is 0, which means none (RFC 768). Until the first `learn`, frames are taken and
//! dropped; the link sends them again.
//!
//! - **Latency**: a word received is valid one cycle after its word of the Ethernet frame; the
//!   first is the frame's twelfth. A frame to send is preceded by 11 words of headers; its own
//!   words pass in the same cycle.
//! - **Throughput**: a word a cycle each way.
//! - **Back-pressure**: received words are never stalled; `mac_out` stalls `frame`.

use super::{WordIn, WordOut};
use crate::eth::gmii_rx::Word;
use crate::rx::headers;
use nitor_rtl::prelude::*;

/// 'NT' in ASCII codes, a port that is not assigned to any service.
pub const PORT: u64 = 0x4e54;
/// The first two bytes of a datagram's payload: "N1".
pub const MAGIC: u64 = 0x314e;
/// Words before the link's own: Ethernet, IP and UDP headers and [MAGIC].
const HEADER: usize = 11;

#[derive(LogicBlock)]
pub struct LinkUdp {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub mac_in_valid: Signal<In, Bit>,
    pub mac_in: Signal<In, Word>,
    pub word_valid: Signal<Out, Bit>,
    pub word: Signal<Out, WordIn>,
    pub learn: Signal<In, Bit>,
    pub frame_valid: Signal<In, Bit>,
    pub frame_ready: Signal<Out, Bit>,
    pub frame: Signal<In, WordOut>,
    pub frame_words: Signal<In, Bits<9>>,
    pub mac_out_valid: Signal<Out, Bit>,
    pub mac_out_ready: Signal<In, Bit>,
    pub mac_out: Signal<Out, Word>,
    // Receiving.
    at: Reg<Bits<4>>,
    ours: Reg<Bit>,
    from_mac: Reg<MacAddr>,
    from_ip: Reg<Halves>,
    from_port: Reg<Bits<16>>,
    out_valid: Reg<Bit>,
    out: Reg<WordIn>,
    // The host's addresses; `known` is high from its first frame on.
    known: Reg<Bit>,
    host_mac: Reg<MacAddr>,
    host_ip: Reg<Halves>,
    host_port: Reg<Bits<16>>,
    // Sending.
    sending: Reg<Bits<4>>,
    total: Reg<Bits<16>>,
    sum_ip: Reg<Bits<20>>,
    sum: Reg<Bits<20>>,
    _mac: u64,
    _ip: u64,
}

impl Default for LinkUdp {
    fn default() -> Self {
        Self::new([0x02, 0x4e, 0x49, 0x54, 0x4f, 0x52], [192, 168, 77, 2])
    }
}

impl LinkUdp {
    /// The board's own addresses.
    pub fn new(mac: [u8; 6], ip: [u8; 4]) -> Self {
        let first_low = |bytes: &[u8]| bytes.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b));
        Self {
            clock: Default::default(),
            reset: Default::default(),
            mac_in_valid: Default::default(),
            mac_in: Default::default(),
            word_valid: Default::default(),
            word: Default::default(),
            learn: Default::default(),
            frame_valid: Default::default(),
            frame_ready: Default::default(),
            frame: Default::default(),
            frame_words: Default::default(),
            mac_out_valid: Default::default(),
            mac_out_ready: Default::default(),
            mac_out: Default::default(),
            at: Default::default(),
            ours: Default::default(),
            from_mac: Default::default(),
            from_ip: Default::default(),
            from_port: Default::default(),
            out_valid: Default::default(),
            out: Default::default(),
            known: Default::default(),
            host_mac: Default::default(),
            host_ip: Default::default(),
            host_port: Default::default(),
            sending: Default::default(),
            total: Default::default(),
            sum_ip: Default::default(),
            sum: Default::default(),
            _mac: first_low(&mac),
            _ip: first_low(&ip),
        }
    }
}

/// A word by its halves; `low` is first on the wire.
#[record]
struct Halves {
    low: Bits<16>,
    high: Bits<16>,
}

/// A MAC address by pairs of bytes, in the order of the wire.
#[record]
struct MacAddr {
    first: Bits<16>,
    second: Bits<16>,
    third: Bits<16>,
}

/// The end of an Ethernet header and the beginning of an IPv4 header.
#[record]
struct TypeWord {
    /// EtherType, IP version and header length, in the order of the wire.
    kind: Bits<24>,
    service: Bits<8>,
}

/// A word of the IPv4 header.
#[record]
struct ProtoWord {
    fragment: Bits<16>,
    ttl: Bits<8>,
    proto: Bits<8>,
}

#[kernel]
fn wide(x: Bits<16>) -> Bits<20> {
    bit_cast::<20, 16>(x)
}

/// A one's complement sum folded to 16 bits, inverted.
#[kernel]
fn folded(sum: Bits<20>) -> Bits<16> {
    let carry = bit_cast::<17, 20>(sum >> lit::<20>(16));
    let once = bit_cast::<17, 16>(bit_cast::<16, 20>(sum)) + carry;
    !(bit_cast::<16, 17>(once) + bit_cast::<16, 17>(once >> lit::<17>(16)))
}

impl Logic for LinkUdp {
    /// Host link in UDP: makes headers, checks and removes them.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; at, ours, out_valid);
        registers!(self, clock, reset; known, sending, total, sum_ip, sum);
        registers!(self, clock; from_mac, from_ip, from_port, out, host_mac, host_ip, host_port);

        // Receiving.
        let word = self.mac_in.val();
        let data = word.data;
        let halves = Halves::from_bits(data);
        let last = word.last;
        let at = self.at.q.val();
        let in_header = at != lit::<4>(HEADER);
        self.out_valid.d.next = false;
        if self.mac_in_valid.val() {
            let mut ours = self.ours.q.val();
            match at {
                0 => {
                    ours = true;
                }
                1 => {
                    self.from_mac.d.next = MacAddr { first: halves.high, ..self.from_mac.q.val() };
                }
                2 => {
                    self.from_mac.d.next =
                        MacAddr { second: halves.low, third: halves.high, ..self.from_mac.q.val() };
                }
                // Type 0800, version 4, 5 words of header.
                3 => {
                    ours = ours && TypeWord::from_bits(data).kind == lit::<24>(0x45_0008);
                }
                // No fragment, UDP.
                5 => {
                    let found = ProtoWord::from_bits(data);
                    ours = ours
                        && (found.fragment & lit::<16>(0xff3f)) == 0
                        && found.proto == lit::<8>(headers::proto::UDP);
                }
                6 => {
                    self.from_ip.d.next = Halves { low: halves.high, ..self.from_ip.q.val() };
                }
                7 => {
                    self.from_ip.d.next = Halves { high: halves.low, ..self.from_ip.q.val() };
                }
                8 => {
                    self.from_port.d.next = halves.high;
                }
                9 => {
                    ours = ours && headers::net16(halves.low) == lit::<16>(PORT);
                }
                10 => {
                    ours = ours && halves.high == lit::<16>(MAGIC);
                }
                _ => {}
            }
            self.ours.d.next = ours;
            if last {
                self.at.d.next = lit::<4>(0);
            } else if in_header {
                self.at.d.next = at + 1;
            }
            self.out_valid.d.next = !in_header && self.ours.q.val();
            // Padding behind the link's words passes too: a link frame has its length in its own
            // header.
            self.out.d.next = WordIn { data, last, err: last && word.err };
        }
        self.word_valid.next = self.out_valid.q.val();
        self.word.next = self.out.q.val();
        if self.learn.val() {
            self.known.d.next = true;
            self.host_mac.d.next = self.from_mac.q.val();
            self.host_ip.d.next = self.from_ip.q.val();
            self.host_port.d.next = self.from_port.q.val();
        }

        // Sending. The IP checksum is summed in three steps, while the frame waits and its first
        // words leave.
        let mac = MacAddr::from_bits(lit::<48>(self._mac));
        let ip = Halves::from_bits(lit::<32>(self._ip));
        let to_mac = self.host_mac.q.val();
        let to_ip = self.host_ip.q.val();
        let bytes = bit_cast::<16, 9>(self.frame_words.val()) << lit::<4>(2);
        let total = self.total.q.val();
        self.total.d.next = bytes + 30;
        self.sum_ip.d.next = wide(headers::net16(to_ip.low)) + wide(headers::net16(to_ip.high));
        // The board's address, version and length, don't fragment, time to live 64, protocol 17.
        let fixed = lit::<20>(
            (self._ip & 0xff) * 256
                + ((self._ip / 256) & 0xff)
                + ((self._ip / 65536) & 0xff) * 256
                + ((self._ip / 16777216) & 0xff)
                + 0x4500
                + 0x4000
                + 0x4011,
        );
        self.sum.d.next = self.sum_ip.q.val() + wide(total) + fixed;
        let sending = self.sending.q.val();
        let body = sending == lit::<4>(HEADER);
        let valid = self.frame_valid.val() && self.known.q.val();
        let frame_last = self.frame.val().last;
        let mut out = Halves::from_bits(self.frame.val().data);
        match sending {
            0 => {
                out = Halves { low: to_mac.first, high: to_mac.second };
            }
            1 => {
                out = Halves { low: to_mac.third, high: mac.first };
            }
            2 => {
                out = Halves { low: mac.second, high: mac.third };
            }
            3 => {
                out = Halves { low: lit::<16>(0x0008), high: lit::<16>(0x0045) };
            }
            4 => {
                out = Halves { low: headers::net16(total), high: lit::<16>(0) };
            }
            5 => {
                out = Halves { low: lit::<16>(0x0040), high: lit::<16>(0x1140) };
            }
            6 => {
                out = Halves { low: headers::net16(folded(self.sum.q.val())), high: ip.low };
            }
            7 => {
                out = Halves { low: ip.high, high: to_ip.low };
            }
            8 => {
                out = Halves { low: to_ip.high, high: headers::net16(lit::<16>(PORT)) };
            }
            9 => {
                out = Halves { low: self.host_port.q.val(), high: headers::net16(total - 20) };
            }
            10 => {
                out = Halves { low: lit::<16>(0), high: lit::<16>(MAGIC) };
            }
            _ => {}
        }
        if valid && self.mac_out_ready.val() {
            if !body {
                self.sending.d.next = sending + 1;
            } else if frame_last {
                self.sending.d.next = lit::<4>(0);
            }
        }
        // Until the host is known, frames are dropped; the link sends them again.
        self.frame_ready.next = (body && self.mac_out_ready.val()) || !self.known.q.val();
        self.mac_out_valid.next = valid;
        let ends = body && frame_last;
        self.mac_out.next =
            Word { data: out.to_bits::<32>(), last_byte: lit::<2>(3), last: ends, err: false };
    }
}
