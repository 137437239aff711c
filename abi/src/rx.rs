//! Receive descriptors and completions. Protocol numbers are those of [tx](crate::tx).

use crate::record::{at, byte, word};

record! {
    /// A posted buffer.
    RxDesc: 16 {
        /// 0: 64 KiB.
        length: u16 = at(0, 2);
        phase: bool = byte(3, 0, 0);
        first: bool = byte(3, 2, 2);
        last: bool = byte(3, 3, 3);
        comp_req: bool = byte(3, 4, 4);
        req_id: u16 = at(4, 2);
        /// 48 bits.
        address: u64 = at(8, 6);
    }
}

record! {
    /// A filled buffer. Protocols, checksums and hash count in the packet's last only, `offset` in the first.
    RxCompletion: 16 {
        l3_proto: u8 = word(0, 4, 0);
        src_vlan_cnt: u8 = word(0, 6, 5);
        l4_proto: u8 = word(0, 12, 8);
        /// Wrong, or not looked at.
        l3_csum_err: bool = word(0, 13, 13);
        l4_csum_err: bool = word(0, 14, 14);
        ipv4_frag: bool = word(0, 15, 15);
        l4_csum_checked: bool = word(0, 16, 16);
        phase: bool = word(0, 24, 24);
        l3_csum2: bool = word(0, 25, 25);
        first: bool = word(0, 26, 26);
        last: bool = word(0, 27, 27);
        buffer: bool = word(0, 30, 30);
        /// Bytes in this buffer, no FCS.
        length: u16 = at(4, 2);
        req_id: u16 = at(6, 2);
        hash: u32 = at(8, 4);
        sub_qid: u16 = at(12, 2);
        /// Bytes left out at the start of the first buffer.
        offset: u8 = at(14, 1);
    }
}
