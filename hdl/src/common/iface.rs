//! The streams and buses between the card's blocks. `Src` drives `valid`, `Snk` answers with
//! `ready`; a beat moves in a cycle in which both are high.

use nitor_rtl::prelude::*;

/// Numbers of the DMA read clients, in the arbitration of [ReadReqSrc] and on [ReadBusSrc].
pub mod client {
    pub const MGMT: u64 = 0;
    pub const RX_DESC: u64 = 1;
    pub const TX_DESC: u64 = 2;
    pub const TX_DATA: u64 = 3;
}

/// Transaction-layer packets (TLPs): the header is valid on the `sop` beat, the payload is in
/// address order.
#[stream]
pub struct Tlp<const D: usize> {
    pub sop: Bit,
    pub eop: Bit,
    pub hdr: Bits<128>,
    pub data: Bits<D>,
}

/// A DMA read: `len` (1..=65535) bytes at `addr` to byte address `dst` of the client's RAM, as part
/// of operation `op` = {lap, slot}; `last` with the operation's last request.
#[stream]
pub struct ReadReq {
    pub addr: Bits<64>,
    pub len: Bits<16>,
    pub dst: Bits<20>,
    pub op: Bits<9>,
    pub last: Bit,
}

/// Events and data that `pcie/read` broadcasts to its clients, without back-pressure: a piece of a
/// read was issued, a piece ended, a beat of data for the client's RAM.
#[stream(bus)]
pub struct ReadBus<const D: usize, const K: usize> {
    pub issue_valid: Bit,
    pub issue_client: Bits<2>,
    pub issue_op: Bits<9>,
    pub issue_last: Bit,
    pub done_valid: Bit,
    pub done_client: Bits<2>,
    pub done_op: Bits<9>,
    pub done_err: Bit,
    pub data_valid: Bit,
    pub data_client: Bits<2>,
    pub data_row: Bits<16>,
    pub data: Bits<D>,
    pub be_lo: Bits<K>,
    pub be_hi: Bits<K>,
}

/// A piece of a client's read operation that was issued.
#[record]
pub struct ReadIssue {
    pub client: Bits<2>,
    pub op: Bits<9>,
    pub last: Bit,
}

/// A piece of a client's read operation that ended.
#[record]
pub struct ReadDone {
    pub client: Bits<2>,
    pub op: Bits<9>,
    pub err: Bit,
}

/// A beat for a client's RAM: the bytes enabled by `be_lo` go to `row`, those enabled by `be_hi` to
/// the row after `row`.
#[record]
pub struct ReadData<const D: usize, const K: usize> {
    pub client: Bits<2>,
    pub row: Bits<16>,
    pub data: Bits<D>,
    pub be_lo: Bits<K>,
    pub be_hi: Bits<K>,
}

#[kernel]
pub fn issue_of<const D: usize, const K: usize>(bus: ReadBus<D, K>) -> ReadIssue {
    ReadIssue { client: bus.issue_client, op: bus.issue_op, last: bus.issue_last }
}

#[kernel]
pub fn done_of<const D: usize, const K: usize>(bus: ReadBus<D, K>) -> ReadDone {
    ReadDone { client: bus.done_client, op: bus.done_op, err: bus.done_err }
}

#[kernel]
pub fn data_of<const D: usize, const K: usize>(bus: ReadBus<D, K>) -> ReadData<D, K> {
    ReadData {
        client: bus.data_client,
        row: bus.data_row,
        data: bus.data,
        be_lo: bus.be_lo,
        be_hi: bus.be_hi,
    }
}

/// The bus that carries these events and this data.
#[kernel]
pub fn read_bus<const D: usize, const K: usize>(
    issue_valid: Bit,
    issue: ReadIssue,
    done_valid: Bit,
    done: ReadDone,
    data_valid: Bit,
    data: ReadData<D, K>,
) -> ReadBus<D, K> {
    ReadBus {
        issue_valid,
        issue_client: issue.client,
        issue_op: issue.op,
        issue_last: issue.last,
        done_valid,
        done_client: done.client,
        done_op: done.op,
        done_err: done.err,
        data_valid,
        data_client: data.client,
        data_row: data.row,
        data: data.data,
        be_lo: data.be_lo,
        be_hi: data.be_hi,
    }
}

/// A posted write of up to 64 bytes carried inline; `addr` and `len` are multiples of 4, and the
/// write crosses no 64-byte boundary. Its bytes come in beats, in order, byte 0 of a beat in `data`
/// bits 7:0; `addr` and `len` are valid on the first beat, `last` marks the last.
#[stream]
pub struct WriteReq<const D: usize> {
    pub addr: Bits<64>,
    pub len: Bits<7>,
    pub data: Bits<D>,
    pub last: Bit,
}

/// 32-bit register accesses, one at a time: `valid` stays high until `ready`; `rdata` is valid in
/// the `ready` cycle of a read. `addr` is a byte offset, bits 1:0 zero.
#[derive(Clone, Debug, Default, LogicInterface)]
#[join = "RegBusSnk"]
pub struct RegBusSrc {
    pub valid: Signal<Out, Bit>,
    pub write: Signal<Out, Bit>,
    pub addr: Signal<Out, Bits<16>>,
    pub wdata: Signal<Out, Bits<32>>,
    pub be: Signal<Out, Bits<4>>,
    pub ready: Signal<In, Bit>,
    pub rdata: Signal<In, Bits<32>>,
}

/// The registers' end of [RegBusSrc].
#[derive(Clone, Debug, Default, LogicInterface)]
#[join = "RegBusSrc"]
pub struct RegBusSnk {
    pub valid: Signal<In, Bit>,
    pub write: Signal<In, Bit>,
    pub addr: Signal<In, Bits<16>>,
    pub wdata: Signal<In, Bits<32>>,
    pub be: Signal<In, Bits<4>>,
    pub ready: Signal<Out, Bit>,
    pub rdata: Signal<Out, Bits<32>>,
}

/// Creates or destroys a queue context; `ready` when that is done, which for a destroy is when no
/// DMA for the queue can follow.
#[stream]
pub struct CtxCmd {
    pub destroy: Bit,
    pub idx: Bits<8>,
    pub base: Bits<64>,
    pub log_depth: Bits<4>,
    pub cq: Bits<8>,
    /// Of a TX submission queue: where its ring is, [ring](nitor_abi::mgmt::ring).
    pub placement: Bits<2>,
    /// Of a completion queue: log2 of an entry's bytes, less 3 (0 = 8, 1 = 16, 2 = 32).
    pub log_entry: Bits<2>,
    /// With bit 8 set there is no vector.
    pub vector: Bits<9>,
}

/// The last completion queue of a vector is gone: `ready` when no interrupt of the vector can
/// follow.
#[stream]
pub struct VectorEnd {
    pub vector: Bits<8>,
}

/// Frames to and from the MAC, without FCS. `bytes` (1..=K) is valid on the `last` beat; `err` with
/// `last` marks a frame that the receiver must drop.
#[stream]
pub struct Mac<const D: usize> {
    pub data: Bits<D>,
    pub last: Bit,
    pub bytes: Bits<7>,
    pub err: Bit,
}

/// A beat written to the line memory: its first `dwords` dwords are written, `addr` is the byte
/// offset of the first. `first_be` and `last_be` enable the bytes of the first and of the last
/// dword; in a beat of one dword, the bytes that both enable are written.
#[stream(bus)]
pub struct LineWrite<const D: usize> {
    pub valid: Bit,
    pub addr: Bits<24>,
    pub data: Bits<D>,
    pub dwords: Bits<5>,
    pub first_be: Bits<4>,
    pub last_be: Bits<4>,
}

/// A doorbell: the free-running 16-bit tail of a submission queue.
#[stream]
pub struct Doorbell {
    pub queue: Bits<8>,
    pub tail: Bits<16>,
}

/// A write to a vector's interrupt register.
#[stream]
pub struct Unmask {
    pub vector: Bits<8>,
    pub value: Bits<32>,
}

/// A packet was sent (or dropped): completes `req_id` on `cq`. A marker completes nothing;
/// `host/cq` acknowledges it once all completions before it on this CQ are written.
#[stream]
pub struct TxDone {
    pub cq: Bits<8>,
    pub req_id: Bits<16>,
    pub marker: Bit,
}

/// The completion of a receive buffer, as the host reads it.
#[record(layout = nitor_abi::rx::RxCompletion)]
pub struct RxCompletion {
    pub l3_proto: Bits<5>,
    pub l4_proto: Bits<5>,
    pub l3_csum_err: Bit,
    pub l4_csum_err: Bit,
    pub ipv4_frag: Bit,
    pub l4_csum_checked: Bit,
    pub first: Bit,
    pub last: Bit,
    pub buffer: Bit,
    pub length: Bits<16>,
    pub req_id: Bits<16>,
    pub hash: Bits<32>,
    pub sub_qid: Bits<16>,
}

/// A receive buffer was filled. The phase bit of `entry` is 0; `marker` is as in [TxDone].
#[stream]
pub struct RxDone {
    pub cq: Bits<8>,
    pub entry: RxCompletion,
    pub marker: Bit,
}

/// An event for `vector`; `rx` selects the direction whose moderation delay applies.
#[stream]
pub struct Event {
    pub vector: Bits<8>,
    pub rx: Bit,
}

/// A 64-bit word as two dwords, as registers and headers carry it.
#[record]
pub struct Halves {
    pub low: Bits<32>,
    pub high: Bits<32>,
}

/// A read operation's number: the client's slot, and the lap bit, which flips with each use of it.
#[record]
pub struct Op {
    pub slot: Bits<8>,
    pub lap: Bit,
}

/// The register value `old` with the bytes of `new` that `be` enables.
#[kernel]
pub fn merge(old: Bits<32>, new: Bits<32>, be: Bits<4>) -> Bits<32> {
    let mut value = old;
    for i in 0..4 {
        if be.get_bit(i) {
            value = value.set_slice::<8>(8 * i, new.get_bits::<8>(8 * i));
        }
    }
    value
}
