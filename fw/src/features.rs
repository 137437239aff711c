//! Features: serves GET_FEATURE and SET_FEATURE.

use nitor_abi::admin::{self, part, ControlBuffer, Entry, Status};
use nitor_abi::event::Group;
use nitor_abi::feature::{
    capability, link_speed, rx_offload, tx_offload, AenqConfig, DeviceAttributes, Feature,
    HostAttributes, InterruptModeration, LinkConfig, Llq, MaxQueues, MaxQueuesExt, Mtu,
    StatelessOffload,
};
use nitor_abi::mgmt;

use crate::admin::{body, Body};
use crate::hw::{Hw, ADDRESS_BITS};
use crate::{Life, Settings};

/// The features that GET 1 reports; [Feature::Llq] is added if the card has lines.
const SUPPORTED: u32 = Feature::DeviceAttributes.bit()
    | Feature::MaxQueues.bit()
    | Feature::HwHints.bit()
    | Feature::MaxQueuesExt.bit()
    | Feature::RssHashFunction.bit()
    | Feature::StatelessOffload.bit()
    | Feature::RssIndirectionTable.bit()
    | Feature::Mtu.bit()
    | Feature::RssHashInput.bit()
    | Feature::InterruptModeration.bit()
    | Feature::AenqConfig.bit()
    | Feature::LinkConfig.bit()
    | Feature::HostAttributes.bit();

/// The events this card posts.
const GROUPS: u32 = Group::LinkChange.bit()
    | Group::FatalError.bit()
    | Group::Warning.bit()
    | Group::Notification.bit()
    | Group::KeepAlive.bit()
    | Group::DeviceRequestReset.bit();

const RX_CHECKSUMS: u32 =
    rx_offload::L3_CSUM_IPV4 | rx_offload::L4_IPV4_CSUM | rx_offload::L4_IPV6_CSUM;

/// The reported size of a TX header. Drivers keep it in 8 bits and need more than 0, even if
/// nothing is pushed. A line of 128 bytes has room for as much.
const TX_HEADER_SIZE: u8 = 96;
/// The reported number of descriptors in a packet to send. Drivers may exceed it by two; the
/// hardware takes 21.
const PACKET_TX_DESCS: u16 = 19;
const PACKET_RX_DESCS: u16 = 16;
/// The MTU that every IPv4 host must accept.
const MIN_MTU: u32 = 68;
/// Ethernet header and two VLAN tags.
const FRAME_OVERHEAD: u32 = 14 + 2 * 4;

/// The transmit offloads, if the hardware was built with them.
const TX_OFFLOADS: u32 = tx_offload::L3_CSUM_IPV4
    | tx_offload::L4_IPV4_CSUM_PARTIAL
    | tx_offload::L4_IPV4_CSUM_FULL
    | tx_offload::L4_IPV6_CSUM_PARTIAL
    | tx_offload::L4_IPV6_CSUM_FULL
    | tx_offload::TSO_IPV4
    | tx_offload::TSO_IPV6
    | tx_offload::TSO_ECN;

pub(crate) struct Features {
    mtu: u32,
    offloads: StatelessOffload,
    host: HostAttributes,
}

impl Features {
    /// Begins with default features. The card accepts every frame until a driver sets its MTU.
    pub fn begin(settings: &Settings, limits: &mgmt::Config, hw: &mut Hw<'_>) -> Self {
        let mtu = settings.max_mtu.into();
        hw.bus.write32(mgmt::MAX_FRAME, mtu + FRAME_OVERHEAD);
        let tx = if limits.tx_offloads { TX_OFFLOADS } else { 0 };
        let rx = if limits.rx_checksums { RX_CHECKSUMS } else { 0 } | rx_offload::HASH;
        let offloads = StatelessOffload { tx, rx_supported: rx, rx_enabled: rx };
        Features { mtu, offloads, host: HostAttributes::default() }
    }
}

impl Life {
    pub(crate) fn get_feature(
        &mut self,
        settings: &Settings,
        hw: &mut Hw<'_>,
        feature: u8,
        control: ControlBuffer,
    ) -> Result<Body, Status> {
        let (pairs, depth) = (self.queues.pairs(), self.queues.max_depth());
        let lines = &self.queues.lines;
        let payload = match Feature::try_from(feature).map_err(|_| Status::UnsupportedOpcode)? {
            Feature::DeviceAttributes => body(
                DeviceAttributes {
                    impl_id: 0,
                    device_version: 0,
                    supported_features: SUPPORTED
                        | if lines.there() { Feature::Llq.bit() } else { 0 },
                    capabilities: capability::ENI_STATS,
                    phys_addr_width: ADDRESS_BITS,
                    virt_addr_width: 64,
                    mac: settings.mac,
                    flow_steering_entries: 0,
                    max_mtu: settings.max_mtu.into(),
                }
                .to_bytes(),
            ),
            Feature::MaxQueues => body(
                MaxQueues {
                    sq_num: pairs,
                    sq_depth: depth,
                    cq_num: pairs,
                    cq_depth: depth,
                    llq_num: if lines.there() { pairs } else { 0 },
                    llq_depth: lines.depth(),
                    header_size: TX_HEADER_SIZE.into(),
                    packet_tx_descs: PACKET_TX_DESCS,
                    packet_rx_descs: PACKET_RX_DESCS,
                }
                .to_bytes(),
            ),
            Feature::MaxQueuesExt => body(
                MaxQueuesExt {
                    version: 1,
                    tx_sq_num: pairs,
                    tx_cq_num: pairs,
                    rx_sq_num: pairs,
                    rx_cq_num: pairs,
                    tx_sq_depth: depth,
                    tx_cq_depth: depth,
                    rx_sq_depth: depth,
                    rx_cq_depth: depth,
                    tx_header_size: TX_HEADER_SIZE.into(),
                    packet_tx_descs: PACKET_TX_DESCS,
                    packet_rx_descs: PACKET_RX_DESCS,
                }
                .to_bytes(),
            ),
            Feature::Llq => body(lines.get(pairs)?.to_bytes()),
            Feature::HwHints => body(settings.hints.to_bytes()),
            Feature::StatelessOffload => body(self.features.offloads.to_bytes()),
            Feature::Mtu => body(Mtu { mtu: self.features.mtu }.to_bytes()),
            Feature::InterruptModeration => {
                body(InterruptModeration { resolution_us: settings.delay_resolution_us }.to_bytes())
            }
            Feature::AenqConfig => body(
                AenqConfig { supported_groups: GROUPS, enabled_groups: self.events.groups() }
                    .to_bytes(),
            ),
            Feature::LinkConfig => body(
                LinkConfig {
                    speed: settings.link_speed,
                    supported: speed_bit(settings.link_speed),
                    autoneg: false,
                    full_duplex: true,
                }
                .to_bytes(),
            ),
            Feature::HostAttributes => body(self.features.host.to_bytes()),
            Feature::RssIndirectionTable => body(self.rss.get_table(hw, control)?.to_bytes()),
            Feature::RssHashFunction => body(self.rss.get_function(hw, control)?.to_bytes()),
            Feature::RssHashInput => body(self.rss.get_input(hw, control)?.to_bytes()),
            _ => return Err(Status::UnsupportedOpcode),
        };
        Ok(payload)
    }

    pub(crate) fn set_feature(
        &mut self,
        settings: &Settings,
        hw: &mut Hw<'_>,
        feature: u8,
        command: &Entry,
        control: ControlBuffer,
    ) -> Result<(), Status> {
        const AT: usize = admin::SET_PAYLOAD;
        match Feature::try_from(feature).map_err(|_| Status::UnsupportedOpcode)? {
            Feature::Mtu => {
                let mtu = Mtu::from_bytes(&part(command, AT)).mtu;
                if !(MIN_MTU..=settings.max_mtu.into()).contains(&mtu) {
                    return Err(Status::IllegalParameter);
                }
                self.features.mtu = mtu;
                hw.bus.write32(mgmt::MAX_FRAME, mtu + FRAME_OVERHEAD);
                Ok(())
            }
            Feature::Llq => self.queues.lines.set(Llq::from_bytes(&part(command, AT))),
            Feature::AenqConfig => {
                let groups = AenqConfig::from_bytes(&part(command, AT)).enabled_groups;
                if groups & !GROUPS != 0 {
                    return Err(Status::IllegalParameter);
                }
                self.events.enable(groups);
                Ok(())
            }
            Feature::HostAttributes => {
                // The host attributes name areas for debugging, which the firmware does not read.
                self.features.host = HostAttributes::from_bytes(&part(command, AT));
                Ok(())
            }
            Feature::RssIndirectionTable => {
                let queues = self.queues.pairs();
                self.rss.set_table(hw, &part(command, AT), control, queues)
            }
            Feature::RssHashFunction => self.rss.set_function(hw, &part(command, AT), control),
            Feature::RssHashInput => self.rss.set_input(hw, &part(command, AT), control),
            _ => Err(Status::UnsupportedOpcode),
        }
    }
}

fn speed_bit(mbps: u32) -> u32 {
    match mbps {
        1_000 => link_speed::G1,
        2_500 => link_speed::G2_5,
        5_000 => link_speed::G5,
        10_000 => link_speed::G10,
        25_000 => link_speed::G25,
        40_000 => link_speed::G40,
        50_000 => link_speed::G50,
        100_000 => link_speed::G100,
        200_000 => link_speed::G200,
        400_000 => link_speed::G400,
        _ => 0,
    }
}
