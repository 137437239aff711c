//! The transmit queue: sends packets from where they are in memory.

use std::collections::VecDeque;
use std::time::Duration;

use nitor_abi::feature::{tx_offload, StatelessOffload};
use nitor_abi::tx::{l3, TxCompletion, TxData, TxMeta};

use crate::dma;
use crate::error::QueueFault;
use crate::lines::TxRing;
use crate::pci::PciFunction;
use crate::ring::Completion;

/// The least payload of a segment: TCP's least MSS is 48 bytes, of which 40 may be options. A card
/// may complete a packet with a smaller one without sending it.
const MIN_MSS: u16 = 8;

/// A piece of a packet in DMA memory, at any alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub iova: u64,
    pub len: usize,
}

/// Who computes the TCP or UDP checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum L4Checksum {
    #[default]
    Done,
    /// The card, starting with what the field holds: the sum of the pseudo header.
    Partial,
    /// The card, whatever the field holds.
    Full,
}

/// The offloads that the card applies to a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// See [nitor_abi::tx::l3].
    pub l3_proto: u8,
    /// See [nitor_abi::tx::l4].
    pub l4_proto: u8,
    /// The packet's "don't fragment" flag.
    pub df: bool,
    /// Compute the IPv4 header's checksum.
    pub l3_checksum: bool,
    pub l4_checksum: L4Checksum,
    /// Segment a TCP packet into ones of this many bytes of payload, 8 to 16,383.
    pub tso_mss: Option<u16>,
    /// Where the network header begins.
    pub l3_offset: u8,
    /// Bytes of the network header.
    pub l3_len: u8,
    /// TCP's data offset.
    pub l4_words: u8,
}

impl Offload {
    fn wanted(&self) -> bool {
        self.l3_checksum || self.l4_checksum != L4Checksum::Done || self.tso_mss.is_some()
    }

    /// The bits of the card's offer that these offloads need.
    fn needs(&self) -> u32 {
        use tx_offload::*;
        let v6 = self.l3_proto == l3::IPV6;
        let l4 = match self.l4_checksum {
            L4Checksum::Done => 0,
            L4Checksum::Partial if v6 => L4_IPV6_CSUM_PARTIAL,
            L4Checksum::Partial => L4_IPV4_CSUM_PARTIAL,
            L4Checksum::Full if v6 => L4_IPV6_CSUM_FULL,
            L4Checksum::Full => L4_IPV4_CSUM_FULL,
        };
        let tso = match self.tso_mss {
            None => 0,
            Some(_) if v6 => TSO_IPV6,
            Some(_) => TSO_IPV4,
        };
        l4 | tso | if self.l3_checksum { L3_CSUM_IPV4 } else { 0 }
    }

    /// Bytes of all headers of a TCP packet.
    fn header(&self) -> usize {
        usize::from(self.l3_offset) + usize::from(self.l3_len) + 4 * usize::from(self.l4_words)
    }

    fn meta(&self) -> TxMeta {
        TxMeta {
            ext_valid: true,
            eth_meta_type: true,
            meta_store: true,
            meta_desc: true,
            mss: self.tso_mss.unwrap_or(0),
            l3_hdr_len: self.l3_len,
            l3_hdr_off: self.l3_offset,
            l4_hdr_words: self.l4_words,
            ..Default::default()
        }
    }

    /// Whether descriptors can express these offloads. Values that do not fit would be truncated,
    /// and so mean something else.
    fn fits(&self) -> bool {
        let data =
            TxData { l3_proto: self.l3_proto, l4_proto: self.l4_proto, ..Default::default() };
        let sensible = self.tso_mss.is_none_or(|mss| mss >= MIN_MSS);
        // Most packets need no offload.
        *self == Offload::default()
            || (data.fits() && (!self.wanted() || (self.meta().fits() && sensible)))
    }
}

/// Why a packet was not accepted. The caller gets its token back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The ring is full: reap, then try again.
    Full,
    Empty,
    /// The packet has more bytes than the card sends at once.
    TooLong,
    /// The packet has more pieces than the card accepts.
    TooManySegments,
    /// The card does not offer the offload.
    Unsupported,
    /// A number that does not fit into a descriptor or that no packet can have: an address of more
    /// than 48 bits, or a field of [Offload].
    OutOfRange,
    /// The queue has failed and needs a reset.
    Failed,
}

/// The outcome of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent<T> {
    pub token: T,
    /// Whether the packet completed; false if a reset came first. Either way the card no longer
    /// uses the memory.
    pub completed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxStats {
    pub packets: u64,
    pub bytes: u64,
    pub doorbells: u64,
    pub completions: u64,
    /// Packets refused because the ring was full.
    pub queue_stop: u64,
    pub bad_req_id: u64,
    /// Packets that did not complete before a reset.
    pub missed: u64,
}

/// The card's limits on packets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TxLimits {
    pub descs: u16,
    pub header: u8,
    pub bytes: usize,
    pub offload: StatelessOffload,
}

struct Packet<T> {
    token: T,
    /// Places that the packet takes in the ring.
    places: u16,
    since: Duration,
}

/// A transmit queue. `T` is the type of the tokens that the caller gets back when a packet has
/// completed, such as the memory it was in.
pub struct TxQueue<P: PciFunction, T> {
    function: P,
    ring: TxRing<P>,
    completions: Completion<P, { TxCompletion::LEN }>,
    limits: TxLimits,
    /// The packets in flight, by request ID.
    packets: Vec<Option<Packet<T>>>,
    free: Vec<u16>,
    /// Request IDs in the order in which they were sent, of which some have completed already.
    order: VecDeque<u16>,
    /// The headers that the card has cached from the last meta descriptor.
    meta: TxMeta,
    lost: Vec<T>,
    fault: Option<QueueFault>,
    stats: TxStats,
}

impl<P: PciFunction + Clone, T> TxQueue<P, T> {
    pub(crate) fn new(
        function: &P,
        depth: u16,
        ring: TxRing<P>,
        completions: Completion<P, { TxCompletion::LEN }>,
        limits: TxLimits,
    ) -> Self {
        TxQueue {
            function: function.clone(),
            ring,
            completions,
            limits,
            packets: (0..depth).map(|_| None).collect(),
            free: (0..depth).rev().collect(),
            order: VecDeque::new(),
            meta: Offload::default().meta(),
            lost: Vec::new(),
            fault: None,
            stats: TxStats::default(),
        }
    }

    /// Takes over the packets and counts of the queue before a reset.
    pub(crate) fn inherit(&mut self, old: Self) {
        self.stats = old.stats();
        // Packets that an earlier reset lost, and that the caller has not reaped, are counted
        // already.
        self.lost = old.lost;
        let counted = self.lost.len();
        self.lost.extend(old.packets.into_iter().flatten().map(|packet| packet.token));
        self.stats.missed += (self.lost.len() - counted) as u64;
    }

    /// Queues a packet, which [flush](Self::flush) sends. It may be in several pieces, which must
    /// stay unchanged until [reap](Self::reap) gives `token` back.
    pub fn send(&mut self, segments: &[Segment], token: T) -> Result<(), (Refusal, T)> {
        self.send_with(segments, &Offload::default(), token)
    }

    /// Queues a packet with offloads.
    pub fn send_with(
        &mut self,
        segments: &[Segment],
        offload: &Offload,
        token: T,
    ) -> Result<(), (Refusal, T)> {
        self.send_pushed(&[], segments, offload, token)
    }

    /// Queues a packet that begins with `header`, at most [max_push](Self::max_push) bytes that are
    /// pushed into the card. Its other pieces, if any, are read from memory. Of a packet to be
    /// segmented, no more than its first frame can be pushed.
    pub fn send_pushed(
        &mut self,
        header: &[u8],
        segments: &[Segment],
        offload: &Offload,
        token: T,
    ) -> Result<(), (Refusal, T)> {
        match self.admit(header, segments, offload) {
            Ok((bytes, needs_meta)) => {
                self.post(header, segments, offload, needs_meta, token);
                self.stats.packets += 1;
                self.stats.bytes += bytes as u64;
                Ok(())
            }
            Err(refusal) => {
                self.stats.queue_stop += u64::from(refusal == Refusal::Full);
                Err((refusal, token))
            }
        }
    }

    /// Returns the bytes of the packet, and whether it needs a meta descriptor.
    fn admit(
        &self,
        header: &[u8],
        segments: &[Segment],
        offload: &Offload,
    ) -> Result<(usize, bool), Refusal> {
        if self.fault.is_some() {
            return Err(Refusal::Failed);
        }
        let bytes =
            segments.iter().map(|segment| segment.len).fold(header.len(), usize::saturating_add);
        // With segmentation the frames are shorter than the packet.
        let most = if offload.tso_mss.is_some() { 0xffff } else { self.limits.bytes };
        if bytes == 0 {
            return Err(Refusal::Empty);
        }
        let frame = offload.tso_mss.map_or(0, |mss| bytes.min(offload.header() + usize::from(mss)));
        if bytes > most || frame > self.limits.bytes {
            return Err(Refusal::TooLong);
        }
        // Only bytes of the first frame can be pushed.
        if header.len() > self.max_push() || (offload.tso_mss.is_some() && header.len() > frame) {
            return Err(Refusal::TooLong);
        }
        if offload.needs() & !self.limits.offload.tx != 0 {
            return Err(Refusal::Unsupported);
        }
        let reachable = |piece: &Segment| dma::reachable(piece.iova, piece.len);
        if !offload.fits() || !segments.iter().all(reachable) {
            return Err(Refusal::OutOfRange);
        }
        let needs_meta = offload.wanted() && offload.meta() != self.meta;
        // If all bytes are pushed, a descriptor without bytes remains.
        let pieces = segments.iter().filter(|segment| segment.len > 0).count().max(1);
        let descs = pieces + usize::from(needs_meta);
        if descs > usize::from(self.limits.descs) {
            return Err(Refusal::TooManySegments);
        }
        if self.ring.places(descs) > usize::from(self.ring.free()) || self.free.is_empty() {
            return Err(Refusal::Full);
        }
        Ok((bytes, needs_meta))
    }

    fn post(
        &mut self,
        header: &[u8],
        segments: &[Segment],
        offload: &Offload,
        needs_meta: bool,
        token: T,
    ) {
        let req_id = self.free.pop().expect("admitted");
        self.ring.begin(header);
        let pushes = self.max_push() > 0;
        let mut descs = 0;
        if needs_meta {
            self.meta = offload.meta();
            let meta = TxMeta { phase: self.ring.phase(), first: true, ..self.meta };
            self.ring.push(meta.to_bytes());
            descs += 1;
        }
        let nothing = [Segment { iova: 0, len: 0 }];
        let all_pushed = segments.iter().all(|segment| segment.len == 0);
        let segments = if all_pushed { &nothing } else { segments };
        let mut pieces = segments.iter().filter(|segment| all_pushed || segment.len > 0).peekable();
        let mut first_data = true;
        while let Some(piece) = pieces.next() {
            let mut desc = TxData {
                length: piece.len as u16,
                phase: self.ring.phase(),
                first: descs == 0,
                last: pieces.peek().is_none(),
                address: piece.iova,
                ..Default::default()
            };
            if first_data {
                desc = TxData {
                    req_id,
                    comp_req: true,
                    l3_proto: offload.l3_proto,
                    l4_proto: offload.l4_proto,
                    df: offload.df,
                    tso_en: offload.tso_mss.is_some(),
                    l3_csum_en: offload.l3_checksum,
                    l4_csum_en: offload.l4_checksum != L4Checksum::Done,
                    l4_csum_partial: offload.l4_checksum == L4Checksum::Partial,
                    // For a ring in host memory this is a hint.
                    header_length: if pushes {
                        header.len() as u8
                    } else {
                        piece.len.min(self.limits.header.into()) as u8
                    },
                    ..desc
                };
                first_data = false;
            }
            self.ring.push(desc.to_bytes());
            descs += 1;
        }
        self.ring.end();
        let places = self.ring.places(descs) as u16;
        let since = self.function.now();
        self.packets[usize::from(req_id)] = Some(Packet { token, places, since });
        self.order.push_back(req_id);
    }

    /// Rings the doorbell for the packets since the last call: one doorbell for all of them.
    pub fn flush(&mut self) {
        self.ring.ring();
    }

    /// Reaps completed packets, `budget` at most. Returns their number.
    pub fn reap(
        &mut self,
        budget: usize,
        mut each: impl FnMut(Sent<T>),
    ) -> Result<usize, QueueFault> {
        let mut count = 0;
        while count < budget {
            if let Some(token) = self.lost.pop() {
                each(Sent { token, completed: false });
                count += 1;
                continue;
            }
            if let Some(fault) = self.fault {
                return Err(fault);
            }
            let Some(entry) = self.completions.take() else { break };
            let req_id = TxCompletion::from_bytes(&entry).req_id;
            let packet = self.packets.get_mut(usize::from(req_id)).and_then(Option::take);
            let Some(packet) = packet else {
                self.stats.bad_req_id += 1;
                self.fault = Some(QueueFault::TxReqId);
                return Err(QueueFault::TxReqId);
            };
            self.ring.release(packet.places);
            self.free.push(req_id);
            self.stats.completions += 1;
            count += 1;
            each(Sent { token: packet.token, completed: true });
        }
        while self.order.front().is_some_and(|&id| self.packets[usize::from(id)].is_none()) {
            self.order.pop_front();
        }
        Ok(count)
    }

    /// The number of packets in flight.
    pub fn in_flight(&self) -> usize {
        self.packets.len() - self.free.len()
    }

    /// Bytes at the head of a packet that can be pushed into the card; 0 if the ring is in host
    /// memory.
    pub fn max_push(&self) -> usize {
        self.ring.max_push()
    }

    /// Places of the ring that are free: descriptors, or lines.
    pub fn free_descriptors(&self) -> usize {
        self.ring.free().into()
    }

    /// The most pieces of a packet.
    pub fn max_segments(&self) -> usize {
        self.limits.descs.into()
    }

    /// The longest packet in bytes.
    pub fn max_bytes(&self) -> usize {
        self.limits.bytes
    }

    pub(crate) fn set_max_bytes(&mut self, bytes: usize) {
        self.limits.bytes = bytes;
    }

    /// When the oldest packet in flight was sent.
    pub fn oldest(&self) -> Option<Duration> {
        let id = self.order.iter().find(|&&id| self.packets[usize::from(id)].is_some())?;
        self.packets[usize::from(*id)].as_ref().map(|packet| packet.since)
    }

    pub fn fault(&self) -> Option<QueueFault> {
        self.fault
    }

    pub fn stats(&self) -> TxStats {
        TxStats { doorbells: self.stats.doorbells + self.ring.doorbells(), ..self.stats }
    }
}
