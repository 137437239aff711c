//! A card as seen from its pins: the TLPs, frames and management-bus accesses that cross them, each
//! with its cycle.
//!
//! The world steps a [`Card`]. [`VerilatedCard`] is the RTL, which [`model`](crate::model) loads as
//! a Verilated library. Tests put cards written in Rust in its place.

use std::path::Path;

use cxx::UniquePtr;

use crate::model::{Features, Model, ModelError};
use crate::tlp::Header;
use nitor_hdl::CardSpec;

pub use bridge::{Beat, MgmtReply, Record, RecordKind, ShimConfig};

#[cxx::bridge(namespace = "nitor")]
mod bridge {
    /// What a [`Record`] is about.
    #[derive(Debug)]
    enum RecordKind {
        /// A TLP the card sent; its time is the cycle in which its last beat was accepted.
        TlpOut,
        /// A TLP the card accepted.
        TlpIn,
        /// A frame the card sent to its MAC. `cookie` is the cycle its last bit left the MAC.
        FrameOut,
        /// A frame the card accepted from its MAC.
        FrameIn,
    }

    /// A TLP or a frame that crossed the pins.
    #[derive(Debug, Clone, Copy)]
    struct Record {
        kind: RecordKind,
        /// Bits of [`crate::card::flags`].
        flags: u8,
        /// Cycle of the first and of the last beat.
        first: u64,
        last: u64,
        /// The number that was passed to `push_tlp` or `push_frame`.
        cookie: u64,
        header: [u32; 4],
        /// Where the payload begins in the arena.
        offset: u32,
        len: u32,
    }

    /// Answer to a management-bus access.
    #[derive(Debug, Clone, Copy)]
    struct MgmtReply {
        done: bool,
        /// The cycle of the handshake.
        cycle: u64,
        value: u32,
    }

    /// How the shim drives the pins. Probabilities are in units of 1/65536 a cycle.
    #[derive(Debug, Clone)]
    struct ShimConfig {
        seed: u64,
        /// Probability that a cycle offers the card no beat of a TLP.
        rx_gap: u32,
        /// Probability that a cycle stalls the TLPs from the card.
        tx_stall: u32,
        /// The same for the MAC's receive and transmit streams.
        mac_rx_gap: u32,
        mac_tx_stall: u32,
        /// Cycles by which the MAC may run ahead of the wire.
        mac_slack: u64,
        /// Credits that are granted to the card initially; 0 means no limit.
        posted_headers: u32,
        posted_data: u32,
        non_posted_headers: u32,
        completion_headers: u32,
        completion_data: u32,
        /// Cycles until a TLP's credits are returned: at least and at most.
        credit_delay_min: u32,
        credit_delay_max: u32,
    }

    /// A beat that a scripted card offers until it is accepted.
    #[derive(Debug, Clone, Copy, Default)]
    struct Beat {
        valid: bool,
        /// TLPs only: whether this is the first beat, and the header.
        first: bool,
        header: [u32; 4],
        last: bool,
        /// Frames only: the bytes of the last beat, and the mark of a frame to drop.
        bytes: u8,
        error: bool,
        data: [u32; 4],
        /// Whether the next beat follows even if this one was not accepted: a violation.
        impatient: bool,
    }

    unsafe extern "C++" {
        include!("nitor-sim/src/shim/bridge.h");

        #[cxx_name = "Card"]
        type Shim;

        unsafe fn new_card(maker: usize, config: &ShimConfig) -> UniquePtr<Shim>;
        unsafe fn new_scripted_card(
            maker: usize,
            config: &ShimConfig,
            tlps: &[Beat],
            frames: &[Beat],
            limits: &[u8],
        ) -> UniquePtr<Shim>;
        fn width(self: &Shim) -> u32;
        fn cycle(self: &Shim) -> u64;
        fn run(self: Pin<&mut Shim>, until: u64, stop_on_mgmt: bool, stop_on_irq: bool) -> u64;
        fn push_tlp(card: Pin<&mut Shim>, at: u64, header: &[u32; 4], payload: &[u8], cookie: u64);
        fn push_frame(card: Pin<&mut Shim>, at: u64, frame: &[u8], error: bool, cookie: u64);
        fn records(card: &Shim) -> &[Record];
        fn arena(card: &Shim) -> &[u8];
        fn clear_records(self: Pin<&mut Shim>);
        fn start_mgmt(
            self: Pin<&mut Shim>,
            at: u64,
            write: bool,
            address: u16,
            value: u32,
            enables: u8,
        ) -> bool;
        fn take_mgmt(self: Pin<&mut Shim>) -> MgmtReply;
        fn irq(self: &Shim) -> bool;
        fn set_link(self: Pin<&mut Shim>, up: bool);
        fn set_mac_rate(self: Pin<&mut Shim>, byte_time_q16: u64);
        fn count_streams(self: Pin<&mut Shim>);
        fn stream_counts(card: &Shim) -> &[u64];
        fn coverage(card: &Shim) -> &[u32];
        fn start_waves(card: Pin<&mut Shim>, path: &str) -> bool;
        fn close_waves(self: Pin<&mut Shim>);
    }
}

/// Everything that a scripted card does.
#[derive(Debug, Clone, Default)]
pub struct Script {
    pub tlps: Vec<Beat>,
    pub frames: Vec<Beat>,
    /// The limit of non-posted requests that the card grants, cycle by cycle; the last one stays.
    /// If there is none, the limit is 64.
    pub limits: Vec<u8>,
}

/// Bits of [`Record::flags`].
pub mod flags {
    /// `sop` or `eop` disagrees with the header's length, or a frame's last beat has a bad byte
    /// count.
    pub const BAD_FRAMING: u8 = 1;
    /// The card sent the TLP without the credits for it.
    pub const CREDIT_OVERRUN: u8 = 2;
    /// A beat was withdrawn or changed before it was accepted.
    pub const UNSTABLE: u8 = 4;
    /// The frame is marked as one to drop.
    pub const FRAME_ERROR: u8 = 8;
    /// Since its previous TLP the card has lowered its limit of non-posted requests.
    pub const CREDITS_TAKEN: u8 = 16;
}

/// Events at which [`Card::run`] stops early.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stop {
    /// A management-bus access is complete.
    pub on_mgmt: bool,
    /// The management interrupt is asserted.
    pub on_irq: bool,
}

/// One management-bus access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MgmtAccess {
    pub write: bool,
    pub address: u16,
    pub value: u32,
}

/// A card that can be stepped. All cycle numbers count from the end of the power-on reset.
pub trait Card {
    /// Bits of the data paths.
    fn width(&self) -> u32;
    /// The cycle that runs next.
    fn cycle(&self) -> u64;
    /// Runs the card until cycle `until` is next, or until an event in `stop`. Returns the cycle
    /// that runs next.
    fn run(&mut self, until: u64, stop: Stop) -> u64;
    /// The card for another thread to run; none if it has to stay on this one.
    fn remote(&mut self) -> Option<Remote> {
        None
    }
    /// Queues a TLP to be presented from cycle `at`. Posted requests stay in order and nothing
    /// passes them. Non-posted requests stay in order among themselves. Completions are ordered by
    /// `at`.
    fn push_tlp(&mut self, at: u64, header: Header, payload: &[u8], cookie: u64);
    /// Queues a frame to arrive from the wire at cycle `at`.
    fn push_frame(&mut self, at: u64, frame: &[u8], error: bool, cookie: u64);
    /// The records of what crossed the pins since the last [`Card::clear_records`], in order of
    /// time, and the arena that holds the payloads.
    fn records(&self) -> (&[Record], &[u8]);
    fn clear_records(&mut self);
    /// Starts a management-bus access at cycle `at`; one at a time.
    fn start_mgmt(&mut self, at: u64, access: MgmtAccess);
    /// Takes the reply of the pending access, if there is one: its cycle and value.
    fn take_mgmt(&mut self) -> Option<(u64, u32)>;
    /// Whether the management interrupt is asserted.
    fn irq(&self) -> bool;
    fn set_link(&mut self, up: bool);
    /// Sets the cycles that a byte takes on the wire, in 1/65536; 0 is no limit.
    fn set_mac_rate(&mut self, byte_time_q16: u64);
    /// Starts to count, for each stream of the probe, its cycles by {ready, valid}.
    fn count_streams(&mut self) {}
    /// Four counts for each stream; empty if streams are not counted.
    fn stream_counts(&self) -> &[u64] {
        &[]
    }
    /// How often each branch of the Verilog was taken; empty if the card does not count.
    fn coverage(&self) -> &[u32] {
        &[]
    }
    /// Starts writing waves to `path`; false if that is not possible.
    ///
    /// # Panics
    /// If the card's model was made without waves.
    fn start_waves(&mut self, path: &Path) -> bool;
    fn stop_waves(&mut self);
}

/// A card that another thread may run.
pub struct Remote(*mut bridge::Shim);

// SAFETY: the card owns its model and everything the model refers to.
unsafe impl Send for Remote {}

impl Remote {
    /// As [`Card::run`].
    ///
    /// # Safety
    /// The card still exists, and nothing else uses it during the call.
    pub(crate) unsafe fn run(&mut self, until: u64, stop: Stop) -> u64 {
        let shim = unsafe { std::pin::Pin::new_unchecked(&mut *self.0) };
        shim.run(until, stop.on_mgmt, stop.on_irq)
    }
}

/// A Verilated model of the RTL, which is called through cxx.
pub struct VerilatedCard {
    shim: UniquePtr<bridge::Shim>,
    features: Features,
}

impl VerilatedCard {
    /// A card after its power-on reset.
    pub fn new(
        card: &'static CardSpec,
        features: Features,
        config: &ShimConfig,
    ) -> Result<Self, ModelError> {
        let model = Model::of(card, features)?;
        // SAFETY: `maker` is the address of a `NewCard`, and models are never unloaded.
        let shim = unsafe { bridge::new_card(model.maker, config) };
        Ok(VerilatedCard { shim, features })
    }

    /// A card without logic, 128 bits wide, whose output pins follow `script`.
    pub fn scripted(config: &ShimConfig, script: &Script) -> Result<Self, ModelError> {
        let model = Model::scripted()?;
        let Script { tlps, frames, limits } = script;
        // SAFETY: as above.
        let shim = unsafe { bridge::new_scripted_card(model.maker, config, tlps, frames, limits) };
        Ok(VerilatedCard { shim, features: Features::default() })
    }
}

impl Card for VerilatedCard {
    fn width(&self) -> u32 {
        self.shim.width()
    }

    fn cycle(&self) -> u64 {
        self.shim.cycle()
    }

    fn run(&mut self, until: u64, stop: Stop) -> u64 {
        self.shim.pin_mut().run(until, stop.on_mgmt, stop.on_irq)
    }

    fn remote(&mut self) -> Option<Remote> {
        // SAFETY: the shim is never moved through this pointer.
        Some(Remote(unsafe { self.shim.pin_mut().get_unchecked_mut() }))
    }

    fn push_tlp(&mut self, at: u64, header: Header, payload: &[u8], cookie: u64) {
        debug_assert_eq!(payload.len() % 4, 0);
        bridge::push_tlp(self.shim.pin_mut(), at, &header.0, payload, cookie);
    }

    fn push_frame(&mut self, at: u64, frame: &[u8], error: bool, cookie: u64) {
        assert!(!frame.is_empty(), "a frame has at least a byte");
        bridge::push_frame(self.shim.pin_mut(), at, frame, error, cookie);
    }

    fn records(&self) -> (&[Record], &[u8]) {
        (bridge::records(&self.shim), bridge::arena(&self.shim))
    }

    fn clear_records(&mut self) {
        self.shim.pin_mut().clear_records();
    }

    fn start_mgmt(&mut self, at: u64, access: MgmtAccess) {
        let MgmtAccess { write, address, value } = access;
        let started = self.shim.pin_mut().start_mgmt(at, write, address, value, 0xf);
        assert!(started, "firmware makes one access at a time");
    }

    fn take_mgmt(&mut self) -> Option<(u64, u32)> {
        let reply = self.shim.pin_mut().take_mgmt();
        reply.done.then_some((reply.cycle, reply.value))
    }

    fn irq(&self) -> bool {
        self.shim.irq()
    }

    fn set_link(&mut self, up: bool) {
        self.shim.pin_mut().set_link(up);
    }

    fn set_mac_rate(&mut self, byte_time_q16: u64) {
        self.shim.pin_mut().set_mac_rate(byte_time_q16);
    }

    fn count_streams(&mut self) {
        self.shim.pin_mut().count_streams();
    }

    fn stream_counts(&self) -> &[u64] {
        bridge::stream_counts(&self.shim)
    }

    fn coverage(&self) -> &[u32] {
        bridge::coverage(&self.shim)
    }

    fn start_waves(&mut self, path: &Path) -> bool {
        assert!(self.features.waves, "who wants waves says so in `HostConfig::features`");
        path.to_str().is_some_and(|path| bridge::start_waves(self.shim.pin_mut(), path))
    }

    fn stop_waves(&mut self) {
        self.shim.pin_mut().close_waves();
    }
}
