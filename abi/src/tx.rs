//! Transmit descriptors and completions.

use crate::record::{at, byte, word};

/// Bytes of a slot of the ring.
pub const DESC_LEN: usize = 16;

record! {
    /// A buffer of a packet. Offload bits, `req_id`, `comp_req` and `header_length` count in the packet's first only.
    TxData: 16 {
        length: u16 = word(0, 15, 0);
        req_id: u16 = word(1, 31, 22), word(0, 21, 16);
        /// Always 0, tells this from [TxMeta].
        meta_desc: bool = word(0, 23, 23);
        phase: bool = word(0, 24, 24);
        /// On the packet's first descriptor, be it data or meta.
        first: bool = word(0, 26, 26);
        last: bool = word(0, 27, 27);
        comp_req: bool = word(0, 28, 28);
        l3_proto: u8 = word(1, 3, 0);
        /// The packet's "don't fragment" flag.
        df: bool = word(1, 4, 4);
        tso_en: bool = word(1, 7, 7);
        l4_proto: u8 = word(1, 12, 8);
        l3_csum_en: bool = word(1, 13, 13);
        l4_csum_en: bool = word(1, 14, 14);
        ethernet_fcs_dis: bool = word(1, 15, 15);
        /// The packet's checksum field holds the sum of the pseudo header.
        l4_csum_partial: bool = word(1, 17, 17);
        /// 48 bits.
        address: u64 = word(2, 31, 0), word(3, 15, 0);
        /// With descriptors in host memory a hint.
        header_length: u8 = word(3, 31, 24);
    }
}

record! {
    /// Where the headers are; goes before a packet's data descriptors and is remembered for later packets.
    TxMeta: 16 {
        ext_valid: bool = word(0, 14, 14);
        mss: u16 = word(2, 31, 22), word(0, 19, 16);
        eth_meta_type: bool = word(0, 20, 20);
        meta_store: bool = word(0, 21, 21);
        /// Always 1.
        meta_desc: bool = word(0, 23, 23);
        phase: bool = word(0, 24, 24);
        first: bool = word(0, 26, 26);
        last: bool = word(0, 27, 27);
        comp_req: bool = word(0, 28, 28);
        l3_hdr_len: u8 = word(2, 7, 0);
        l3_hdr_off: u8 = word(2, 15, 8);
        /// TCP data offset, for segmentation.
        l4_hdr_words: u8 = word(2, 21, 16);
    }
}

record! {
    TxCompletion: 8 {
        req_id: u16 = at(0, 2);
        status: u8 = at(2, 1);
        phase: bool = byte(3, 0, 0);
        sub_qid: u16 = at(4, 2);
        sq_head: u16 = at(6, 2);
    }
}

/// Whether a descriptor of the ring is a [TxMeta].
pub fn is_meta(desc: &[u8; DESC_LEN]) -> bool {
    TxData::from_bytes(desc).meta_desc
}

/// `l3_proto` of descriptors and completions.
pub mod l3 {
    pub const UNKNOWN: u8 = 0;
    pub const IPV4: u8 = 8;
    pub const IPV6: u8 = 11;
}

/// `l4_proto` of descriptors and completions.
pub mod l4 {
    pub const UNKNOWN: u8 = 0;
    pub const TCP: u8 = 12;
    pub const UDP: u8 = 13;
}
