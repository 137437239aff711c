//! The host link's frames in UDP datagrams: headers made and checked.
//!
//! | port | what |
//! |---|---|
//! | `mac_in_*`, `mac_out_*` | words of Ethernet frames as in [crate::eth::gmii_rx] |
//! | `word_*` | the link's words of a frame received, {err, last, data}; never refused |
//! | `learn` | the frame that ended last is from the host: datagrams go to where it came from |
//! | `frame_*`, `frame_words` | a frame to send |
//!
//! A datagram's payload is 2 bytes of [MAGIC], so that what follows is aligned, and the link's words. Taken are datagrams to UDP
//! port [PORT], whatever address they are sent to: a host that does not know the board's sends to the subnet's broadcast address. Answers go to
//! MAC address, IP address and port of the host, from the board's own addresses; no ARP is needed on either side. IPv4 with a header
//! of 20 bytes, not fragmented. The IP header's checksum is made (RFC 1071) but, behind an FCS that was right, not checked; the UDP
//! checksum is 0, which is none (RFC 768).
//!
//! A word a cycle each way; a frame received comes out as it comes in, 12 words later begun. Other frames are ignored.

use crate::eth::gmii_rx::WORD_BITS;
use nitor_rtl::prelude::*;

/// 'NT' in ASCII codes, which is not assigned to anybody.
pub const PORT: u64 = 0x4e54;
/// The first two bytes of a datagram: "N1".
pub const MAGIC: u64 = 0x314e;
/// Words before the link's own: Ethernet, IP, UDP, magic.
const HEADER: usize = 11;

#[derive(LogicBlock)]
pub struct LinkUdp {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub mac_in_valid: Signal<In, Bit>,
    pub mac_in: Signal<In, Bits<WORD_BITS>>,
    pub word_valid: Signal<Out, Bit>,
    pub word: Signal<Out, Bits<34>>,
    pub learn: Signal<In, Bit>,
    pub frame_valid: Signal<In, Bit>,
    pub frame_ready: Signal<Out, Bit>,
    pub frame: Signal<In, Bits<33>>,
    pub frame_words: Signal<In, Bits<9>>,
    pub mac_out_valid: Signal<Out, Bit>,
    pub mac_out_ready: Signal<In, Bit>,
    pub mac_out: Signal<Out, Bits<WORD_BITS>>,
    // Receiving.
    at: Reg<Bits<4>>,
    ours: Reg<Bit>,
    from_mac: Reg<Bits<48>>,
    from_ip: Reg<Bits<32>>,
    from_port: Reg<Bits<16>>,
    out_valid: Reg<Bit>,
    out: Reg<Bits<34>>,
    // Where the host is; `known` from its first frame on.
    known: Reg<Bit>,
    host_mac: Reg<Bits<48>>,
    host_ip: Reg<Bits<32>>,
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

/// Two bytes in the other order.
#[kernel]
fn swapped(x: Bits<16>) -> Bits<16> {
    cat::<8, 8, 16>(x.get_bits::<8>(0), x.get_bits::<8>(8))
}

#[kernel]
fn wide(x: Bits<16>) -> Bits<20> {
    bit_cast::<20, 16>(x)
}

/// A one's complement sum folded to 16 bits, inverted.
#[kernel]
fn folded(sum: Bits<20>) -> Bits<16> {
    let once = bit_cast::<17, 16>(sum.get_bits::<16>(0)) + bit_cast::<17, 4>(sum.get_bits::<4>(16));
    !(once.get_bits::<16>(0) + bit_cast::<16, 1>(once.get_bits::<1>(16)))
}

impl Logic for LinkUdp {
    /// Host link in UDP: headers made and checked.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; at, ours, out_valid);
        registers!(self, clock, reset; known, sending, total, sum_ip, sum);
        registers!(self, clock; from_mac, from_ip, from_port, out, host_mac, host_ip, host_port);

        // Receiving.
        let word = self.mac_in.val();
        let data = word.get_bits::<32>(0);
        let last = word.get_bit(34);
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
                    self.from_mac.d.next =
                        self.from_mac.q.val().set_slice::<16>(0, data.get_bits::<16>(16));
                }
                2 => {
                    self.from_mac.d.next = self.from_mac.q.val().set_slice::<32>(16, data);
                }
                // Type 0800, version 4, 5 words of header.
                3 => {
                    ours = ours && data.get_bits::<24>(0) == lit::<24>(0x45_0008);
                }
                // No fragment, UDP.
                5 => {
                    ours = ours
                        && (data.get_bits::<16>(0) & lit::<16>(0xff3f)) == 0
                        && data.get_bits::<8>(24) == 17;
                }
                6 => {
                    self.from_ip.d.next =
                        self.from_ip.q.val().set_slice::<16>(0, data.get_bits::<16>(16));
                }
                7 => {
                    self.from_ip.d.next =
                        self.from_ip.q.val().set_slice::<16>(16, data.get_bits::<16>(0));
                }
                8 => {
                    self.from_port.d.next = data.get_bits::<16>(16);
                }
                9 => {
                    ours = ours && swapped(data.get_bits::<16>(0)) == lit::<16>(PORT);
                }
                10 => {
                    ours = ours && data.get_bits::<16>(16) == lit::<16>(MAGIC);
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
            // Padding and what the host's network puts behind does not matter: a frame says how long it is.
            self.out.d.next = cat::<1, 33, 34>(
                Bits::<1>::from(last && word.get_bit(35)),
                cat::<1, 32, 33>(Bits::<1>::from(last), data),
            );
        }
        self.word_valid.next = self.out_valid.q.val();
        self.word.next = self.out.q.val();
        if self.learn.val() {
            self.known.d.next = true;
            self.host_mac.d.next = self.from_mac.q.val();
            self.host_ip.d.next = self.from_ip.q.val();
            self.host_port.d.next = self.from_port.q.val();
        }

        // Sending. The checksum's sum is made in three steps while the frame waits and the first words go.
        let mac = lit::<48>(self._mac);
        let ip = lit::<32>(self._ip);
        let to_mac = self.host_mac.q.val();
        let to_ip = self.host_ip.q.val();
        let bytes = bit_cast::<16, 9>(self.frame_words.val()) << lit::<4>(2);
        let total = self.total.q.val();
        self.total.d.next = bytes + 30;
        self.sum_ip.d.next =
            wide(swapped(to_ip.get_bits::<16>(0))) + wide(swapped(to_ip.get_bits::<16>(16)));
        // The board's address, version and length, don't fragment, time to live 64 and protocol 17.
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
        let frame_last = self.frame.val().get_bit(32);
        let mut out = self.frame.val().get_bits::<32>(0);
        match sending {
            0 => {
                out = to_mac.get_bits::<32>(0);
            }
            1 => {
                out = cat::<16, 16, 32>(mac.get_bits::<16>(0), to_mac.get_bits::<16>(32));
            }
            2 => {
                out = mac.get_bits::<32>(16);
            }
            3 => {
                out = lit::<32>(0x0045_0008);
            }
            4 => {
                out = bit_cast::<32, 16>(swapped(total));
            }
            5 => {
                out = lit::<32>(0x1140_0040);
            }
            6 => {
                out = cat::<16, 16, 32>(ip.get_bits::<16>(0), swapped(folded(self.sum.q.val())));
            }
            7 => {
                out = cat::<16, 16, 32>(to_ip.get_bits::<16>(0), ip.get_bits::<16>(16));
            }
            8 => {
                out = cat::<16, 16, 32>(
                    lit::<16>((PORT & 0xff) << 8 | PORT >> 8),
                    to_ip.get_bits::<16>(16),
                );
            }
            9 => {
                out = cat::<16, 16, 32>(swapped(total - 20), self.host_port.q.val());
            }
            10 => {
                out = lit::<32>(MAGIC << 16);
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
        // A frame before the host is known goes nowhere; it comes again.
        self.frame_ready.next = (body && self.mac_out_ready.val()) || !self.known.q.val();
        self.mac_out_valid.next = valid;
        let ends = body && frame_last;
        self.mac_out.next =
            cat::<4, 32, WORD_BITS>(if ends { lit::<4>(7) } else { lit::<4>(3) }, out);
    }
}
