//! The words on the streams between the transmit blocks.

use nitor_block::stream::{Payload, Stalls};
use nitor_block::{Block, PortId};
use nitor_hdl::tx::words::{Meta, Offloads, Owner};
use nitor_rtl::prelude::{Record, Synth};

/// A struct of fields up to 64 bits, as a stream's payload in the order of the ports.
macro_rules! payload {
    ($name:ident { $($field:ident),* $(,)? }) => {
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name { $(pub $field: u64),* }
        impl Payload for $name {
            fn drive(&self, block: &mut Block, ports: &[PortId]) {
                let mut ports = ports.iter();
                $(block.set(*ports.next().expect(stringify!($field)), self.$field);)*
                assert!(ports.next().is_none());
            }
            fn collect(block: &Block, ports: &[PortId]) -> Self {
                let mut ports = ports.iter();
                $name { $($field: block.get(*ports.next().expect(stringify!($field)))),* }
            }
        }
    };
}

payload!(Batch { queue, cq, count, marker, op, lines });
payload!(Packet { queue, owner, len, count, meta, bad, dma, silent, marker, pushed, line });
payload!(Seg { addr, len });
payload!(Ask { addr, len, dst, op, last });
payload!(Info { read, bad, dma, silent, marker, owner, len, row, word, slot, push });
payload!(Push { row, line, len });
payload!(Done { cq, req_id, marker });
payload!(Bell { queue, tail });
payload!(Command { destroy, idx, base, log_depth, cq, placement, log_entry, vector });

/// An `owner`.
pub fn owner(cq: u64, req_id: u64) -> u64 {
    Owner { cq: cq.into(), req_id: req_id.into() }.to_bits::<{ Owner::BITS }>().to_u64()
}

/// A `meta`.
pub fn meta(meta: Meta) -> u64 {
    meta.to_bits::<{ Meta::BITS }>().to_u64()
}

/// A frame's `word`.
pub fn word(offloads: Offloads) -> u64 {
    offloads.to_bits::<{ Offloads::BITS }>().to_u64()
}

pub fn stalls(seed: u64, rough: bool) -> Stalls {
    if rough {
        Stalls::seeded(seed)
    } else {
        Stalls::none()
    }
}
