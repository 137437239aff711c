//! Receive-side scaling: the indirection table, the key and the hash input.

use nitor_abi::feature::Feature;
use nitor_abi::rss::{
    function, input, Function, Input, KeyBuffer, Table, KEY_LEN, KEY_PARTS, NOT_INLINE,
    TABLE_ENTRIES, TABLE_ENTRY_LEN, TABLE_LEN, TABLE_LOG,
};

use crate::admin::AdminQueue;
use crate::error::{Error, Result};
use crate::features::head;
use crate::pci::PciFunction;

/// The key of the Toeplitz hash, in the order of its definition.
pub type RssKey = [u8; KEY_LEN];

impl<P: PciFunction + Clone> AdminQueue<P> {
    /// Sets the indirection table: an RX queue ID for each value of the hash's low bits.
    pub fn set_rss_table(&mut self, queues: &[u16; TABLE_ENTRIES]) -> Result<()> {
        let limits = Table::from_bytes(&head(&self.get(Feature::RssIndirectionTable, 0, None)?));
        if !(limits.min_size..=limits.max_size).contains(&TABLE_LOG) {
            return Err(Error::Config("the card has no indirection table of 128 entries".into()));
        }
        let mut buffer = self.control_buffer(TABLE_LEN)?;
        let entries = buffer.as_mut_slice().chunks_exact_mut(TABLE_ENTRY_LEN);
        for (entry, queue) in entries.zip(queues) {
            entry.copy_from_slice(&u32::from(*queue).to_le_bytes());
        }
        let table = Table { size: TABLE_LOG, inline_index: NOT_INLINE, ..Default::default() };
        self.set(Feature::RssIndirectionTable, &table.to_bytes(), Some(&buffer))
    }

    pub fn rss_table(&mut self) -> Result<[u16; TABLE_ENTRIES]> {
        let buffer = self.control_buffer(TABLE_LEN)?;
        self.get(Feature::RssIndirectionTable, 0, Some(&buffer))?;
        let bytes = buffer.as_slice();
        Ok(std::array::from_fn(|i| {
            u16::from_le_bytes([bytes[TABLE_ENTRY_LEN * i], bytes[TABLE_ENTRY_LEN * i + 1]])
        }))
    }

    pub fn set_rss_key(&mut self, key: &RssKey) -> Result<()> {
        let mut buffer = self.control_buffer(KeyBuffer::LEN)?;
        let mut record = KeyBuffer { parts: KEY_PARTS, key: *key };
        // The card takes the key with its last byte first.
        record.key.reverse();
        buffer.as_mut_slice()[..KeyBuffer::LEN].copy_from_slice(&record.to_bytes());
        let toeplitz = Function { selected: function::TOEPLITZ, ..Default::default() };
        self.set(Feature::RssHashFunction, &toeplitz.to_bytes(), Some(&buffer))
    }

    pub fn rss_key(&mut self) -> Result<RssKey> {
        let buffer = self.control_buffer(KeyBuffer::LEN)?;
        self.get(Feature::RssHashFunction, 0, Some(&buffer))?;
        let bytes = buffer.as_slice().first_chunk().expect("as long as allocated");
        let mut record = KeyBuffer::from_bytes(bytes);
        if record.parts != KEY_PARTS {
            return Err(Error::Nonsense("a hash key of another length"));
        }
        record.key.reverse();
        Ok(record.key)
    }

    /// Selects the fields that are hashed, by kind of packet: fields of [nitor_abi::rss::input],
    /// indexed by its kinds.
    pub fn set_rss_input(&mut self, fields: &[u16; input::KINDS]) -> Result<()> {
        let mut buffer = self.control_buffer(input::LEN)?;
        let selected = &mut buffer.as_mut_slice()[input::SELECTED..];
        for (entry, fields) in selected.chunks_exact_mut(input::ENTRY_LEN).zip(fields) {
            entry.copy_from_slice(&u32::from(*fields).to_le_bytes());
        }
        self.set(Feature::RssHashInput, &Input::default().to_bytes(), Some(&buffer))
    }
}
