//! Receive-side scaling: serves the features for table, key and hash input.
//!
//! The card hashes both addresses, and both ports or none, by kind of packet. So a selection of
//! fields decides only about the ports. An odd one (a single address, nothing at all) is accepted,
//! as drivers expect, and hashes the addresses.

use nitor_abi::admin::{ControlBuffer, Status};
use nitor_abi::mgmt::{self, RssEntry};
use nitor_abi::rss::{
    function, input, Function, Input, KeyBuffer, Table, KEY_LEN, KEY_PARTS, NOT_INLINE,
    TABLE_ENTRIES, TABLE_ENTRY_LEN, TABLE_LEN, TABLE_LOG,
};

use crate::hw::Hw;

/// The default key: the one in the definition of the hash, whose hashes of sample packets are
/// published.
const DEFAULT_KEY: [u8; KEY_LEN] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

/// The kinds of packets that have ports.
const WITH_PORTS: [usize; 4] = [input::TCP4, input::UDP4, input::TCP6, input::UDP6];

/// The fields that may be selected, by kind of packet.
const SUPPORTED: [u16; input::KINDS] = {
    let mut fields = [0; input::KINDS];
    fields[input::TCP4] = input::L3_L4;
    fields[input::UDP4] = input::L3_L4;
    fields[input::TCP6] = input::L3_L4;
    fields[input::UDP6] = input::L3_L4;
    fields[input::IP4] = input::L3;
    fields[input::IP6] = input::L3;
    fields[input::IP4_FRAG] = input::L3;
    fields[input::NOT_IP] = input::L2;
    fields[input::TCP6_EX] = input::L3_L4;
    fields[input::IP6_EX] = input::L3;
    fields
};

pub(crate) struct Rss {
    /// The table, as the hardware has it.
    table: [RssEntry; TABLE_ENTRIES],
    /// Whether the driver has set the table. Before that, all RX queues share the flows.
    by_driver: bool,
    /// The key, in the byte order of the definition of Toeplitz.
    key: [u8; KEY_LEN],
    init_val: u32,
    selected: [u16; input::KINDS],
    sort: u16,
}

const INVALID: RssEntry = RssEntry { queue: 0, valid: false };

impl Rss {
    pub fn begin(hw: &mut Hw<'_>) -> Self {
        for entry in 0..TABLE_ENTRIES {
            hw.bus.write32(table_address(entry), INVALID.into());
        }
        let rss = Rss {
            table: [INVALID; _],
            by_driver: false,
            key: DEFAULT_KEY,
            init_val: 0,
            selected: SUPPORTED,
            sort: 0,
        };
        rss.write_key(hw);
        rss.write_input(hw);
        rss
    }

    /// Spreads the flows over the RX queues that exist now, unless the driver has set the table.
    pub fn spread(&mut self, hw: &mut Hw<'_>, queues: impl Iterator<Item = u8> + Clone) {
        if self.by_driver {
            return;
        }
        let mut round = queues.cycle();
        for entry in 0..TABLE_ENTRIES {
            let to = round.next().map_or(INVALID, |queue| RssEntry { queue, valid: true });
            self.write_entry(hw, entry, to);
        }
    }

    fn write_entry(&mut self, hw: &mut Hw<'_>, entry: usize, to: RssEntry) {
        if self.table[entry] != to {
            self.table[entry] = to;
            hw.bus.write32(table_address(entry), to.into());
        }
    }

    fn write_key(&self, hw: &mut Hw<'_>) {
        for (word, address) in self.key.chunks_exact(4).zip((mgmt::RSS_KEY..).step_by(4)) {
            let value = word.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte));
            hw.bus.write32(address, value);
        }
    }

    fn write_input(&self, hw: &mut Hw<'_>) {
        let ports = input::L4_DP | input::L4_SP;
        let off = WITH_PORTS.iter().filter(|&&kind| self.selected[kind] & ports == 0);
        let ctrl = off.fold(0xffff, |ctrl, kind| ctrl & !(1 << kind));
        hw.bus.write32(mgmt::RSS_CTRL, ctrl);
    }

    /// Serves GET of feature 12, the table.
    pub fn get_table(&self, hw: &mut Hw<'_>, control: ControlBuffer) -> Result<Table, Status> {
        if control.length > 0 {
            let mut bytes = [0; TABLE_LEN];
            for (place, entry) in bytes.chunks_exact_mut(TABLE_ENTRY_LEN).zip(&self.table) {
                place[0] = entry.queue;
            }
            hw.write_control(control, &bytes)?;
        }
        Ok(Table {
            min_size: TABLE_LOG,
            max_size: TABLE_LOG,
            size: TABLE_LOG,
            ..Default::default()
        })
    }

    pub fn set_table(
        &mut self,
        hw: &mut Hw<'_>,
        payload: &[u8; Table::LEN],
        control: ControlBuffer,
        queues: u32,
    ) -> Result<(), Status> {
        let table = Table::from_bytes(payload);
        if table.size != TABLE_LOG || table.inline_index != NOT_INLINE {
            return Err(Status::IllegalParameter);
        }
        let mut bytes = [0; TABLE_LEN];
        hw.read_control(control, &mut bytes)?;
        let queue = |entry: &[u8]| u16::from_le_bytes([entry[0], entry[1]]);
        let mut entries = bytes.chunks_exact(TABLE_ENTRY_LEN);
        // Queues that do not exist yet are accepted; their frames are dropped and counted.
        if entries.any(|entry| u32::from(queue(entry)) >= queues) {
            return Err(Status::IllegalParameter);
        }
        self.by_driver = true;
        for (entry, bytes) in bytes.chunks_exact(TABLE_ENTRY_LEN).enumerate() {
            self.write_entry(hw, entry, RssEntry { queue: queue(bytes) as u8, valid: true });
        }
        Ok(())
    }

    /// Serves GET of feature 10, the hash function and key.
    pub fn get_function(
        &self,
        hw: &mut Hw<'_>,
        control: ControlBuffer,
    ) -> Result<Function, Status> {
        if control.length > 0 {
            let mut key = self.key;
            key.reverse();
            hw.write_control(control, &KeyBuffer { parts: KEY_PARTS, key }.to_bytes())?;
        }
        Ok(Function {
            supported: function::TOEPLITZ,
            selected: function::TOEPLITZ,
            init_val: self.init_val,
        })
    }

    pub fn set_function(
        &mut self,
        hw: &mut Hw<'_>,
        payload: &[u8; Function::LEN],
        control: ControlBuffer,
    ) -> Result<(), Status> {
        let wanted = Function::from_bytes(payload);
        if wanted.selected != function::TOEPLITZ {
            return Err(Status::UnsupportedOpcode);
        }
        if control.length > 0 {
            let mut bytes = [0; KeyBuffer::LEN];
            hw.read_control(control, &mut bytes)?;
            let mut buffer = KeyBuffer::from_bytes(&bytes);
            if buffer.parts != KEY_PARTS {
                return Err(Status::IllegalParameter);
            }
            buffer.key.reverse();
            self.key = buffer.key;
            self.write_key(hw);
        }
        // Toeplitz has no initial value; this one is only kept to be read back.
        self.init_val = wanted.init_val;
        Ok(())
    }

    /// Serves GET of feature 18, the hash input.
    pub fn get_input(&self, hw: &mut Hw<'_>, control: ControlBuffer) -> Result<Input, Status> {
        if control.length > 0 {
            let mut bytes = [0; input::LEN];
            for (start, fields) in
                [(input::SUPPORTED, &SUPPORTED), (input::SELECTED, &self.selected)]
            {
                let entries = bytes[start..].chunks_exact_mut(input::ENTRY_LEN);
                for (entry, fields) in entries.zip(fields) {
                    entry[..2].copy_from_slice(&fields.to_le_bytes());
                }
            }
            hw.write_control(control, &bytes)?;
        }
        Ok(Input { supported_sort: 0, enabled_sort: self.sort })
    }

    pub fn set_input(
        &mut self,
        hw: &mut Hw<'_>,
        payload: &[u8; Input::LEN],
        control: ControlBuffer,
    ) -> Result<(), Status> {
        let mut bytes = [0; input::LEN];
        hw.read_control(control, &mut bytes)?;
        let mut selected = [0; input::KINDS];
        let entries = bytes[input::SELECTED..].chunks_exact(input::ENTRY_LEN);
        for (fields, entry) in selected.iter_mut().zip(entries) {
            *fields = u16::from_le_bytes([entry[0], entry[1]]);
        }
        if selected.iter().zip(SUPPORTED).any(|(selected, supported)| selected & !supported != 0) {
            return Err(Status::IllegalParameter);
        }
        self.selected = selected;
        // Drivers always ask for sorting. The card does not sort, so its hash stays the one that
        // software computes.
        self.sort = Input::from_bytes(payload).enabled_sort;
        self.write_input(hw);
        Ok(())
    }
}

fn table_address(entry: usize) -> u16 {
    mgmt::RSS_TABLE + 4 * entry as u16
}
