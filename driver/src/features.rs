//! Features: reads what the card offers, and sets what the driver wants.

use std::time::Duration;

use nitor_abi::admin::{Entry, FeatureCommand, Opcode, Status, SET_PAYLOAD};
use nitor_abi::feature::{
    AenqConfig, DeviceAttributes, Feature, Hints, InterruptModeration, LinkConfig, Llq, MaxQueues,
    MaxQueuesExt, Mtu, StatelessOffload,
};

use crate::admin::{AdminQueue, Body};
use crate::dma::DmaBuf;
use crate::error::{Error, Result};
use crate::pci::PciFunction;

/// Everything that the card reports of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    pub attributes: DeviceAttributes,
    pub limits: MaxQueuesExt,
    pub offload: StatelessOffload,
    pub hints: Hints,
    /// The groups of events that the card can post.
    pub event_groups: u32,
    /// Microseconds in a unit of interrupt delay.
    pub delay_unit: u16,
    pub link: Option<LinkConfig>,
    /// The offer of low-latency queues.
    pub llq: Option<Llq>,
}

impl Features {
    pub(crate) fn query<P: PciFunction + Clone>(admin: &mut AdminQueue<P>) -> Result<Self> {
        let attributes = admin.get(Feature::DeviceAttributes, 0, None)?;
        let attributes = DeviceAttributes::from_bytes(&head(&attributes));
        let mac = attributes.mac;
        if mac == [0; 6] || mac[0] & 1 == 1 {
            return Err(Error::Nonsense("its address is no unicast address"));
        }
        let supported = attributes.supported_features;
        let offered = |feature: Feature| supported & feature.bit() != 0;

        let limits = if offered(Feature::MaxQueuesExt) {
            let limits =
                MaxQueuesExt::from_bytes(&head(&admin.get(Feature::MaxQueuesExt, 1, None)?));
            if limits.version != 1 {
                return Err(Error::Nonsense("queue limits of an unknown version"));
            }
            limits
        } else {
            let limits = MaxQueues::from_bytes(&head(&admin.get(Feature::MaxQueues, 0, None)?));
            same_both_ways(limits)
        };
        let events = AenqConfig::from_bytes(&head(&admin.get(Feature::AenqConfig, 0, None)?));
        let offload = admin.get(Feature::StatelessOffload, 0, None)?;
        let offload = StatelessOffload::from_bytes(&head(&offload));
        let hints = match offered(Feature::HwHints) {
            true => admin.optional(Feature::HwHints)?.map(|body| Hints::from_bytes(&head(&body))),
            false => None,
        };
        let delay = match offered(Feature::InterruptModeration) {
            true => admin.optional(Feature::InterruptModeration)?,
            false => None,
        };
        let delay =
            delay.map(|body| InterruptModeration::from_bytes(&head(&body)).resolution_us.max(1));
        let link = match offered(Feature::LinkConfig) {
            true => admin.optional(Feature::LinkConfig)?,
            false => None,
        };
        let llq = match offered(Feature::Llq) {
            true => admin.optional(Feature::Llq)?,
            false => None,
        };
        Ok(Features {
            attributes,
            limits,
            offload,
            hints: hints.unwrap_or_default(),
            event_groups: events.supported_groups,
            delay_unit: delay.unwrap_or(1),
            link: link.map(|body| LinkConfig::from_bytes(&head(&body))),
            llq: llq.map(|body| Llq::from_bytes(&head(&body))).filter(|llq| llq.max_num > 0),
        })
    }

    pub fn offers(&self, feature: Feature) -> bool {
        self.attributes.supported_features & feature.bit() != 0
    }

    pub fn mac(&self) -> [u8; 6] {
        self.attributes.mac
    }

    /// The number of queue pairs that the card has.
    pub fn max_pairs(&self) -> u32 {
        let limits = &self.limits;
        limits.tx_sq_num.min(limits.tx_cq_num).min(limits.rx_sq_num).min(limits.rx_cq_num)
    }

    /// Deepest TX and RX rings, rounded down to powers of two.
    pub fn max_depths(&self) -> (u16, u16) {
        let limits = &self.limits;
        let round = |depth: u32| match depth.min(1 << 15) {
            0 => 0,
            depth => 1 << depth.ilog2(),
        };
        (
            round(limits.tx_sq_depth.min(limits.tx_cq_depth)),
            round(limits.rx_sq_depth.min(limits.rx_cq_depth)),
        )
    }

    /// How long the card may post no keep-alive; None: for ever.
    pub fn watchdog(&self) -> Option<Duration> {
        hint(self.hints.driver_watchdog_timeout_ms, 6000)
    }

    /// How long a packet may stay uncompleted; None: for ever.
    pub fn tx_timeout(&self) -> Option<Duration> {
        hint(self.hints.missing_tx_completion_timeout_ms, 5000)
    }
}

fn hint(ms: u16, default: u16) -> Option<Duration> {
    match ms {
        0 => Some(Duration::from_millis(default.into())),
        u16::MAX => None,
        ms => Some(Duration::from_millis(ms.into())),
    }
}

fn same_both_ways(limits: MaxQueues) -> MaxQueuesExt {
    MaxQueuesExt {
        version: 1,
        tx_sq_num: limits.sq_num,
        tx_cq_num: limits.cq_num,
        rx_sq_num: limits.sq_num,
        rx_cq_num: limits.cq_num,
        tx_sq_depth: limits.sq_depth,
        tx_cq_depth: limits.cq_depth,
        rx_sq_depth: limits.sq_depth,
        rx_cq_depth: limits.cq_depth,
        tx_header_size: limits.header_size,
        packet_tx_descs: limits.packet_tx_descs,
        packet_rx_descs: limits.packet_rx_descs,
    }
}

/// The first `N` bytes of an answer's body.
pub(crate) fn head<const N: usize>(body: &Body) -> [u8; N] {
    *body.first_chunk().expect("no payload is longer than a body")
}

impl<P: PciFunction + Clone> AdminQueue<P> {
    pub fn get(
        &mut self,
        feature: Feature,
        version: u8,
        control: Option<&DmaBuf<P::Memory>>,
    ) -> Result<Body> {
        let command = FeatureCommand { select: 0, feature: feature as u8, version };
        self.command(name(feature), Opcode::GetFeature, command.to_bytes(), control)
    }

    /// Like `get`; None if the card does not have the feature.
    pub fn optional(&mut self, feature: Feature) -> Result<Option<Body>> {
        match self.get(feature, 0, None) {
            Ok(body) => Ok(Some(body)),
            Err(Error::Command { status: Status::UnsupportedOpcode, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn set(
        &mut self,
        feature: Feature,
        payload: &[u8],
        control: Option<&DmaBuf<P::Memory>>,
    ) -> Result<()> {
        let command = FeatureCommand { select: 0, feature: feature as u8, version: 0 };
        let mut entry: Entry = command.to_bytes();
        entry[SET_PAYLOAD..SET_PAYLOAD + payload.len()].copy_from_slice(payload);
        self.command(name(feature), Opcode::SetFeature, entry, control).map(|_| ())
    }

    pub fn set_mtu(&mut self, mtu: u32) -> Result<()> {
        self.set(Feature::Mtu, &Mtu { mtu }.to_bytes(), None)
    }
}

fn name(feature: Feature) -> &'static str {
    match feature {
        Feature::DeviceAttributes => "device attributes",
        Feature::MaxQueues | Feature::MaxQueuesExt => "queue limits",
        Feature::HwHints => "hints",
        Feature::RssHashFunction => "hash function",
        Feature::StatelessOffload => "offloads",
        Feature::RssIndirectionTable => "indirection table",
        Feature::Mtu => "MTU",
        Feature::RssHashInput => "hash input",
        Feature::InterruptModeration => "interrupt moderation",
        Feature::AenqConfig => "event groups",
        Feature::LinkConfig => "link",
        Feature::HostAttributes => "host attributes",
        Feature::Llq => "low-latency queues",
        _ => "feature",
    }
}
