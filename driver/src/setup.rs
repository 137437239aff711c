//! Sets a card up, at every start and every recovery.

use std::time::Duration;

use nitor_abi::admin::Status;
use nitor_abi::bar::{self, ResetReason};
use nitor_abi::feature::{
    driver_feature, llq, os, rx_offload, AenqConfig, Feature, HostAttributes, HostInfo, Llq,
    ENA_SPEC_VERSION, HOST_INFO_PAGE,
};

use crate::admin::AdminQueue;
use crate::aenq::{EventQueue, GROUPS};
use crate::dma::{self, DmaBuf};
use crate::error::{Error, Result};
use crate::features::Features;
use crate::lines;
use crate::pci::PciFunction;
use crate::queue::{PairConfig, QueuePair, MAX_DELAY};
use crate::regs::{Regs, Versions};
use crate::rss::RssKey;
use crate::tx::TxLimits;

/// Ethernet header and two VLAN tags: what a frame has beyond the MTU.
pub const FRAME_OVERHEAD: u32 = 14 + 2 * 4;
/// The smallest depth to which rings are reduced when the card is short of resources.
const MIN_DEPTH: u16 = 256;

/// How the driver learns of completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By polling: no interrupt is ever sent.
    Polling,
    /// By MSI-X interrupts, with a vector for management and one for each queue pair.
    Interrupts {
        /// How long completions may wait for others before they interrupt.
        tx_delay: Duration,
        rx_delay: Duration,
    },
}

/// Where transmit rings are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Push {
    /// In host memory, from where the card reads them.
    #[default]
    Never,
    /// In the card, in lines that also have the head of each packet, up to 96 bytes.
    Lines,
    /// In the card, in wide lines, with up to 224 bytes of each packet and half as many places.
    WideLines,
}

impl Push {
    fn line_len(self) -> Option<usize> {
        match self {
            Push::Never => None,
            Push::Lines => Some(128),
            Push::WideLines => Some(256),
        }
    }
}

/// How a card is set up.
#[derive(Clone, Debug)]
pub struct Config {
    pub pairs: u16,
    /// The depths of the rings, powers of two.
    pub tx_depth: u16,
    pub rx_depth: u16,
    /// Bytes of a receive buffer. Longer frames take several.
    pub rx_buffer_len: u16,
    pub mtu: u32,
    pub mode: Mode,
    /// With lines in the card, transmit rings are no deeper than these.
    pub push: Push,
    /// The RSS key. None: the card's default.
    pub rss_key: Option<RssKey>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            pairs: 1,
            tx_depth: 1024,
            rx_depth: 1024,
            rx_buffer_len: 2048,
            mtu: 1500,
            mode: Mode::Polling,
            push: Push::Never,
            rss_key: None,
        }
    }
}

/// The state that is set up anew after each reset.
pub(crate) struct Core<P: PciFunction, T> {
    pub admin: AdminQueue<P>,
    pub events: EventQueue<P>,
    pub pairs: Vec<QueuePair<P, T>>,
    pub features: Features,
    pub versions: Versions,
    pub started: Duration,
    // The card may read it at any time.
    _host_info: DmaBuf<P::Memory>,
}

/// Brings the card to a state in which it uses no memory, at worst by resetting the whole function.
pub(crate) fn quiesce<P: PciFunction + Clone>(
    regs: &mut Regs<P>,
    reason: ResetReason,
) -> Result<()> {
    match regs.reset(reason) {
        Ok(()) => Ok(()),
        Err(_) => regs.function_reset().inspect_err(|_| regs.disable_dma()),
    }
}

impl<P: PciFunction + Clone, T> Core<P, T> {
    pub fn start(regs: &mut Regs<P>, config: &Config) -> Result<Self> {
        let function = regs.function().clone();
        quiesce(regs, ResetReason::Normal)?;
        // An attempt before this one may have ended with DMA off.
        regs.enable();
        function.disable_msix()?;
        let versions = regs.versions()?;
        let caps = regs.caps()?;
        if !(32..=48).contains(&caps.dma_addr_width) {
            return Err(Error::Nonsense("an impossible width of DMA addresses"));
        }
        let timeout = Duration::from_millis(100) * caps.admin_cmd_timeout.into();
        let mut host_info = dma::alloc(&function, HOST_INFO_PAGE, HOST_INFO_PAGE)?;
        host_info.as_mut_slice()[..HostInfo::LEN].copy_from_slice(&describe_host().to_bytes());
        let mut admin = AdminQueue::start(regs, timeout)?;
        let events = EventQueue::start(regs)?;
        regs.write(bar::INTR_MASK, 1);

        let mut pairs = Vec::new();
        match configure(regs, config, &mut admin, &events, &host_info, &mut pairs) {
            Ok(features) => Ok(Core {
                admin,
                events,
                pairs,
                features,
                versions,
                started: function.now(),
                _host_info: host_info,
            }),
            Err(error) => {
                // The card must stop before the rings are freed.
                let _ = quiesce(regs, ResetReason::InitError);
                let _ = function.disable_msix();
                Err(error)
            }
        }
    }
}

/// The part of the setup that needs admin commands.
fn configure<P: PciFunction + Clone, T>(
    regs: &mut Regs<P>,
    config: &Config,
    admin: &mut AdminQueue<P>,
    events: &EventQueue<P>,
    host_info: &DmaBuf<P::Memory>,
    pairs: &mut Vec<QueuePair<P, T>>,
) -> Result<Features> {
    let function = regs.function().clone();
    let host = HostAttributes { os_info: host_info.iova(), ..Default::default() };
    match admin.set(Feature::HostAttributes, &host.to_bytes(), None) {
        // The host information is optional: the card may refuse it.
        Ok(()) | Err(Error::Command { .. }) => {}
        Err(error) => return Err(error),
    }
    let features = Features::query(admin)?;
    check_limits(config, &features, function.bar_len(lines::BAR))?;
    apply_hints(&features, admin, regs);
    choose_lines(config, &features, admin)?;
    let enabled_groups = GROUPS & features.event_groups;
    let groups = AenqConfig { supported_groups: 0, enabled_groups };
    admin.set(Feature::AenqConfig, &groups.to_bytes(), None)?;

    if let Mode::Interrupts { .. } = config.mode {
        function.enable_msix(config.pairs + 1)?;
        admin.use_interrupts();
        regs.write(bar::INTR_MASK, 0);
    }
    events.give_credit();

    create_pairs(&function, config, &features, admin, pairs)?;
    if features.offers(Feature::RssIndirectionTable) {
        let ids: Vec<u16> = pairs.iter().map(|pair| pair.rx_id()).collect();
        admin.set_rss_table(&std::array::from_fn(|i| ids[i % ids.len()]))?;
    }
    if let Some(key) = &config.rss_key {
        admin.set_rss_key(key)?;
    }
    if features.offers(Feature::Mtu) {
        admin.set_mtu(config.mtu)?;
    }
    for pair in pairs {
        pair.rx.refill();
        if pair.vector().is_some() {
            pair.unmask();
        }
    }
    Ok(features)
}

/// Chooses the format of lines, and tells it to the card.
fn choose_lines<P: PciFunction + Clone>(
    config: &Config,
    features: &Features,
    admin: &mut AdminQueue<P>,
) -> Result<()> {
    let (Some(len), Some(_)) = (config.push.line_len(), features.llq) else { return Ok(()) };
    let choice = Llq {
        header_location_enabled: llq::INLINE,
        entry_size_enabled: if len == 128 { llq::ENTRY_128 } else { llq::ENTRY_256 },
        descs_before_header_enabled: llq::TWO_BEFORE,
        stride_enabled: llq::MULTIPLE,
        ..Default::default()
    };
    admin.set(Feature::Llq, &choice.to_bytes(), None)
}

/// The number of lines of a queue.
fn line_depth(push: Push, offer: &Llq) -> u16 {
    let depth = match push {
        Push::WideLines if offer.max_wide_depth > 0 => offer.max_wide_depth.into(),
        Push::WideLines => offer.max_depth / 2,
        _ => offer.max_depth,
    };
    match depth.min(1 << 15) {
        0 => 0,
        depth => 1 << depth.ilog2(),
    }
}

/// Converts a delay to the card's units.
fn delay(delay: Duration, features: &Features) -> Result<u16> {
    let unit = features.delay_unit;
    let units = u16::try_from(delay.as_micros() / u128::from(unit)).ok();
    units.filter(|&units| units <= MAX_DELAY).ok_or_else(|| {
        let most = Duration::from_micros(u64::from(unit) * u64::from(MAX_DELAY));
        Error::Config(format!("an interrupt delay of {delay:?}: the card's are {most:?} at most"))
    })
}

/// Creates the queue pairs, with smaller rings if the card is short of resources.
fn create_pairs<P: PciFunction + Clone, T>(
    function: &P,
    config: &Config,
    features: &Features,
    admin: &mut AdminQueue<P>,
    pairs: &mut Vec<QueuePair<P, T>>,
) -> Result<()> {
    let (interrupts, tx_delay, rx_delay) = match config.mode {
        Mode::Polling => (false, 0, 0),
        Mode::Interrupts { tx_delay, rx_delay } => {
            (true, delay(tx_delay, features)?, delay(rx_delay, features)?)
        }
    };
    let limits = &features.limits;
    let (mut tx_depth, mut rx_depth) = (config.tx_depth, config.rx_depth);
    if let (Some(_), Some(offer)) = (config.push.line_len(), &features.llq) {
        tx_depth = tx_depth.min(line_depth(config.push, offer));
    }
    loop {
        let made = (0..config.pairs).try_for_each(|index| {
            let config = PairConfig {
                tx_depth,
                rx_depth,
                rx_buffer_len: config.rx_buffer_len,
                max_rx_parts: limits.packet_rx_descs,
                rx_verifies: features.offload.rx_supported & rx_offload::L3_CSUM_IPV4 != 0,
                tx_limits: TxLimits {
                    descs: limits.packet_tx_descs,
                    header: limits.tx_header_size.min(255) as u8,
                    bytes: (config.mtu + FRAME_OVERHEAD) as usize,
                    offload: features.offload,
                },
                line_len: config.push.line_len(),
                vector: interrupts.then_some(index + 1),
                tx_delay,
                rx_delay,
            };
            pairs.push(QueuePair::create(function, admin, &config)?);
            Ok(())
        });
        match made {
            Err(Error::Command { status: Status::ResourceAllocationFailure, .. })
                if tx_depth.max(rx_depth) > MIN_DEPTH =>
            {
                // If the smaller rings fail too, the reset that follows destroys the queues that a
                // failed pair left.
                pairs.iter().try_for_each(|pair| pair.destroy(admin))?;
                pairs.clear();
                let smaller = |depth: u16| if depth > MIN_DEPTH { depth / 2 } else { depth };
                (tx_depth, rx_depth) = (smaller(tx_depth), smaller(rx_depth));
            }
            other => return other,
        }
    }
}

pub(crate) fn apply_hints<P: PciFunction + Clone>(
    features: &Features,
    admin: &mut AdminQueue<P>,
    regs: &mut Regs<P>,
) {
    let ms = |ms: u16| Duration::from_millis(ms.into());
    if features.hints.admin_completion_timeout_ms > 0 {
        admin.set_timeout(ms(features.hints.admin_completion_timeout_ms));
    }
    if features.hints.mmio_read_timeout_ms > 0 {
        regs.set_read_timeout(ms(features.hints.mmio_read_timeout_ms));
    }
}

/// Checks of the configuration that do not depend on the card.
pub(crate) fn check(config: &Config) -> Result<()> {
    let wrong = |what: &str| Err(Error::Config(what.into()));
    let depth_ok = |depth: u16| depth.is_power_of_two() && depth > 1;
    if config.pairs == 0 {
        return wrong("no queue pair");
    }
    if !depth_ok(config.tx_depth) || !depth_ok(config.rx_depth) {
        return wrong("a ring's depth is a power of two, and more than 1");
    }
    if config.rx_buffer_len == 0 {
        return wrong("receive buffers have no room");
    }
    Ok(())
}

fn check_limits(config: &Config, features: &Features, bar2_len: u64) -> Result<()> {
    let wrong = |what: String| Err(Error::Config(what));
    if u32::from(config.pairs) > features.max_pairs() {
        return wrong(format!("the card has {} queue pairs", features.max_pairs()));
    }
    if config.push != Push::Never {
        let fits = features.llq.is_some_and(|offer| {
            let size = match config.push {
                Push::WideLines => llq::ENTRY_256,
                _ => llq::ENTRY_128,
            };
            offer.header_location_supported & llq::INLINE != 0
                && offer.entry_size_supported & size != 0
                && offer.descs_before_header_supported & llq::TWO_BEFORE != 0
                && offer.stride_supported & llq::MULTIPLE != 0
                && line_depth(config.push, &offer) > 1
                && u32::from(config.pairs) <= offer.max_num
        });
        if !fits || bar2_len == 0 {
            return wrong("the card has no low-latency queues of this kind, or too few".into());
        }
    }
    let (tx, rx) = features.max_depths();
    if config.tx_depth > tx || config.rx_depth > rx {
        return wrong(format!("the card's rings are {tx} and {rx} deep at most"));
    }
    check_mtu(config.mtu, config, features)
}

pub(crate) fn check_mtu(mtu: u32, config: &Config, features: &Features) -> Result<()> {
    let max = features.attributes.max_mtu;
    if mtu == 0 || mtu > max || mtu > 0xffff - FRAME_OVERHEAD {
        return Err(Error::Config(format!("the card's MTU is {max} at most")));
    }
    // A ring holds one buffer less than it is deep.
    let parts = u32::from(features.limits.packet_rx_descs.min(config.rx_depth - 1));
    if parts * u32::from(config.rx_buffer_len) < mtu + FRAME_OVERHEAD {
        return Err(Error::Config(format!("a frame does not fit {parts} receive buffers")));
    }
    Ok(())
}

fn describe_host() -> HostInfo {
    let number = |part: &str| part.parse().unwrap_or(0);
    let mut info = HostInfo {
        os_type: os::LINUX,
        driver_major: number(env!("CARGO_PKG_VERSION_MAJOR")),
        driver_minor: number(env!("CARGO_PKG_VERSION_MINOR")),
        driver_sub: number(env!("CARGO_PKG_VERSION_PATCH")),
        driver_module: b'N',
        ena_spec_version: ENA_SPEC_VERSION,
        num_cpus: std::thread::available_parallelism()
            .map_or(1, |n| n.get().try_into().unwrap_or(u16::MAX)),
        driver_features: driver_feature::RX_OFFSET
            | driver_feature::INTERRUPT_MODERATION
            | driver_feature::RSS_CONFIGURABLE_FUNCTION_KEY,
        ..Default::default()
    };
    let name = b"nitor-driver";
    info.os_dist_str[..name.len()].copy_from_slice(name);
    info
}
