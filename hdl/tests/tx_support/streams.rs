//! The words on the streams between the transmit blocks.

use nitor_block::stream::{Payload, Stalls};
use nitor_block::{Block, PortId};

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

payload!(Batch { queue, cq, op, count, lines, marker });
payload!(Parsed { queue, cq, req_id, len, count, meta, push, line, bad, dma, silent, marker });
payload!(Plain { cq, req_id, len, count, meta, push, line, bad, dma, silent, marker });
payload!(Seg { addr, len });
payload!(Ask { addr, len, dst, op, last });
payload!(Info { row, len, cq, req_id, word, read, slot, push, bad, dma, silent, marker });
payload!(Push { line, row, len });
payload!(Done { cq, req_id, marker });
payload!(Bell { queue, tail });
payload!(Command { destroy, idx, base, log_depth, cq, placement, vector });

pub fn stalls(seed: u64, rough: bool) -> Stalls {
    if rough {
        Stalls::seeded(seed)
    } else {
        Stalls::none()
    }
}
