//! The streams and buses between the card's blocks. `Src` drives `valid`, `Snk` answers with `ready`.

use nitor_rtl::prelude::*;

/// DMA read clients, as numbered on [ReadReqSrc] arbitration and in [ReadBusSrc] events.
pub mod client {
    pub const MGMT: u64 = 0;
    pub const RX_DESC: u64 = 1;
    pub const TX_DESC: u64 = 2;
    pub const TX_DATA: u64 = 3;
}

macro_rules! interface {
    ($(#[$doc:meta])* $src:ident, $snk:ident, $src_name:tt, $snk_name:tt, [$($g:ident),*],
     { $($(#[$fdoc:meta])* $f:ident : $t:ty),* $(,)? }, { $($(#[$rdoc:meta])* $r:ident : $rt:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, LogicInterface)]
        #[join = $snk_name]
        pub struct $src<$(const $g: usize),*> {
            $($(#[$fdoc])* pub $f: Signal<Out, $t>,)*
            $($(#[$rdoc])* pub $r: Signal<In, $rt>,)*
        }
        /// The receiving end of the stream above.
        #[derive(Clone, Debug, Default, LogicInterface)]
        #[join = $src_name]
        pub struct $snk<$(const $g: usize),*> {
            $($(#[$fdoc])* pub $f: Signal<In, $t>,)*
            $($(#[$rdoc])* pub $r: Signal<Out, $rt>,)*
        }
    };
}

interface! {
    /// Transaction-layer packets: header on the `sop` beat, payload in address order.
    TlpSrc, TlpSnk, "TlpSrc", "TlpSnk", [D],
    { valid: Bit, sop: Bit, eop: Bit, hdr: Bits<128>, data: Bits<D> },
    { ready: Bit }
}

interface! {
    /// A DMA read: `len` (1..=65535) bytes at `addr` to byte address `dst` of the client's RAM,
    /// as part of operation `op` = {lap, slot}; `last` with the operation's last request.
    ReadReqSrc, ReadReqSnk, "ReadReqSrc", "ReadReqSnk", [],
    { valid: Bit, addr: Bits<64>, len: Bits<16>, dst: Bits<20>, op: Bits<9>, last: Bit },
    { ready: Bit }
}

interface! {
    /// What `pcie/read` tells all its clients. Nothing here can be refused.
    ReadBusSrc, ReadBusSnk, "ReadBusSrc", "ReadBusSnk", [D, K],
    {
        issue_valid: Bit, issue_client: Bits<2>, issue_op: Bits<9>, issue_last: Bit,
        done_valid: Bit, done_client: Bits<2>, done_op: Bits<9>, done_err: Bit,
        data_valid: Bit, data_client: Bits<2>, data_row: Bits<16>, data: Bits<D>,
        be_lo: Bits<K>, be_hi: Bits<K>,
    },
    { }
}

interface! {
    /// A posted write of up to 64 bytes carried inline; `addr` and `len` are multiples of 4, and
    /// it crosses no 64-byte boundary. Its bytes come in beats, in order, byte 0 of a beat in `data` bits 7:0;
    /// `addr` and `len` count with the first, `last` marks the last.
    WriteReqSrc, WriteReqSnk, "WriteReqSrc", "WriteReqSnk", [D],
    { valid: Bit, addr: Bits<64>, len: Bits<7>, data: Bits<D>, last: Bit },
    { ready: Bit }
}

interface! {
    /// 32-bit register accesses, one at a time: `valid` holds until `ready`; `rdata` counts in the
    /// `ready` cycle of a read. `addr` is a byte offset, 1:0 zero.
    RegBusSrc, RegBusSnk, "RegBusSrc", "RegBusSnk", [],
    { valid: Bit, write: Bit, addr: Bits<16>, wdata: Bits<32>, be: Bits<4> },
    { ready: Bit, rdata: Bits<32> }
}

interface! {
    /// Creates or destroys a queue context; `ready` when it is done, which for a destroy is when
    /// no DMA for the queue can follow.
    CtxCmdSrc, CtxCmdSnk, "CtxCmdSrc", "CtxCmdSnk", [],
    {
        valid: Bit, destroy: Bit, idx: Bits<8>, base: Bits<64>, log_depth: Bits<4>,
        cq: Bits<8>,
        /// CQ entry bytes: 0 = 8, 1 = 16, 2 = 32.
        esize: Bits<2>,
        /// Bit 8 set: no vector.
        vector: Bits<9>,
    },
    { ready: Bit }
}

interface! {
    /// The last completion queue of a vector is gone: `ready` when no interrupt of it can follow.
    VectorEndSrc, VectorEndSnk, "VectorEndSrc", "VectorEndSnk", [],
    { valid: Bit, vector: Bits<8> },
    { ready: Bit }
}

interface! {
    /// Frames to and from the MAC, without FCS. `bytes` (1..=K) counts on the `last` beat; `err`
    /// with `last` marks a frame to drop.
    MacSrc, MacSnk, "MacSrc", "MacSnk", [D],
    { valid: Bit, data: Bits<D>, last: Bit, bytes: Bits<7>, err: Bit },
    { ready: Bit }
}

interface! {
    /// A beat written to the line memory: `dwords` of it count, `addr` is the byte offset of the first. `first_be` and
    /// `last_be` are those of its first and last dword; of a beat of one both hold.
    LineWriteSrc, LineWriteSnk, "LineWriteSrc", "LineWriteSnk", [D],
    { valid: Bit, addr: Bits<24>, data: Bits<D>, dwords: Bits<5>, first_be: Bits<4>, last_be: Bits<4> },
    { }
}

interface! {
    /// A doorbell: the free-running 16-bit tail of a submission queue.
    DoorbellSrc, DoorbellSnk, "DoorbellSrc", "DoorbellSnk", [],
    { valid: Bit, queue: Bits<8>, tail: Bits<16> },
    { ready: Bit }
}

interface! {
    /// A write to a vector's interrupt register.
    UnmaskSrc, UnmaskSnk, "UnmaskSrc", "UnmaskSnk", [],
    { valid: Bit, vector: Bits<8>, value: Bits<32> },
    { ready: Bit }
}

interface! {
    /// A packet sent (or dropped): completes `req_id` on `cq`. A marker completes nothing and is
    /// answered by `host/cq` once all that came before it on this CQ is written.
    TxDoneSrc, TxDoneSnk, "TxDoneSrc", "TxDoneSnk", [],
    { valid: Bit, cq: Bits<8>, req_id: Bits<16>, marker: Bit },
    { ready: Bit }
}

interface! {
    /// A receive buffer filled: `entry` is the 16-byte completion with phase 0. Marker as in TX.
    RxDoneSrc, RxDoneSnk, "RxDoneSrc", "RxDoneSnk", [],
    { valid: Bit, cq: Bits<8>, entry: Bits<128>, marker: Bit },
    { ready: Bit }
}

interface! {
    /// Something happened for `vector`; `rx` says by which direction's delay it is moderated.
    EventSrc, EventSnk, "EventSrc", "EventSnk", [],
    { valid: Bit, vector: Bits<8>, rx: Bit },
    { ready: Bit }
}
