//! The rules that a card is checked against. For each rule a test has a card that breaks it, and a
//! missing card fails the test: `tests/software/rules` has those for PCI Express,
//! `monitor/tests/rules.rs` those for the ENA interface.

/// An enum of rules, and lists of them.
macro_rules! rules {
    ($($(#[$list_doc:meta])* $list:ident { $($(#[$doc:meta])* $rule:ident,)* })*) => {
        /// A rule that a card can break.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Rule { $($($(#[$doc])* $rule,)*)* }

        impl Rule {
            $($(#[$list_doc])* pub const $list: &[Rule] = &[$(Rule::$rule,)*];)*
        }
    };
}

rules! {
    /// The rules for any PCI Express card: [crate::checker].
    EXPRESS {
        /// `sop`, `eop` and the length in the header agree.
        TlpFraming,
        /// A beat of a TLP is stable until it is accepted.
        TlpUnstable,
        /// The last beat of a frame has 1 to K bytes.
        FrameFraming,
        /// A beat of a frame is stable until it is accepted.
        FrameUnstable,
        /// The card never takes back credits for non-posted requests.
        CreditsTaken,
        /// The card has the credits for every TLP that it sends.
        Credits,
        /// Cards send memory requests, completions and messages.
        Kind,
        /// Reserved fields are 0, as are those of features that are off.
        Reserved,
        /// Requests are of class 0.
        TrafficClass,
        Digest,
        /// The card poisons nothing.
        Poisoned,
        /// Requests ask for neither relaxed ordering nor no snoop.
        Attributes,
        ByteEnables,
        Crosses4K,
        /// An address is in the 64-bit form if and only if it needs more than 32 bits.
        AddressForm,
        /// Addresses are untranslated.
        AddressType,
        MaxPayload,
        MaxReadRequest,
        /// Requests carry the card's requester ID.
        Requester,
        /// Completions carry the card's completer ID.
        Completer,
        /// Tags from 32 on need extended tags.
        ExtendedTag,
        /// The tag of a read in flight is not reused.
        TagReuse,
        /// The tag of a read without an answer is not reused while a completion may still be in
        /// flight.
        TagRest,
        /// No memory request while bus mastering is off.
        BusMaster,
        /// No memory request from the end of a reset to the first command, nor while a test forbids
        /// them.
        Quiet,
        /// Every address has a mapping in the IOMMU.
        Unmapped,
        /// A write to the interrupt window is an interrupt of this function.
        Interrupt,
        /// Messages report errors to the root complex.
        Message,
        /// An error is reported only if the host has enabled that.
        Reporting,
        /// Every completion answers a request in flight.
        Unasked,
        /// Traffic class and attributes of a completion are the request's.
        CompletionClass,
        /// The status fits the request, and only success has data.
        CompletionStatus,
        ByteCount,
        LowerAddress,
        /// A read is completed with as much data as it asked for, a write without data.
        CompletionLength,
        /// The completions of a read are split at multiples of 64 bytes.
        Boundary,
        /// Requests are answered in time.
        Timeout,
    }
    /// The rules of the ENA interface, and of this card as its documentation says:
    /// [crate::monitor].
    DEVICE {
        /// Only commands are read that are submitted and not answered.
        CommandFetch,
        /// Descriptors are read whole.
        PartialDescriptor,
        /// No read of descriptors runs beyond the ring.
        RingEnd,
        /// Descriptors are read in order.
        DescriptorOrder,
        /// Only descriptors are read that a doorbell has posted.
        BeyondDoorbell,
        /// Only memory that was posted is read.
        UnpostedRead,
        /// Only memory that was posted is written.
        UnpostedWrite,
        /// A buffer is filled from its start on, without gaps.
        FillOrder,
        /// A buffer is filled only if its descriptor was read.
        FilledUnread,
        /// A readless response answers a read that the host asked for.
        Response,
        /// Answers to commands are written whole and in the order of their ring.
        AnswerPlace,
        AnswerPhase,
        /// Every answer is to a submitted command.
        AnswerUnasked,
        AnswerId,
        /// Events are written whole and in the order of their ring.
        EventPlace,
        EventPhase,
        /// No more events than the host has room for.
        EventRoom,
        /// Completion entries are written whole and in the order of their ring.
        EntryPlace,
        /// No write of entries runs beyond the ring.
        EntriesEnd,
        EntryPhase,
        EntryReserved,
        /// Only a completion queue that a submission queue uses gets entries.
        EntryOfNoQueue,
        /// Only requests that the card has are completed.
        UnknownRequest,
        /// Packets and buffers complete in the order of their ring.
        CompletionOrder,
        /// Nothing completes before its descriptors were read.
        CompletedUnread,
        /// As many bytes are completed as were written.
        ReceivedLength,
        /// The first and last flags mark the ends of a received packet.
        ReceivedEnds,
        /// A packet continues in another buffer only when the one before is full.
        ReceivedShort,
        /// An interrupt follows a completion, an answer or an event.
        InterruptForNothing,
    }
}
