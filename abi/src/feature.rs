//! Features: their numbers and payloads, which are the same in GET_FEATURE's answer and SET_FEATURE. Those of
//! receive-side scaling are in [rss](crate::rss).

use crate::record::{at, byte, word};

/// A feature's number, and its bit in [DeviceAttributes::supported_features].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Feature {
    DeviceAttributes = 1,
    MaxQueues = 2,
    HwHints = 3,
    Llq = 4,
    ExtraPropertiesStrings = 5,
    ExtraPropertiesFlags = 6,
    MaxQueuesExt = 7,
    FragBypass = 8,
    RssHashFunction = 10,
    StatelessOffload = 11,
    RssIndirectionTable = 12,
    Mtu = 14,
    RssHashInput = 18,
    InterruptModeration = 20,
    AenqConfig = 26,
    LinkConfig = 27,
    HostAttributes = 28,
    Phc = 29,
    FlowSteering = 30,
    HwTimestamp = 31,
}

impl Feature {
    pub const fn bit(self) -> u32 {
        1 << self as u8
    }
}

impl TryFrom<u8> for Feature {
    type Error = u8;

    fn try_from(feature: u8) -> Result<Self, u8> {
        Ok(match feature {
            1 => Feature::DeviceAttributes,
            2 => Feature::MaxQueues,
            3 => Feature::HwHints,
            4 => Feature::Llq,
            5 => Feature::ExtraPropertiesStrings,
            6 => Feature::ExtraPropertiesFlags,
            7 => Feature::MaxQueuesExt,
            8 => Feature::FragBypass,
            10 => Feature::RssHashFunction,
            11 => Feature::StatelessOffload,
            12 => Feature::RssIndirectionTable,
            14 => Feature::Mtu,
            18 => Feature::RssHashInput,
            20 => Feature::InterruptModeration,
            26 => Feature::AenqConfig,
            27 => Feature::LinkConfig,
            28 => Feature::HostAttributes,
            29 => Feature::Phc,
            30 => Feature::FlowSteering,
            31 => Feature::HwTimestamp,
            other => return Err(other),
        })
    }
}

record! {
    /// Feature 1.
    DeviceAttributes: 36 {
        impl_id: u32 = at(0, 4);
        device_version: u32 = at(4, 4);
        supported_features: u32 = at(8, 4);
        /// See [capability].
        capabilities: u32 = at(12, 4);
        phys_addr_width: u32 = at(16, 4);
        virt_addr_width: u32 = at(20, 4);
        /// In the order of the wire.
        mac: [u8; 6] = at(24, 6);
        flow_steering_entries: u16 = at(30, 2);
        /// Without Ethernet header.
        max_mtu: u32 = at(32, 4);
    }
}

/// Bits of [DeviceAttributes::capabilities].
pub mod capability {
    pub const ENI_STATS: u32 = 1 << 0;
    pub const SRD_INFO: u32 = 1 << 1;
    pub const CUSTOMER_METRICS: u32 = 1 << 2;
    pub const EXTENDED_RESET_REASONS: u32 = 1 << 3;
    pub const CDESC_MBZ: u32 = 1 << 4;
}

record! {
    /// Feature 2.
    MaxQueues: 32 {
        sq_num: u32 = at(0, 4);
        sq_depth: u32 = at(4, 4);
        cq_num: u32 = at(8, 4);
        cq_depth: u32 = at(12, 4);
        llq_num: u32 = at(16, 4);
        llq_depth: u32 = at(20, 4);
        header_size: u32 = at(24, 4);
        packet_tx_descs: u16 = at(28, 2);
        packet_rx_descs: u16 = at(30, 2);
    }
}

record! {
    /// Feature 7.
    MaxQueuesExt: 44 {
        /// 1.
        version: u8 = at(0, 1);
        tx_sq_num: u32 = at(4, 4);
        tx_cq_num: u32 = at(8, 4);
        rx_sq_num: u32 = at(12, 4);
        rx_cq_num: u32 = at(16, 4);
        tx_sq_depth: u32 = at(20, 4);
        tx_cq_depth: u32 = at(24, 4);
        rx_sq_depth: u32 = at(28, 4);
        rx_cq_depth: u32 = at(32, 4);
        /// 1 to 255.
        tx_header_size: u32 = at(36, 4);
        /// Meta descriptor included.
        packet_tx_descs: u16 = at(40, 2);
        packet_rx_descs: u16 = at(42, 2);
    }
}

record! {
    /// Feature 3, and payload of an event that changes it. 0: the driver's default.
    Hints: 32 {
        mmio_read_timeout_ms: u16 = at(0, 2);
        /// 0xFFFF: no watchdog.
        driver_watchdog_timeout_ms: u16 = at(2, 2);
        missing_tx_completion_timeout_ms: u16 = at(4, 2);
        missed_tx_completions_to_reset: u16 = at(6, 2);
        admin_completion_timeout_ms: u16 = at(8, 2);
        netdev_watchdog_timeout_ms: u16 = at(10, 2);
        max_tx_sgl: u16 = at(12, 2);
        max_rx_sgl: u16 = at(14, 2);
    }
}

record! {
    /// Feature 4.
    Llq: 36 {
        max_num: u32 = at(0, 4);
        max_depth: u32 = at(4, 4);
        header_location_supported: u16 = at(8, 2);
        header_location_enabled: u16 = at(10, 2);
        entry_size_supported: u16 = at(12, 2);
        entry_size_enabled: u16 = at(14, 2);
        descs_before_header_supported: u16 = at(16, 2);
        descs_before_header_enabled: u16 = at(18, 2);
        stride_supported: u16 = at(20, 2);
        stride_enabled: u16 = at(22, 2);
        feature_version: u8 = at(24, 1);
        entry_size_recommended: u8 = at(25, 1);
        max_wide_depth: u16 = at(26, 2);
        /// GET: what is supported; SET: what is enabled.
        accel_flags: u16 = at(28, 2);
        max_tx_burst: u16 = at(30, 2);
    }
}

/// Fields of [Llq]: bits of what is supported, values of what is enabled.
pub mod llq {
    /// The header is in the packet's first line.
    pub const INLINE: u16 = 1;
    pub const ENTRY_128: u16 = 1;
    pub const ENTRY_256: u16 = 4;
    /// Two descriptors before the header.
    pub const TWO_BEFORE: u16 = 2;
    /// Further lines are full of descriptors.
    pub const MULTIPLE: u16 = 2;
    /// What `TWO_BEFORE` says.
    pub const DESCS_BEFORE: usize = 2;
}

record! {
    /// Feature 8.
    FragBypass: 4 {
        enable: u8 = at(0, 1);
    }
}

record! {
    /// Feature 11. Bits are those of [tx_offload] and [rx_offload].
    StatelessOffload: 12 {
        tx: u32 = at(0, 4);
        rx_supported: u32 = at(4, 4);
        rx_enabled: u32 = at(8, 4);
    }
}

/// Bits of [StatelessOffload::tx].
pub mod tx_offload {
    pub const L3_CSUM_IPV4: u32 = 1 << 0;
    pub const L4_IPV4_CSUM_PARTIAL: u32 = 1 << 1;
    pub const L4_IPV4_CSUM_FULL: u32 = 1 << 2;
    pub const L4_IPV6_CSUM_PARTIAL: u32 = 1 << 3;
    pub const L4_IPV6_CSUM_FULL: u32 = 1 << 4;
    pub const TSO_IPV4: u32 = 1 << 5;
    pub const TSO_IPV6: u32 = 1 << 6;
    pub const TSO_ECN: u32 = 1 << 7;
}

/// Bits of [StatelessOffload::rx_supported].
pub mod rx_offload {
    pub const L3_CSUM_IPV4: u32 = 1 << 0;
    pub const L4_IPV4_CSUM: u32 = 1 << 1;
    pub const L4_IPV6_CSUM: u32 = 1 << 2;
    pub const HASH: u32 = 1 << 3;
}

record! {
    /// Feature 14.
    Mtu: 4 {
        mtu: u32 = at(0, 4);
    }
}

record! {
    /// Feature 20.
    InterruptModeration: 4 {
        /// Microseconds a unit of delay, at least 1.
        resolution_us: u16 = at(0, 2);
    }
}

record! {
    /// Feature 26: groups are bits of [Group](crate::event::Group).
    AenqConfig: 8 {
        supported_groups: u32 = at(0, 4);
        enabled_groups: u32 = at(4, 4);
    }
}

record! {
    /// Feature 27.
    LinkConfig: 12 {
        /// In Mb/s.
        speed: u32 = at(0, 4);
        /// Speeds, see [link_speed].
        supported: u32 = at(4, 4);
        autoneg: bool = word(2, 0, 0);
        full_duplex: bool = word(2, 1, 1);
    }
}

/// Bits of [LinkConfig::supported].
pub mod link_speed {
    pub const G1: u32 = 1 << 0;
    pub const G2_5: u32 = 1 << 1;
    pub const G5: u32 = 1 << 2;
    pub const G10: u32 = 1 << 3;
    pub const G25: u32 = 1 << 4;
    pub const G40: u32 = 1 << 5;
    pub const G50: u32 = 1 << 6;
    pub const G100: u32 = 1 << 7;
    pub const G200: u32 = 1 << 8;
    pub const G400: u32 = 1 << 9;
}

record! {
    /// Feature 28.
    HostAttributes: 20 {
        /// Address of a [HostInfo] page.
        os_info: u64 = at(0, 6);
        debug_area: u64 = at(8, 6);
        debug_area_len: u32 = at(16, 4);
    }
}

record! {
    /// The page that [HostAttributes] points to: its first 196 of 4096 bytes.
    HostInfo: 196 {
        /// See [os].
        os_type: u32 = at(0, 4);
        os_dist_str: [u8; 128] = at(4, 128);
        os_dist: u32 = at(132, 4);
        kernel_ver_str: [u8; 32] = at(136, 32);
        kernel_ver: u32 = at(168, 4);
        driver_major: u8 = at(172, 1);
        driver_minor: u8 = at(173, 1);
        driver_sub: u8 = at(174, 1);
        driver_module: u8 = at(175, 1);
        network_features: u64 = at(176, 8);
        /// 0x0200.
        ena_spec_version: u16 = at(184, 2);
        pci_function: u8 = word(46, 18, 16);
        pci_device: u8 = word(46, 23, 19);
        pci_bus: u8 = word(46, 31, 24);
        num_cpus: u16 = at(188, 2);
        /// See [driver_feature].
        driver_features: u32 = at(192, 4);
    }
}

/// Bytes of the page that [HostInfo] begins.
pub const HOST_INFO_PAGE: usize = 4096;
/// What drivers announce in [HostInfo::ena_spec_version].
pub const ENA_SPEC_VERSION: u16 = 0x0200;

/// [HostInfo::os_type].
pub mod os {
    pub const LINUX: u32 = 1;
    pub const WINDOWS: u32 = 2;
    pub const DPDK: u32 = 3;
    pub const FREEBSD: u32 = 4;
    pub const IPXE: u32 = 5;
    pub const ESXI: u32 = 6;
}

/// Bits of [HostInfo::driver_features].
pub mod driver_feature {
    pub const RX_OFFSET: u32 = 1 << 1;
    pub const INTERRUPT_MODERATION: u32 = 1 << 2;
    pub const RX_BUF_MIRRORING: u32 = 1 << 3;
    pub const RSS_CONFIGURABLE_FUNCTION_KEY: u32 = 1 << 4;
    pub const RX_PAGE_REUSE: u32 = 1 << 6;
    pub const TX_IPV6_CSUM_OFFLOAD: u32 = 1 << 7;
    pub const PHC: u32 = 1 << 8;
    pub const DEBUG_AREA_EXT: u32 = 1 << 9;
}

record! {
    /// Feature 29, GET.
    Phc: 16 {
        version: u8 = at(0, 1);
        /// In BAR0.
        doorbell: u32 = at(4, 4);
        expire_timeout_us: u32 = at(8, 4);
        block_timeout_us: u32 = at(12, 4);
    }
}

record! {
    /// Feature 29, SET.
    PhcOutput: 28 {
        address: u64 = at(16, 6);
        length: u32 = at(24, 4);
    }
}

record! {
    /// Feature 30, SET.
    FlowSteering: 12 {
        /// 1 add, 2 remove, 3 remove all.
        action: u8 = at(0, 1);
        flow_type: u8 = at(1, 1);
        /// The plain number of a queue pair.
        queue: u16 = at(2, 2);
        /// 0xFFFF: the card chooses.
        location: u16 = at(4, 2);
        flags: u32 = at(8, 4);
    }
}

record! {
    /// Control buffer of feature 30. Addresses in the order of the wire, ports as numbers.
    FlowRule: 128 {
        dst_ip: [u8; 16] = at(0, 16);
        dst_ip_mask: [u8; 16] = at(16, 16);
        src_ip: [u8; 16] = at(32, 16);
        src_ip_mask: [u8; 16] = at(48, 16);
        dst_port: u16 = at(64, 2);
        dst_port_mask: u16 = at(66, 2);
        src_port: u16 = at(68, 2);
        src_port_mask: u16 = at(70, 2);
        tos: u8 = at(72, 1);
        tos_mask: u8 = at(73, 1);
    }
}

record! {
    /// Feature 31. GET: what is supported, SET: what is enabled.
    HwTimestamp: 4 {
        version: u8 = at(0, 1);
        tx: u8 = at(1, 1);
        rx: u8 = byte(2, 7, 0);
    }
}
