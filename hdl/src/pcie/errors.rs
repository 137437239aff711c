//! What was wrong with a TLP or a read: which error it is, who hears of it, and what the advanced error registers keep.
//!
//! | input | error | unless the host changes its severity |
//! |---|---|---|
//! | `malformed`, `overflow` | malformed TLP, receiver overflow | fatal |
//! | `unsupported`, of a posted or a poisoned request | unsupported request | not fatal |
//! | `unsupported`, with `answered` | the same; its completion tells the requester | advisory |
//! | `aborted` | completer abort, told by a completion too | advisory |
//! | `poisoned`, `cpl_poisoned` | poisoned TLP: what it carried is lost | not fatal |
//! | `cpl_unexpected` | unexpected completion | advisory |
//! | `cpl_timeout` | completion time-out, after which the card tries no read again by itself; in D3hot it waits for D0 | not fatal |
//!
//! `set` are the four error bits of Device Status; a message is offered by `message_*` if it is enabled in `control` or by `serr`. An advisory
//! error counts as correctable. Errors of one class while a message of it waits share that one.
//!
//! With `_advanced` there is a capability behind it, at [AT]: status, mask and severity of each error, advisory errors masked at first, and the header of
//! the first that is not masked, until its status is cleared. It survives a function-level reset. Without it, severities are those of the
//! table, and of an advisory error no message tells, as the specification wants it of such a function.
//!
//! An error shows in the cycle after its input; when several sources have one in the same cycle, all set status, and the header is that
//! of the first in the order of the ports.

use nitor_rtl::prelude::*;

/// Where the capability is in configuration space.
pub const AT: u64 = 0x100;

// The errors this card can have, in a word as narrow as that; and where the specification has them.
const POISONED: usize = 0;
const TIMEOUT: usize = 1;
const ABORTED: usize = 2;
const UNEXPECTED: usize = 3;
const OVERFLOW: usize = 4;
const MALFORMED: usize = 5;
const UNSUPPORTED: usize = 6;
const ERRORS: usize = 7;
/// Fatal after reset.
const FATAL: u64 = 1 << OVERFLOW | 1 << MALFORMED;
/// Of the correctable errors, advisory ones are masked after reset.
const COR_MASK: u64 = 1 << 5;

#[derive(LogicBlock, Default)]
pub struct Errors {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // From the link.
    pub malformed: Signal<In, Bit>,
    pub overflow: Signal<In, Bit>,
    pub link_hdr: Signal<In, Bits<128>>,
    // Of requests.
    pub unsupported: Signal<In, Bit>,
    pub aborted: Signal<In, Bit>,
    pub poisoned: Signal<In, Bit>,
    pub answered: Signal<In, Bit>,
    pub request_hdr: Signal<In, Bits<128>>,
    // Of the card's own reads.
    pub cpl_poisoned: Signal<In, Bit>,
    pub cpl_unexpected: Signal<In, Bit>,
    pub cpl_timeout: Signal<In, Bit>,
    pub cpl_hdr: Signal<In, Bits<128>>,
    /// Device Control 3:0: correctable, non-fatal, fatal errors, unsupported requests are reported.
    pub control: Signal<In, Bits<4>>,
    /// Command bit 8: fatal and non-fatal errors are reported.
    pub serr: Signal<In, Bit>,
    pub awake: Signal<In, Bit>,
    pub flr: Signal<In, Bit>,
    /// An access to configuration space: the byte offset; `write`: its new value, and which ones were written.
    pub addr: Signal<In, Bits<12>>,
    pub write: Signal<In, Bit>,
    pub written: Signal<In, Bits<32>>,
    pub ones: Signal<In, Bits<32>>,
    pub value: Signal<Out, Bits<32>>,
    /// Device Status 3:0, to be set.
    pub set: Signal<Out, Bits<4>>,
    /// A message goes out that `serr` asks for.
    pub signaled: Signal<Out, Bit>,
    /// 0 ERR_COR, 1 ERR_NONFATAL, 3 ERR_FATAL. Withdrawn by a function-level reset.
    pub message_valid: Signal<Out, Bit>,
    pub message: Signal<Out, Bits<2>>,
    pub message_ready: Signal<In, Bit>,
    late: Reg<Bit>,
    // Correctable, non-fatal, fatal.
    pending: Reg<Bits<3>>,
    saying: Reg<Bit>,
    what: Reg<Bits<2>>,
    // With [AT]'s capability. Bit 7: errors of the data link, which are not ours to find.
    status: Reg<Bits<ERRORS>>,
    mask: Reg<Bits<8>>,
    severity: Reg<Bits<8>>,
    advisory: Reg<Bit>,
    cor_mask: Reg<Bits<6>>,
    /// The error whose header is kept, if any.
    first: Reg<Bits<ERRORS>>,
    log: Reg<Bits<128>>,
    _advanced: bool,
}

impl Errors {
    pub fn new(advanced: bool) -> Self {
        Self {
            severity: Reg::new(lit(FATAL | 0x80)),
            cor_mask: Reg::new(lit(COR_MASK)),
            _advanced: advanced,
            ..Self::default()
        }
    }
}

/// As the specification lays them out.
#[kernel]
fn spread(which: Bits<8>) -> Bits<32> {
    lit::<32>(0)
        .replace_bit(4, which.get_bit(ERRORS))
        .replace_bit(12, which.get_bit(POISONED))
        .replace_bit(14, which.get_bit(TIMEOUT))
        .replace_bit(15, which.get_bit(ABORTED))
        .replace_bit(16, which.get_bit(UNEXPECTED))
        .replace_bit(17, which.get_bit(OVERFLOW))
        .replace_bit(18, which.get_bit(MALFORMED))
        .replace_bit(20, which.get_bit(UNSUPPORTED))
}

/// The other way.
#[kernel]
fn gather(word: Bits<32>) -> Bits<8> {
    lit::<8>(0)
        .replace_bit(ERRORS, word.get_bit(4))
        .replace_bit(POISONED, word.get_bit(12))
        .replace_bit(TIMEOUT, word.get_bit(14))
        .replace_bit(ABORTED, word.get_bit(15))
        .replace_bit(UNEXPECTED, word.get_bit(16))
        .replace_bit(OVERFLOW, word.get_bit(17))
        .replace_bit(MALFORMED, word.get_bit(18))
        .replace_bit(UNSUPPORTED, word.get_bit(20))
}

/// Receiver error, bad TLP, bad DLLP, replay number rollover, replay timer, advisory: where they are.
#[kernel]
fn spread_correctable(which: Bits<6>) -> Bits<32> {
    let replays = cat::<1, 3, 4>(which.get_bits::<1>(4), lit::<3>(0));
    let low = cat::<3, 6, 9>(which.get_bits::<3>(1), bit_cast::<6, 1>(which.get_bits::<1>(0)));
    bit_cast::<32, 14>(cat::<1, 13, 14>(which.get_bits::<1>(5), cat::<4, 9, 13>(replays, low)))
}

impl Logic for Errors {
    /// Errors of PCI Express: status, messages, advanced error reporting.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock, reset; late, pending, saying, what, status, mask, severity, advisory, cor_mask, first, log);

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
        let advanced = lit::<1>(self._advanced as usize).any();
        let severity = if advanced {
            self.severity.q.val().get_bits::<ERRORS>(0)
        } else {
            lit::<ERRORS>(FATAL)
        };
        let mask =
            if advanced { self.mask.q.val().get_bits::<ERRORS>(0) } else { lit::<ERRORS>(0) };
        // Somebody else knows of it.
        let told = lit::<ERRORS>(1 << ABORTED | 1 << UNEXPECTED)
            .replace_bit(UNSUPPORTED, self.answered.val())
            & !severity;
        let quiet = self.cor_mask.q.val().get_bit(5);
        let advisory = events & told;
        let fatal = events & severity;
        let nonfatal = events & !severity & !told;
        let mut set = lit::<4>(0);
        set = set.replace_bit(0, advisory.any());
        set = set.replace_bit(1, nonfatal.any());
        set = set.replace_bit(2, fatal.any());
        set = set.replace_bit(3, self.unsupported.val());
        self.set.next = set;

        // ---- Who hears of it.
        let control = self.control.val();
        let serr = self.serr.val();
        let loud = !mask;
        let said = loud & !lit::<ERRORS>(0).replace_bit(UNSUPPORTED, !control.get_bit(3) && !serr);
        let say_fatal = (fatal & said).any() && (serr || control.get_bit(2));
        let say_nonfatal = (nonfatal & said).any() && (serr || control.get_bit(1));
        let noted = advisory & !lit::<ERRORS>(0).replace_bit(UNSUPPORTED, !control.get_bit(3));
        let say_advisory = advanced && noted.any() && !quiet && control.get_bit(0);
        self.signaled.next = serr && (say_fatal || say_nonfatal);
        let saying = self.saying.q.val();
        let pending = self.pending.q.val();
        let mut left = pending;
        if !saying {
            self.saying.d.next = pending.any();
            self.what.d.next = if pending.get_bit(2) {
                lit::<2>(3)
            } else if pending.get_bit(1) {
                lit::<2>(1)
            } else {
                lit::<2>(0)
            };
            left = if pending.get_bit(2) {
                pending & 0b011
            } else if pending.get_bit(1) {
                pending & 0b001
            } else {
                lit::<3>(0)
            };
        } else if self.message_ready.val() {
            self.saying.d.next = false;
        }
        left = left.replace_bit(0, left.get_bit(0) || say_advisory);
        left = left.replace_bit(1, left.get_bit(1) || say_nonfatal);
        left = left.replace_bit(2, left.get_bit(2) || say_fatal);
        self.pending.d.next = left;
        if self.flr.val() {
            self.pending.d.next = lit::<3>(0);
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
        let clear = if write && addr == lit::<12>(AT + 4) {
            gather(ones).get_bits::<ERRORS>(0)
        } else {
            lit::<ERRORS>(0)
        };
        let shown = if quiet { events & !advisory } else { events };
        self.status.d.next = (self.status.q.val() & !clear) | shown;
        let forgets = write && addr == lit::<12>(AT + 0x10) && ones.get_bit(13);
        self.advisory.d.next = (self.advisory.q.val() && !forgets) || advisory.any();
        if write && addr == lit::<12>(AT + 8) {
            self.mask.d.next = gather(new);
        }
        if write && addr == lit::<12>(AT + 0xc) {
            self.severity.d.next = gather(new);
        }
        if write && addr == lit::<12>(AT + 0x14) {
            self.cor_mask.d.next = cat::<1, 5, 6>(
                new.get_bits::<1>(13),
                cat::<1, 4, 5>(
                    new.get_bits::<1>(12),
                    cat::<3, 1, 4>(new.get_bits::<3>(6), new.get_bits::<1>(0)),
                ),
            );
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
                self.log.d.next = self.link_hdr.val();
            } else if request.any() {
                self.first.d.next = request;
                self.log.d.next = self.request_hdr.val();
            } else if completion.any() {
                self.first.d.next = completion;
                self.log.d.next = self.cpl_hdr.val();
            } else {
                // Of what never came there is no header.
                self.first.d.next = of_read;
                self.log.d.next = lit::<128>(0);
            }
        }

        // ---- What is read.
        let first = spread(bit_cast::<8, ERRORS>(self.first.q.val()));
        let mut pointer = lit::<5>(0);
        for i in 0..32 {
            pointer = pointer | if first.get_bit(i) { lit::<5>(i) } else { lit::<5>(0) };
        }
        let log = self.log.q.val();
        self.value.next = if advanced {
            match addr {
                // Version 2; the Secondary PCI Express capability is next.
                0x100 => lit::<32>(0x1482_0001),
                0x104 => spread(bit_cast::<8, ERRORS>(self.status.q.val())),
                0x108 => spread(self.mask.q.val()),
                0x10c => spread(self.severity.q.val()),
                0x110 => lit::<32>(0).replace_bit(13, self.advisory.q.val()),
                0x114 => spread_correctable(self.cor_mask.q.val()),
                0x118 => bit_cast::<32, 5>(pointer),
                0x11c => log.get_bits::<32>(0),
                0x120 => log.get_bits::<32>(32),
                0x124 => log.get_bits::<32>(64),
                0x128 => log.get_bits::<32>(96),
                _ => lit::<32>(0),
            }
        } else {
            lit::<32>(0)
        };
    }
}
