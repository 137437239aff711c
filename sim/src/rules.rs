//! Everything a card is judged by, rule by rule. A rule without a card that breaks it is a failing
//! test: `tests/software/rules` has those for PCI Express, `monitor/tests/rules.rs` those for the
//! ENA interface.

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
    /// What holds for any card: [crate::checker].
    EXPRESS {
        /// `sop`, `eop` and the length in the header agree.
        TlpFraming,
        /// A beat of a TLP stays what it is until it is taken.
        TlpUnstable,
        /// The last beat of a frame has 1 to K bytes.
        FrameFraming,
        /// A beat of a frame stays what it is until it is taken.
        FrameUnstable,
        /// Credits for requests to the card are never taken back.
        CreditsTaken,
        /// Every TLP has a credit.
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
        /// No request asks for another order than the usual, or for no snooping.
        Attributes,
        ByteEnables,
        Crosses4K,
        /// Addresses have 64 bits where they need more than 32, and only there.
        AddressForm,
        /// Addresses are untranslated.
        AddressType,
        MaxPayload,
        MaxReadRequest,
        /// Requests carry the card's number.
        Requester,
        /// So do completions.
        Completer,
        /// Tags from 32 on need extended tags.
        ExtendedTag,
        /// The tag of a read that has no answer yet is not used.
        TagReuse,
        /// The tag of a read that never got its answer is not used for so long that none can be on
        /// its way.
        TagRest,
        /// No memory request while bus mastering is off.
        BusMaster,
        /// No memory request from the end of a reset to the first command, nor while a test says
        /// so.
        Quiet,
        /// The IOMMU knows the address.
        Unmapped,
        /// What is written to the interrupt window is an interrupt of this function.
        Interrupt,
        /// Messages report errors to the root complex.
        Message,
        /// An error is reported only if the host has enabled that.
        Reporting,
        /// Completions are of requests under way.
        Unasked,
        /// Traffic class and attributes of a completion are the request's.
        CompletionClass,
        /// The status fits the request, and only success has data.
        CompletionStatus,
        ByteCount,
        LowerAddress,
        /// Data for a read, and as much as was asked for.
        CompletionLength,
        /// Completions of a read are cut at multiples of 64 bytes.
        Boundary,
        /// Requests are answered in time.
        Timeout,
    }
    /// What holds for ENA's, and for this one as its documentation says: [crate::monitor].
    DEVICE {
        /// Commands are read that were given and not answered.
        CommandFetch,
        /// Descriptors are read whole.
        PartialDescriptor,
        /// No read of descriptors runs beyond the ring.
        RingEnd,
        /// Descriptors are read in order.
        DescriptorOrder,
        /// Only those that a doorbell tells of.
        BeyondDoorbell,
        /// Only memory that was posted is read.
        UnpostedRead,
        /// Only memory that was posted is written.
        UnpostedWrite,
        /// A buffer is filled from its start on, without gaps.
        FillOrder,
        /// A buffer is filled only if its descriptor was read.
        FilledUnread,
        /// A reading of a register without a read is one that was asked for.
        Response,
        /// Answers to commands are written whole, one after the other.
        AnswerPlace,
        AnswerPhase,
        /// An answer is to a command.
        AnswerUnasked,
        AnswerId,
        /// Events are written whole, one after the other.
        EventPlace,
        EventPhase,
        /// No more events than the host has room for.
        EventRoom,
        /// Completion entries are written whole, one after the other.
        EntryPlace,
        /// No write of entries runs beyond the ring.
        EntriesEnd,
        EntryPhase,
        EntryReserved,
        /// Some queue uses the completion queue.
        EntryOfNoQueue,
        /// What is completed is the card's.
        UnknownRequest,
        /// Packets and buffers complete in the order of their ring.
        CompletionOrder,
        /// Nothing completes before its descriptors were read.
        CompletedUnread,
        /// As many bytes are completed as were written.
        ReceivedLength,
        /// First and last mark the ends of a received packet.
        ReceivedEnds,
        /// A packet goes on in another buffer only when the one before is full.
        ReceivedShort,
        /// An interrupt tells of something.
        InterruptForNothing,
    }
}
