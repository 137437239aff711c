//! What was wrong with a TLP or a read: which error it is, who is told, and what the advanced error
//! registers keep.
//!
//! | input | error | severity, unless the host changes it |
//! |---|---|---|
//! | `malformed`, `overflow` | malformed TLP, receiver overflow | fatal |
//! | `unsupported`, of a posted or a poisoned request | unsupported request | not fatal |
//! | `unsupported` with `answered`: a completion tells the requester | the same | advisory |
//! | `aborted`: a completion tells the requester | completer abort | advisory |
//! | `poisoned`, `cpl_poisoned` | poisoned TLP: its data are lost | not fatal |
//! | `cpl_unexpected` | unexpected completion | advisory |
//! | `cpl_timeout` | completion time-out: the card does not repeat the read | not fatal |
//!
//! A time-out in D3hot waits for D0.
//!
//! `set` has the four error bits of Device Status. `message_*` offers a message if `control`
//! enables it or `serr` asks for it. An advisory error counts as correctable. While a message
//! waits, further errors of its class share it.
//!
//! With `_advanced` the function has the advanced error reporting capability, at [aer::AT]: status,
//! mask and severity of each error, and the header of the first unmasked error, until its status is
//! cleared. Advisory errors are masked at first. The capability survives a function-level reset.
//! Without it severities are those of the table, and no message tells of an advisory error, as the
//! specification wants of such a function.
//!
//! An error shows in the cycle after its input. When several sources have one in the same cycle,
//! all set their status, and the header is that of the first in the order of the ports.

use nitor_abi::pci::{aer, secondary};
use nitor_rtl::prelude::*;

// The capability's registers in configuration space.
const HEADER: u16 = aer::AT;
const STATUS: u16 = aer::AT + aer::STATUS;
const MASK: u16 = aer::AT + aer::MASK;
const SEVERITY: u16 = aer::AT + aer::SEVERITY;
const CORRECTABLE_STATUS: u16 = aer::AT + aer::CORRECTABLE_STATUS;
const CORRECTABLE_MASK: u16 = aer::AT + aer::CORRECTABLE_MASK;
const CONTROL: u16 = aer::AT + aer::CONTROL;
const LOG0: u16 = aer::AT + aer::LOG;
const LOG1: u16 = LOG0 + 4;
const LOG2: u16 = LOG0 + 8;
const LOG3: u16 = LOG0 + 12;

/// Version 2 of an extended capability.
const VERSION_2: u32 = 2 << 16;

// Bits of a set of errors: those that this card can have.
const POISONED: usize = 0;
const TIMEOUT: usize = 1;
const ABORTED: usize = 2;
const UNEXPECTED: usize = 3;
const OVERFLOW: usize = 4;
const MALFORMED: usize = 5;
const UNSUPPORTED: usize = 6;
const ERRORS: usize = 7;
/// The errors that are fatal after reset.
const FATAL: u64 = 1 << OVERFLOW | 1 << MALFORMED;
/// ERR_NONFATAL and ERR_FATAL, as [tlp::error_message](super::tlp::error_message) numbers them.
const ERR_NONFATAL: u64 = 1;
const ERR_FATAL: u64 = 3;

/// A set of errors with those of the data link, which this block does not find.
#[record]
pub struct Errors8 {
    poisoned: Bit,
    timeout: Bit,
    aborted: Bit,
    unexpected: Bit,
    overflow: Bit,
    malformed: Bit,
    unsupported: Bit,
    data_link: Bit,
}

/// The set in the specification's layout.
#[record(layout = nitor_abi::pci::Uncorrectable)]
pub struct Uncorrectable {
    data_link: Bit,
    poisoned: Bit,
    timeout: Bit,
    aborted: Bit,
    unexpected: Bit,
    overflow: Bit,
    malformed: Bit,
    unsupported: Bit,
}

#[record]
pub struct CorrectableMask {
    receiver: Bit,
    bad_tlp: Bit,
    bad_dllp: Bit,
    replay_rollover: Bit,
    replay_timer: Bit,
    advisory: Bit,
}

#[record(layout = nitor_abi::pci::Correctable)]
pub struct Correctable {
    receiver: Bit,
    bad_tlp: Bit,
    bad_dllp: Bit,
    replay_rollover: Bit,
    replay_timer: Bit,
    advisory: Bit,
}

/// Bits 3:0: in Device Control, which errors are reported; in Device Status, which errors there
/// were.
#[record]
pub struct ErrorFlags {
    pub correctable: Bit,
    pub non_fatal: Bit,
    pub fatal: Bit,
    pub unsupported: Bit,
}

/// Classes of errors whose message waits.
#[record]
pub struct Pending {
    correctable: Bit,
    non_fatal: Bit,
    fatal: Bit,
}

/// Four dwords of a header.
#[record]
pub struct Dwords {
    dw0: Bits<32>,
    dw1: Bits<32>,
    dw2: Bits<32>,
    dw3: Bits<32>,
}

#[derive(LogicBlock, Default)]
pub struct Errors {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // Errors of TLPs from the link.
    pub malformed: Signal<In, Bit>,
    pub overflow: Signal<In, Bit>,
    pub link_hdr: Signal<In, Bits<128>>,
    // Errors of the host's requests.
    pub unsupported: Signal<In, Bit>,
    pub aborted: Signal<In, Bit>,
    pub poisoned: Signal<In, Bit>,
    pub answered: Signal<In, Bit>,
    pub request_hdr: Signal<In, Bits<128>>,
    // Errors of the card's own reads.
    pub cpl_poisoned: Signal<In, Bit>,
    pub cpl_unexpected: Signal<In, Bit>,
    pub cpl_timeout: Signal<In, Bit>,
    pub cpl_hdr: Signal<In, Bits<128>>,
    /// Device Control 3:0: correctable, non-fatal, fatal errors, unsupported requests are reported.
    pub control: Signal<In, ErrorFlags>,
    /// Command bit 8: fatal and non-fatal errors are reported.
    pub serr: Signal<In, Bit>,
    pub awake: Signal<In, Bit>,
    pub flr: Signal<In, Bit>,
    /// An access to configuration space: its byte offset; with `write` the register's new value and
    /// the ones that were written.
    pub addr: Signal<In, Bits<12>>,
    pub write: Signal<In, Bit>,
    pub written: Signal<In, Bits<32>>,
    pub ones: Signal<In, Bits<32>>,
    pub value: Signal<Out, Bits<32>>,
    /// Bits of Device Status to set.
    pub set: Signal<Out, ErrorFlags>,
    /// `serr` asks for the message of an error in this cycle.
    pub signaled: Signal<Out, Bit>,
    /// 0 ERR_COR, 1 ERR_NONFATAL, 3 ERR_FATAL. A function-level reset withdraws it.
    pub message_valid: Signal<Out, Bit>,
    pub message: Signal<Out, Bits<2>>,
    pub message_ready: Signal<In, Bit>,
    late: Reg<Bit>,
    pending: Reg<Pending>,
    saying: Reg<Bit>,
    what: Reg<Bits<2>>,
    // Registers of the capability.
    status: Reg<Bits<ERRORS>>,
    mask: Reg<Errors8>,
    severity: Reg<Errors8>,
    advisory: Reg<Bit>,
    cor_mask: Reg<CorrectableMask>,
    /// The error whose header is in `log`, if any.
    first: Reg<Bits<ERRORS>>,
    log: Reg<Dwords>,
    _advanced: bool,
}

impl Errors {
    pub fn new(advanced: bool) -> Self {
        Self {
            severity: Reg::new(Errors8 {
                overflow: true,
                malformed: true,
                data_link: true,
                ..Errors8::default()
            }),
            // Advisory errors are masked at first.
            cor_mask: Reg::new(CorrectableMask { advisory: true, ..CorrectableMask::default() }),
            _advanced: advanced,
            ..Self::default()
        }
    }
}

#[kernel]
fn spread(which: Errors8) -> Bits<32> {
    Uncorrectable {
        data_link: which.data_link,
        poisoned: which.poisoned,
        timeout: which.timeout,
        aborted: which.aborted,
        unexpected: which.unexpected,
        overflow: which.overflow,
        malformed: which.malformed,
        unsupported: which.unsupported,
    }
    .to_bits()
}

/// A set of errors from the specification's layout.
#[kernel]
fn gather(word: Bits<32>) -> Errors8 {
    let which = Uncorrectable::from_bits(word);
    Errors8 {
        poisoned: which.poisoned,
        timeout: which.timeout,
        aborted: which.aborted,
        unexpected: which.unexpected,
        overflow: which.overflow,
        malformed: which.malformed,
        unsupported: which.unsupported,
        data_link: which.data_link,
    }
}

#[kernel]
fn spread_correctable(which: CorrectableMask) -> Bits<32> {
    Correctable {
        receiver: which.receiver,
        bad_tlp: which.bad_tlp,
        bad_dllp: which.bad_dllp,
        replay_rollover: which.replay_rollover,
        replay_timer: which.replay_timer,
        advisory: which.advisory,
    }
    .to_bits()
}

#[kernel]
fn gather_correctable(word: Bits<32>) -> CorrectableMask {
    let which = Correctable::from_bits(word);
    CorrectableMask {
        receiver: which.receiver,
        bad_tlp: which.bad_tlp,
        bad_dllp: which.bad_dllp,
        replay_rollover: which.replay_rollover,
        replay_timer: which.replay_timer,
        advisory: which.advisory,
    }
}

/// The errors of a set that this block finds.
#[kernel]
fn ours(which: Errors8) -> Bits<ERRORS> {
    bit_cast::<ERRORS, 8>(which.to_bits::<8>())
}

#[kernel]
fn with_link(which: Bits<ERRORS>) -> Errors8 {
    Errors8::from_bits(bit_cast::<8, ERRORS>(which))
}

impl Logic for Errors {
    /// Errors of PCI Express: status, messages, advanced error reporting.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; late, pending, saying, what, status, mask, severity);
        registers!(self, clock, reset; advisory, cor_mask, first, log);

        // ---- What happens in this cycle.
        let awake = self.awake.val();
        let timeout = self.cpl_timeout.val() || self.late.q.val();
        self.late.d.next = timeout && !awake;
        let of_link = lit::<ERRORS>(0)
            .replace_bit(MALFORMED, self.malformed.val())
            .replace_bit(OVERFLOW, self.overflow.val());
        let of_request = lit::<ERRORS>(0)
            .replace_bit(UNSUPPORTED, self.unsupported.val())
            .replace_bit(ABORTED, self.aborted.val())
            .replace_bit(POISONED, self.poisoned.val());
        let of_completion = lit::<ERRORS>(0)
            .replace_bit(POISONED, self.cpl_poisoned.val())
            .replace_bit(UNEXPECTED, self.cpl_unexpected.val());
        let of_read = lit::<ERRORS>(0).replace_bit(TIMEOUT, timeout && awake);
        let events = of_link | of_request | of_completion | of_read;

        // ---- How bad it is.
        let severity =
            if self._advanced { ours(self.severity.q.val()) } else { lit::<ERRORS>(FATAL) };
        let mask = if self._advanced { ours(self.mask.q.val()) } else { lit::<ERRORS>(0) };
        // Errors that are advisory: the requester is told by a completion, or nobody asked.
        let told = lit::<ERRORS>(1 << ABORTED | 1 << UNEXPECTED)
            .replace_bit(UNSUPPORTED, self.answered.val())
            & !severity;
        let quiet = self.cor_mask.q.val().advisory;
        let advisory = events & told;
        let fatal = events & severity;
        let nonfatal = events & !severity & !told;
        self.set.next = ErrorFlags {
            correctable: advisory.any(),
            non_fatal: nonfatal.any(),
            fatal: fatal.any(),
            unsupported: self.unsupported.val(),
        };

        // ---- Who hears of it.
        let control = self.control.val();
        let serr = self.serr.val();
        let loud = !mask;
        let none = lit::<ERRORS>(0);
        let said = loud & !none.replace_bit(UNSUPPORTED, !control.unsupported && !serr);
        let say_fatal = (fatal & said).any() && (serr || control.fatal);
        let say_nonfatal = (nonfatal & said).any() && (serr || control.non_fatal);
        let noted = advisory & !none.replace_bit(UNSUPPORTED, !control.unsupported);
        let say_advisory = self._advanced && noted.any() && !quiet && control.correctable;
        self.signaled.next = serr && (say_fatal || say_nonfatal);
        let saying = self.saying.q.val();
        let pending = self.pending.q.val();
        let mut left = pending;
        if !saying {
            self.saying.d.next = pending.correctable || pending.non_fatal || pending.fatal;
            self.what.d.next = if pending.fatal {
                lit::<2>(ERR_FATAL)
            } else if pending.non_fatal {
                lit::<2>(ERR_NONFATAL)
            } else {
                lit::<2>(0)
            };
            if pending.fatal {
                left.fatal = false;
            } else if pending.non_fatal {
                left.non_fatal = false;
            } else {
                left.correctable = false;
            }
        } else if self.message_ready.val() {
            self.saying.d.next = false;
        }
        left.correctable = left.correctable || say_advisory;
        left.non_fatal = left.non_fatal || say_nonfatal;
        left.fatal = left.fatal || say_fatal;
        self.pending.d.next = left;
        if self.flr.val() {
            self.pending.d.next = Pending { correctable: false, non_fatal: false, fatal: false };
            self.saying.d.next = false;
            self.late.d.next = false;
        }
        self.message_valid.next = saying;
        self.message.next = self.what.q.val();

        // ---- What is kept of it: what happens wins over what is cleared.
        let addr = self.addr.val();
        let write = self.write.val();
        let new = self.written.val();
        let ones = self.ones.val();
        let clear = if write && addr == lit::<12>(STATUS) { ours(gather(ones)) } else { none };
        let shown = if quiet { events & !advisory } else { events };
        self.status.d.next = (self.status.q.val() & !clear) | shown;
        let forgets =
            write && addr == lit::<12>(CORRECTABLE_STATUS) && gather_correctable(ones).advisory;
        self.advisory.d.next = (self.advisory.q.val() && !forgets) || advisory.any();
        if write && addr == lit::<12>(MASK) {
            self.mask.d.next = gather(new);
        }
        if write && addr == lit::<12>(SEVERITY) {
            self.severity.d.next = gather(new);
        }
        if write && addr == lit::<12>(CORRECTABLE_MASK) {
            self.cor_mask.d.next = gather_correctable(new);
        }
        let kept = self.first.q.val() & !clear;
        self.first.d.next = kept;
        let logged = shown & loud;
        if !kept.any() && logged.any() {
            let link = of_link & logged;
            let request = of_request & logged;
            let completion = of_completion & logged;
            if link.any() {
                self.first.d.next = link;
                self.log.d.next = Dwords::from_bits(self.link_hdr.val());
            } else if request.any() {
                self.first.d.next = request;
                self.log.d.next = Dwords::from_bits(self.request_hdr.val());
            } else if completion.any() {
                self.first.d.next = completion;
                self.log.d.next = Dwords::from_bits(self.cpl_hdr.val());
            } else {
                // A completion that never came has no header.
                self.first.d.next = of_read;
                self.log.d.next = Dwords::from_bits(lit::<128>(0));
            }
        }

        // ---- What is read.
        let first = spread(with_link(self.first.q.val()));
        let mut pointer = lit::<5>(0);
        for i in 0..32 {
            pointer = pointer | if first.get_bit(i) { lit::<5>(i) } else { lit::<5>(0) };
        }
        let log = self.log.q.val();
        let advisory = CorrectableMask {
            advisory: self.advisory.q.val(),
            ..CorrectableMask::from_bits(lit::<6>(0))
        };
        self.value.next = if self._advanced {
            match addr {
                HEADER => lit::<32>(aer::ID as u32 | VERSION_2 | (secondary::AT as u32) << 20),
                STATUS => spread(with_link(self.status.q.val())),
                MASK => spread(self.mask.q.val()),
                SEVERITY => spread(self.severity.q.val()),
                CORRECTABLE_STATUS => spread_correctable(advisory),
                CORRECTABLE_MASK => spread_correctable(self.cor_mask.q.val()),
                CONTROL => bit_cast::<32, 5>(pointer),
                LOG0 => log.dw0,
                LOG1 => log.dw1,
                LOG2 => log.dw2,
                LOG3 => log.dw3,
                _ => lit::<32>(0),
            }
        } else {
            lit::<32>(0)
        };
    }
}
