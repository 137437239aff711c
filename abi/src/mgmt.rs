//! The management bus, on which the firmware sees the card: 32-bit registers at byte addresses.

use crate::record::{byte, word};

/// What [ID] reads.
pub const ID_VALUE: u32 = 0x4e49_5431;

addresses! {
    /// All of them.
    REGISTERS: u16 {
        /// Reads 0x4e49_5431.
        ID = 0x000, RO;
        /// See [Config].
        CONFIG = 0x004, RO;
        /// Pending interrupts, see [irq]; writing ones clears them.
        IRQ = 0x008, RW1C;
        /// See [Status].
        STATUS = 0x00c, RO;
        /// Writing 1: the firmware has forgotten what was before the reset.
        RESET_ACK = 0x010, WO;
        /// Microseconds, free running.
        TIME = 0x014, RO;
        /// See [Lines].
        LINES = 0x018, RO;
        /// A copy of the host's register.
        AQ_BASE_LO = 0x020, RO;
        /// A copy of the host's register.
        AQ_BASE_HI = 0x024, RO;
        /// A copy of the host's register.
        AQ_CAPS = 0x028, RO;
        /// A copy of the host's register.
        ACQ_BASE_LO = 0x02c, RO;
        /// A copy of the host's register.
        ACQ_BASE_HI = 0x030, RO;
        /// A copy of the host's register.
        ACQ_CAPS = 0x034, RO;
        /// A copy of the host's register.
        AENQ_BASE_LO = 0x038, RO;
        /// A copy of the host's register.
        AENQ_BASE_HI = 0x03c, RO;
        /// A copy of the host's register.
        AENQ_CAPS = 0x040, RO;
        /// A copy of the host's register.
        AQ_DB = 0x044, RO;
        /// A copy of the host's register.
        AENQ_HEAD_DB = 0x048, RO;
        /// A copy of the host's register.
        INTR_MASK = 0x04c, RO;
        /// A copy of the host's register.
        DEV_CTL = 0x050, RO;
        /// Writing 1 raises vector 0, now or when the host unmasks it.
        RAISE = 0x060, WO;
        /// Longest frame taken from the wire or from TX, in bytes without FCS.
        MAX_FRAME = 0x064, RW;
        /// A multiple of 4.
        DMA_ADDR_LO = 0x100, WO;
        DMA_ADDR_HI = 0x104, WO;
        /// Bytes, a multiple of 4.
        DMA_LEN = 0x108, WO;
        /// Byte offset in the buffer, a multiple of 4.
        DMA_BUF = 0x10c, WO;
        /// Writes are [dma_cmd], reads [DmaState].
        DMA_CMD = 0x110, RW;
        CTX_BASE_LO = 0x120, RW;
        CTX_BASE_HI = 0x124, RW;
        /// See [CtxParam]; none of the context's is changed while a command is under way.
        CTX_PARAM = 0x128, RW;
        /// Writes are [CtxCmd]; reads: bit 0, busy.
        CTX_CMD = 0x12c, RW;
        /// Hash input enables by kind of packet, numbered as [rss::input](crate::rss::input):
        /// 1 hashes L4 and L3, 0 L3 only. All 1 after a hard reset.
        RSS_CTRL = 0x130, RW;
        /// 40 bytes of key in the order Toeplitz is defined in, in little-endian words.
        RSS_KEY = 0x200, RW;
        /// 128 words, see [RssEntry].
        RSS_TABLE = 0x400, RW;
        /// Counters of 64 bits, lower half first; reading it holds the upper half. Order: [Counter].
        STATS = 0x600, RO;
        /// 2 KiB for what DMA reads and writes.
        BUFFER = 0x800, RW;
    }
}

pub const CTX_BUSY: u32 = 1;
pub const BUFFER_LEN: u16 = 0x800;

/// Bits of [IRQ].
pub mod irq {
    pub const RESET: u32 = 1 << 0;
    pub const AQ_DOORBELL: u32 = 1 << 1;
    pub const AENQ_DOORBELL: u32 = 1 << 2;
    pub const INTR_MASK: u32 = 1 << 3;
    /// Every millisecond.
    pub const TICK: u32 = 1 << 4;
    pub const LINK: u32 = 1 << 5;
    pub const FUNCTION_RESET: u32 = 1 << 6;
}

/// Written to [DMA_CMD].
pub mod dma_cmd {
    /// From host memory to the buffer.
    pub const READ: u32 = 1;
    /// From the buffer to host memory.
    pub const WRITE: u32 = 2;
}

register! {
    /// What the card was built with.
    Config {
        queue_pairs: u8 = byte(0, 7, 0);
        /// The highest MSI-X vector.
        last_vector: u8 = byte(1, 7, 0);
        /// log2 of the data path's bytes.
        log_width: u8 = word(0, 19, 16);
        /// log2 of the deepest ring's entries.
        log_max_depth: u8 = word(0, 23, 20);
        /// Checksums and segmentation on the way to the wire.
        tx_offloads: bool = word(0, 24, 24);
        /// Checksums of received frames are verified.
        rx_checksums: bool = word(0, 25, 25);
        /// There are low-latency queues: see [Lines].
        llq: bool = word(0, 26, 26);
    }
}

register! {
    /// Low-latency queues: each may have its part of the line memory, which is BAR2.
    Lines {
        /// log2 of lines of 128 bytes a queue pair.
        log_depth: u8 = word(0, 3, 0);
    }
}

register! {
    Status {
        /// A reset waits for the firmware.
        reset: bool = word(0, 0, 0);
        link_up: bool = word(0, 1, 1);
        bus_master: bool = word(0, 2, 2);
    }
}

register! {
    /// IRQ, bits as in [irq].
    Pending {
        reset: bool = word(0, 0, 0);
        aq_doorbell: bool = word(0, 1, 1);
        aenq_doorbell: bool = word(0, 2, 2);
        intr_mask: bool = word(0, 3, 3);
        tick: bool = word(0, 4, 4);
        link: bool = word(0, 5, 5);
        function_reset: bool = word(0, 6, 6);
    }
}

register! {
    /// DMA_CMD as read.
    DmaState {
        busy: bool = word(0, 0, 0);
        /// The last command failed.
        error: bool = word(0, 1, 1);
    }
}

register! {
    CtxParam {
        log_depth: u8 = word(0, 3, 0);
        /// Of a submission queue: where its completions go.
        cq: u8 = word(0, 15, 8);
        /// Of a completion queue: log2 of an entry's bytes, less 3. Of a TX submission queue: where its ring is, see [ring].
        log_entry: u8 = word(0, 17, 16);
        /// Of a completion queue.
        vector: u8 = word(0, 25, 18);
        no_vector: bool = word(0, 26, 26);
    }
}

/// [CtxParam::log_entry] of a TX submission queue.
pub mod ring {
    pub const HOST: u8 = 0;
    /// In BAR2, the base is an offset in it: lines of 128 bytes.
    pub const LINES: u8 = 1;
    /// In BAR2, lines of 256 bytes.
    pub const WIDE_LINES: u8 = 2;
}

register! {
    CtxCmd {
        index: u8 = word(0, 7, 0);
        /// See [CtxKind].
        kind: u8 = word(0, 9, 8);
        destroy: bool = word(0, 16, 16);
    }
}

/// What a context belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CtxKind {
    TxSq = 0,
    RxSq = 1,
    Cq = 2,
    /// What interrupts of a vector wait for: only destroyed, and then as after a reset. Vector 0 has none.
    Vector = 3,
}

register! {
    RssEntry {
        queue: u8 = byte(0, 7, 0);
        valid: bool = word(0, 8, 8);
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $variant:ident $name:literal,)*) => {
        /// The card's counters, in the order of [STATS].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Counter {
            $($(#[$doc])* $variant,)*
        }

        impl Counter {
            pub const ALL: &'static [Counter] = &[$(Counter::$variant),*];

            pub const fn name(self) -> &'static str {
                match self {
                    $(Counter::$variant => $name,)*
                }
            }
        }
    };
}

counters! {
    TxFrames "tx_frames",
    TxBytes "tx_bytes",
    RxFrames "rx_frames",
    RxBytes "rx_bytes",
    /// No descriptor was posted.
    RxDropsNoDescriptor "rx_drops_no_descriptor",
    /// The RX buffer was full.
    RxDropsNoRoom "rx_drops_no_room",
    /// Bad FCS, too short or too long.
    RxDropsBadFrame "rx_drops_bad_frame",
    /// Steered to a queue that does not exist.
    RxDropsNoQueue "rx_drops_no_queue",
    TxDropsDmaError "tx_drops_dma_error",
    TxDropsBadDescriptor "tx_drops_bad_descriptor",
    /// To a queue whose descriptors could not be read.
    RxDropsDmaError "rx_drops_dma_error",
    ReadTlps "read_tlps",
    WriteTlps "write_tlps",
    CompletionTlps "completion_tlps",
    MsixMessages "msix_messages",
    Doorbells "doorbells",
    CplPoisoned "cpl_poisoned",
    CplUrCa "cpl_ur_ca",
    CplTimeout "cpl_timeout",
    CplUnexpected "cpl_unexpected",
    RequestsUnsupported "requests_unsupported",
    /// Poisoned writes.
    RequestsPoisoned "requests_poisoned",
    /// Of no queue, or not a whole double word.
    DoorbellsNoQueue "doorbells_no_queue",
    CqOverflow "cq_overflow",
    /// Reading descriptors failed: the queue stands still until it is destroyed.
    TxQueuesBroken "tx_queues_broken",
    RxQueuesBroken "rx_queues_broken",
    /// Backwards, beyond the ring, or of a queue that isn't there.
    TxDoorbellsIllegal "tx_doorbells_illegal",
    RxDoorbellsIllegal "rx_doorbells_illegal",
    /// Of unknown type, or whose length and end disagree.
    TlpsMalformed "tlps_malformed",
}

impl Counter {
    /// Whether it counts what went well, and nothing else.
    pub const fn is_traffic(self) -> bool {
        use Counter::*;
        matches!(
            self,
            TxFrames
                | TxBytes
                | RxFrames
                | RxBytes
                | ReadTlps
                | WriteTlps
                | CompletionTlps
                | MsixMessages
                | Doorbells
        )
    }

    /// Address of the lower half.
    pub const fn address(self) -> u16 {
        STATS + 8 * self as u16
    }
}
