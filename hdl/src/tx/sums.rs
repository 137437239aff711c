//! Adds up the 16-bit words of frames, twice: an IPv4 header's, and what TCP or UDP sum up.
//!
//! **Ports.** Beats with `valid` belong to frames that need it, `first` and `last` say which;
//! `mask_ip` and `mask_l4` choose bytes. The first byte of a beat is the high one of its first
//! word. Both sums come folded to 16 bits with `done`, for each frame in turn, and with them the
//! `tag` of its last beat. They stay until those of the next frame.
//!
//! **Stages.** Groups of 8 bytes, of 32, the beat, the frame, and two that fold: `done` comes 6
//! cycles after the frame's last beat. A beat a cycle; nothing waits here, so there must be room
//! for what comes out. Frames may have up to 16384 bytes.

use super::lanes::*;
use super::words::Route;
use nitor_rtl::prelude::*;

/// Sum of two words of the wire.
#[kernel]
fn pair(data: Bits<32>, mask: Bits<4>) -> Bits<18> {
    let mut sum = lit::<18>(0);
    for i in 0..2 {
        let high = gate(mask.get_bit(2 * i), data.get_bits::<8>(16 * i));
        let low = gate(mask.get_bit(2 * i + 1), data.get_bits::<8>(16 * i + 8));
        sum = sum + bit_cast::<18, 16>(word(high, low));
    }
    sum
}

/// Sum of 8 bytes as 4 words of the wire.
#[kernel]
fn group(data: Bits<64>, mask: Bits<8>) -> Bits<18> {
    pair(bit_cast::<32, 64>(data), bit_cast::<4, 8>(mask))
        + pair(data.get_bits::<32>(32), mask.get_bits::<4>(4))
}

#[kernel]
fn four(a: Bits<18>, b: Bits<18>, c: Bits<18>, d: Bits<18>) -> Bits<20> {
    (bit_cast::<20, 18>(a) + bit_cast::<20, 18>(b))
        + (bit_cast::<20, 18>(c) + bit_cast::<20, 18>(d))
}

/// A beat in a stage.
#[record]
struct Stage {
    valid: Bit,
    last: Bit,
    first: Bit,
}

#[derive(LogicBlock, Default)]
pub struct TxSums<const D: usize, const K: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub valid: Signal<In, Bit>,
    pub first: Signal<In, Bit>,
    pub last: Signal<In, Bit>,
    pub data: Signal<In, Bits<D>>,
    pub mask_ip: Signal<In, Bits<K>>,
    pub mask_l4: Signal<In, Bits<K>>,
    pub tag: Signal<In, Route>,
    pub done: Signal<Out, Bit>,
    pub done_tag: Signal<Out, Route>,
    pub ip: Signal<Out, Bits<16>>,
    pub l4: Signal<Out, Bits<16>>,
    // A stage's beat, and its sums.
    e: Reg<Stage>,
    e_ip: [Reg<Bits<18>>; 8],
    e_l4: [Reg<Bits<18>>; 8],
    f: Reg<Stage>,
    f_ip: [Reg<Bits<20>>; 2],
    f_l4: [Reg<Bits<20>>; 2],
    g: Reg<Stage>,
    g_ip: Reg<Bits<21>>,
    g_l4: Reg<Bits<21>>,
    h: Reg<Bit>,
    h_ip: Reg<Bits<22>>,
    h_l4: Reg<Bits<30>>,
    i: Reg<Bit>,
    i_ip: Reg<Bits<17>>,
    i_l4: Reg<Bits<17>>,
    j: Reg<Bit>,
    j_ip: Reg<Bits<16>>,
    j_l4: Reg<Bits<16>>,
    e_tag: Reg<Route>,
    f_tag: Reg<Route>,
    g_tag: Reg<Route>,
    h_tag: Reg<Route>,
    i_tag: Reg<Route>,
    j_tag: Reg<Route>,
}

impl<const D: usize, const K: usize> Logic for TxSums<D, K> {
    /// Sums of words of frames, as checksums need them.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; e, f, g, h, i, j);
        registers!(self, clock; e_ip[..], e_l4[..], f_ip[..], f_l4[..], g_ip, g_l4, h_ip, h_l4,
            i_ip, i_l4, j_ip, j_l4, e_tag, f_tag, g_tag, h_tag, i_tag, j_tag);
        self.e.d.next =
            Stage { valid: self.valid.val(), last: self.last.val(), first: self.first.val() };
        if self.valid.val() {
            let data = bit_cast::<512, D>(self.data.val());
            let ip = bit_cast::<64, K>(self.mask_ip.val());
            let l4 = bit_cast::<64, K>(self.mask_l4.val());
            for n in 0..8 {
                let bytes = data.get_bits::<64>(64 * n);
                self.e_ip[n].d.next = group(bytes, ip.get_bits::<8>(8 * n));
                self.e_l4[n].d.next = group(bytes, l4.get_bits::<8>(8 * n));
            }
        }
        self.f.d.next = self.e.q.val();
        for n in 0..2 {
            self.f_ip[n].d.next = four(
                self.e_ip[4 * n].q.val(),
                self.e_ip[4 * n + 1].q.val(),
                self.e_ip[4 * n + 2].q.val(),
                self.e_ip[4 * n + 3].q.val(),
            );
            self.f_l4[n].d.next = four(
                self.e_l4[4 * n].q.val(),
                self.e_l4[4 * n + 1].q.val(),
                self.e_l4[4 * n + 2].q.val(),
                self.e_l4[4 * n + 3].q.val(),
            );
        }
        self.g.d.next = self.f.q.val();
        self.g_ip.d.next =
            bit_cast::<21, 20>(self.f_ip[0].q.val()) + bit_cast::<21, 20>(self.f_ip[1].q.val());
        self.g_l4.d.next =
            bit_cast::<21, 20>(self.f_l4[0].q.val()) + bit_cast::<21, 20>(self.f_l4[1].q.val());

        self.e_tag.d.next = self.tag.val();
        self.f_tag.d.next = self.e_tag.q.val();
        self.g_tag.d.next = self.f_tag.q.val();
        let beat = self.g.q.val();
        let begins = beat.first;
        if beat.valid {
            self.h_tag.d.next = self.g_tag.q.val();
            let ip = if begins { lit::<22>(0) } else { self.h_ip.q.val() };
            let l4 = if begins { lit::<30>(0) } else { self.h_l4.q.val() };
            self.h_ip.d.next = ip + bit_cast::<22, 21>(self.g_ip.q.val());
            self.h_l4.d.next = l4 + bit_cast::<30, 21>(self.g_l4.q.val());
        }
        self.h.d.next = beat.valid && beat.last;

        let ip = self.h_ip.q.val();
        let l4 = self.h_l4.q.val();
        self.i.d.next = self.h.q.val();
        self.i_ip.d.next =
            bit_cast::<17, 22>(ip & lit::<22>(0xffff)) + bit_cast::<17, 22>(ip >> lit::<22>(16));
        self.i_l4.d.next =
            bit_cast::<17, 30>(l4 & lit::<30>(0xffff)) + bit_cast::<17, 30>(l4 >> lit::<30>(16));
        self.j.d.next = self.i.q.val();
        self.j_ip.d.next = fold(self.i_ip.q.val());
        self.j_l4.d.next = fold(self.i_l4.q.val());
        self.i_tag.d.next = self.h_tag.q.val();
        self.j_tag.d.next = self.i_tag.q.val();
        self.done.next = self.j.q.val();
        self.done_tag.next = self.j_tag.q.val();
        self.ip.next = self.j_ip.q.val();
        self.l4.next = self.j_l4.q.val();
    }
}
