//! The part that all boards share: the card, the host link's two halves, counters and lights.
//!
//! | port | what |
//! |---|---|
//! | `word_*` | the host link's words from the cable |
//! | `heard` | the frame that ended last was from the session's host |
//! | `frame_*` | the host link's frames to the cable |
//! | `mac_tx`, `mac_rx`, `wire_up` | the card's wire |
//! | `loop_wire` | the wire is to loop what the card sends back to it |
//! | `flush_wire` | the card is in reset, or about to be: the wire must end its frames |
//! | `events` | events that the board counts besides those of the link: see [event] |
//! | `heartbeat`, `link`, `activity` | lights |
//!
//! A new session of the host link resets the card and the link. `D` to `F` are the card's
//! parameters, `W` is log2 of the frames kept each way, `A` = W + 9.
//!
//! Latency, throughput and back-pressure are those of [LinkReceive], [LinkSend] and [Card]: frames
//! from the cable are never stalled.
//!
//! | board register | what |
//! |---|---|
//! | 0 | [ID] |
//! | 1 | {session, core clock in kHz / 8} |
//! | 2 | control, 0 at the beginning of a session; bit 0 is `loop_wire` |
//! | 32 + n | counter n |

use super::counters::Counters;
use super::event::{self, Events, Outside};
use crate::cards::{CardConfig, CardSpec};
use crate::common::iface::*;
use crate::common::reset::ResetStage;
use crate::link::credit::Credit;
use crate::link::receive::LinkReceive;
use crate::link::send::LinkSend;
use crate::link::{WordIn, WordOut};
use crate::top::Card;
use nitor_rtl::prelude::*;

/// "NTB1"
pub const ID: u64 = 0x3142_544e;

/// A [BoardCore] with the card of a spec, and log2 of the link frames that it keeps each way.
macro_rules! board_core {
    ($spec:path, $log_frames:literal) => {
        $crate::board::core::BoardCore<
            { $spec.width }, { $spec.bytes() }, { $spec.log_bytes() },
            { $spec.log_tags }, { $spec.log_queues }, { $spec.log_completion_queues() },
            { $spec.log_vectors() }, { $spec.log_packets }, { $spec.log_prefetch },
            { $spec.log_rows }, { $spec.log_staging() }, { $spec.log_descriptor_rows() },
            { $spec.log_lines }, { $spec.log_line_rows() }, { $spec.log_waiting() },
            { $log_frames }, { $log_frames + 9 },
        >
    };
}
pub(crate) use board_core;

/// Board register 1.
#[record]
struct About {
    /// Core clock in kHz / 8.
    khz8: Bits<16>,
    session: Bits<16>,
}

#[derive(LogicBlock)]
pub struct BoardCore<
    const D: usize,
    const K: usize,
    const L: usize,
    const T: usize,
    const Q: usize,
    const C: usize,
    const V: usize,
    const S: usize,
    const R: usize,
    const B: usize,
    const G: usize,
    const M: usize,
    const N: usize,
    const P: usize,
    const F: usize,
    const W: usize,
    const A: usize,
> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub word_valid: Signal<In, Bit>,
    pub word: Signal<In, WordIn>,
    pub heard: Signal<Out, Bit>,
    pub frame_valid: Signal<Out, Bit>,
    pub frame_ready: Signal<In, Bit>,
    pub frame: Signal<Out, WordOut>,
    pub frame_words: Signal<Out, Bits<9>>,
    pub mac_tx: MacSrc<D>,
    pub mac_rx: MacSnk<D>,
    pub wire_up: Signal<In, Bit>,
    pub events: Signal<In, Outside>,
    /// The board must loop what the card sends back to the card.
    pub loop_wire: Signal<Out, Bit>,
    /// The card is in reset, or about to be: its frames must be ended.
    pub flush_wire: Signal<Out, Bit>,
    pub heartbeat: Signal<Out, Bit>,
    pub link: Signal<Out, Bit>,
    pub activity: Signal<Out, Bit>,
    stages: [ResetStage; 3],
    card: Card<D, K, L, T, Q, C, V, S, R, B, G, M, N, P, F>,
    receive: LinkReceive<D, W, A>,
    send: LinkSend<D, W, A>,
    credit: Credit,
    counters: Counters,
    /// Cycles that are left of the reset at the beginning of a session.
    holding: Reg<Bits<6>>,
    open: Reg<Bit>,
    free: Reg<Bit>,
    begun: Reg<Bit>,
    beat: Reg<Bits<26>>,
    /// Steps of 2^20 cycles until the light `activity` goes out.
    glow: Reg<Bits<2>>,
    glow_step: Reg<Bit>,
    value: Reg<Bits<32>>,
    looped: Reg<Bit>,
    _khz8: usize,
}

impl<
        const D: usize,
        const K: usize,
        const L: usize,
        const T: usize,
        const Q: usize,
        const C: usize,
        const V: usize,
        const S: usize,
        const R: usize,
        const B: usize,
        const G: usize,
        const M: usize,
        const N: usize,
        const P: usize,
        const F: usize,
        const W: usize,
        const A: usize,
    > BoardCore<D, K, L, T, Q, C, V, S, R, B, G, M, N, P, F, W, A>
{
    /// `hertz`: frequency of the core's clock; `patience`: microseconds without an acknowledgement
    /// after which frames are sent again.
    pub fn new(hertz: usize, patience: usize, spec: &'static CardSpec) -> Self {
        let config = CardConfig {
            cycles_per_us: hertz / 1_000_000,
            // A completion takes a round trip over the cable.
            read_timeout: 0x3f_ffff,
            ..CardConfig::new(spec)
        };
        Self {
            clock: Default::default(),
            reset: Default::default(),
            word_valid: Default::default(),
            word: Default::default(),
            heard: Default::default(),
            frame_valid: Default::default(),
            frame_ready: Default::default(),
            frame: Default::default(),
            frame_words: Default::default(),
            mac_tx: Default::default(),
            mac_rx: Default::default(),
            wire_up: Default::default(),
            events: Default::default(),
            loop_wire: Default::default(),
            flush_wire: Default::default(),
            heartbeat: Default::default(),
            link: Default::default(),
            activity: Default::default(),
            stages: std::array::from_fn(|_| ResetStage::new(spec.one_reset)),
            card: Card::new(&config),
            receive: Default::default(),
            send: LinkSend::new(patience * (hertz / 1_000_000)),
            credit: Default::default(),
            counters: Default::default(),
            holding: Default::default(),
            open: Default::default(),
            free: Default::default(),
            begun: Default::default(),
            beat: Default::default(),
            glow: Default::default(),
            glow_step: Default::default(),
            value: Default::default(),
            looped: Default::default(),
            _khz8: hertz / 8000,
        }
    }
}

impl<
        const D: usize,
        const K: usize,
        const L: usize,
        const T: usize,
        const Q: usize,
        const C: usize,
        const V: usize,
        const S: usize,
        const R: usize,
        const B: usize,
        const G: usize,
        const M: usize,
        const N: usize,
        const P: usize,
        const F: usize,
        const W: usize,
        const A: usize,
    > Logic for BoardCore<D, K, L, T, Q, C, V, S, R, B, G, M, N, P, F, W, A>
{
    /// The card on a board: host link, counters, lights.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; holding, open, free, begun, beat, glow, glow_step, looped);
        registers!(self, clock; value);
        clocked!(self, clock; card, receive, send, credit);
        clocked!(self, clock, reset; counters);
        // `hold` keeps the card and the link in reset before the first session. It is a register
        // for its fan-out.
        let hold = !self.free.q.val();
        self.free.d.next = self.open.q.val() && self.holding.q.val() == 0;
        for i in 0..3 {
            self.stages[i].clock.next = self.clock.val();
            self.stages[i].d.next = hold;
        }
        self.card.reset.next = self.stages[0].q.val();
        self.receive.reset.next = hold && self.open.q.val();
        self.receive.hard_reset.next = self.reset.val();
        self.send.reset.next = self.stages[1].q.val();
        self.credit.reset.next = self.stages[2].q.val();
        self.begun.d.next = hold && self.open.q.val() && self.holding.q.val() == 0;
        if self.receive.opened.val() {
            self.open.d.next = true;
            self.holding.d.next = lit::<6>(63);
        } else if self.holding.q.val() != 0 {
            self.holding.d.next = self.holding.q.val() - 1;
        }

        self.receive.word_valid.next = self.word_valid.val();
        self.receive.word.next = self.word.val();
        self.heard.next = self.receive.heard.val() || self.receive.opened.val();
        TlpSrc::<D>::join(&mut self.receive.tlp, &mut self.card.rx);
        RegBusSrc::join(&mut self.receive.bus, &mut self.card.mgmt);
        TlpSrc::<D>::join(&mut self.card.tx, &mut self.send.tlp);
        self.send.reply_valid.next = self.receive.reply_valid.val();
        self.send.reply.next = self.receive.reply.val();
        self.receive.reply_ready.next = self.send.reply_ready.val();
        self.send.heard.next = self.receive.heard.val();
        self.send.ack.next = self.receive.ack.val();
        self.send.nak.next = self.receive.nak.val();
        // The host is answered when a session has begun.
        self.send.due.next = self.receive.due.val() || self.begun.q.val();
        self.send.repeat.next = self.receive.repeat.val();
        self.send.expected.next = self.receive.expected.val();
        self.send.session.next = self.receive.session.val();
        self.send.credit.next = self.card.rx_np_limit.val();
        self.send.irq.next = self.card.mgmt_irq.val();
        self.send.wire_up.next = self.wire_up.val();
        self.frame_valid.next = self.send.frame_valid.val();
        self.frame.next = self.send.frame.val();
        self.frame_words.next = self.send.frame_words.val();
        self.send.frame_ready.next = self.frame_ready.val();
        self.credit.taken.next =
            self.card.tx.valid.val() && self.card.tx.sop.val() && self.send.tlp.ready.val();
        self.credit.hdr.next = self.card.tx.hdr.val();
        self.card.fc_ph.next = self.credit.ph.val();
        self.card.fc_pd.next = self.credit.pd.val();
        self.card.fc_nph.next = self.credit.nph.val();
        self.card.fc_cplh.next = lit::<8>(0);
        self.card.fc_cpld.next = lit::<12>(0);
        self.card.fc_cpl_infinite.next = lit::<2>(3);
        self.card.link_up.next = self.wire_up.val();
        MacSrc::<D>::link(&mut self.mac_tx, &mut self.card.mac_tx);
        MacSnk::<D>::link(&mut self.mac_rx, &mut self.card.mac_rx);

        let events = Events {
            outside: self.events.val(),
            link_frame: self.receive.stat_frame.val(),
            link_damaged: self.receive.stat_damaged.val(),
            link_out_of_order: self.receive.stat_again.val(),
            link_sent: self.send.stat_frame.val(),
            link_sent_again: self.send.stat_again.val(),
        };
        self.counters.events.next = events.to_bits::<{ event::COUNT }>();
        let number = self.receive.board_addr.val();
        self.counters.index.next = number.get_bits::<5>(0);
        self.value.d.next = if number == 0 {
            lit::<32>(ID)
        } else if number == 1 {
            let about = About { khz8: lit::<16>(self._khz8), session: self.receive.session.val() };
            about.to_bits::<32>()
        } else if number == 2 {
            bit_cast::<32, 1>(Bits::<1>::from(self.looped.q.val()))
        } else if number.get_bit(5) {
            self.counters.value.val()
        } else {
            lit::<32>(0)
        };
        self.receive.board_value.next = self.value.q.val();

        if hold {
            self.looped.d.next = false;
        } else if self.receive.board_write.val() && number == 2 {
            self.looped.d.next = self.receive.reply.val().get_bit(0);
        }
        self.loop_wire.next = self.looped.q.val();
        self.flush_wire.next = hold || self.stages[0].q.val();

        self.beat.d.next = self.beat.q.val() + 1;
        self.heartbeat.next = self.beat.q.val().get_bit(25);
        self.link.next = self.wire_up.val();
        let moves = self.receive.stat_frame.val() || self.send.stat_frame.val();
        if moves {
            self.glow.d.next = lit::<2>(3);
        } else if self.glow.q.val() != 0 && self.beat.q.val().get_bit(20) != self.glow_step.q.val()
        {
            self.glow.d.next = self.glow.q.val() - 1;
        }
        self.glow_step.d.next = self.beat.q.val().get_bit(20);
        self.activity.next = self.glow.q.val() != 0;
    }
}
