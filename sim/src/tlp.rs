//! The transaction-layer packet header: the one place that knows where its fields are.
//!
//! A header is four dwords, DW0 first, bits numbered within a dword as in the PCIe base
//! specification (`fmt` is DW0 31:29). Three-dword headers leave DW3 zero.

use std::fmt;

/// A field of the header: dword, highest and lowest bit.
#[derive(Clone, Copy)]
struct Field(usize, u32, u32);

const FMT: Field = Field(0, 31, 29);
const TYPE: Field = Field(0, 28, 24);
const TRAFFIC_CLASS: Field = Field(0, 22, 20);
const DIGEST: Field = Field(0, 15, 15);
const POISONED: Field = Field(0, 14, 14);
const ATTR: Field = Field(0, 13, 12);
const ADDRESS_TYPE: Field = Field(0, 11, 10);
const LENGTH: Field = Field(0, 9, 0);
/// Bits around the traffic class that no card here uses: further bits of tag and attributes, LN and
/// TPH.
const OTHER: Field = Field(0, 19, 16);
const OTHER_HIGH: Field = Field(0, 23, 23);
// Requests.
const REQUESTER: Field = Field(1, 31, 16);
const TAG: Field = Field(1, 15, 8);
const LAST_BE: Field = Field(1, 7, 4);
const FIRST_BE: Field = Field(1, 3, 0);
const CFG_TARGET: Field = Field(2, 31, 16);
const CFG_REGISTER: Field = Field(2, 11, 2);
const MESSAGE_CODE: Field = Field(1, 7, 0);
// Completions.
const COMPLETER: Field = Field(1, 31, 16);
const STATUS: Field = Field(1, 15, 13);
const BYTE_COUNT_MODIFIED: Field = Field(1, 12, 12);
const BYTE_COUNT: Field = Field(1, 11, 0);
const CPL_REQUESTER: Field = Field(2, 31, 16);
const CPL_TAG: Field = Field(2, 15, 8);
const ABOVE_LOWER_ADDRESS: Field = Field(2, 7, 7);
const LOWER_ADDRESS: Field = Field(2, 6, 0);

/// Routing of a message: to the root complex.
const TO_ROOT_COMPLEX: u32 = 0b10000;

/// What a TLP is, from `fmt` and `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    MemRead,
    MemWrite,
    ConfigRead,
    ConfigWrite,
    Message,
    Completion,
    CompletionData,
    /// Defined by PCIe but never used between this root complex and a card (I/O, locked, atomic,
    /// prefixes), or not defined at all.
    Other,
}

/// The flow-control class, which is also the ordering class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Posted,
    NonPosted,
    Completion,
}

/// Completion status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Success,
    UnsupportedRequest,
    ConfigRetry,
    CompleterAbort,
    Reserved(u8),
}

impl Status {
    fn bits(self) -> u32 {
        match self {
            Status::Success => 0,
            Status::UnsupportedRequest => 1,
            Status::ConfigRetry => 2,
            Status::CompleterAbort => 4,
            Status::Reserved(bits) => u32::from(bits),
        }
    }

    fn from_bits(bits: u32) -> Self {
        match bits {
            0 => Status::Success,
            1 => Status::UnsupportedRequest,
            2 => Status::ConfigRetry,
            4 => Status::CompleterAbort,
            other => Status::Reserved(other as u8),
        }
    }
}

/// An error that a card reports to its root complex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    Correctable,
    NonFatal,
    Fatal,
}

impl Message {
    fn code(self) -> u32 {
        match self {
            Message::Correctable => 0x30,
            Message::NonFatal => 0x31,
            Message::Fatal => 0x33,
        }
    }
}

/// The fields of a completion that are not implied by its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletionFields {
    pub completer: u16,
    pub status: Status,
    /// Bytes still owed to the request, those of this completion included: 1..=4096.
    pub byte_count: u32,
    pub requester: u16,
    pub tag: u8,
    pub lower_address: u8,
}

/// A TLP header in wire form.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Header(pub [u32; 4]);

impl Header {
    fn get(&self, field: Field) -> u32 {
        let Field(dword, high, low) = field;
        (self.0[dword] >> low) & (u32::MAX >> (31 - (high - low)))
    }

    fn with(mut self, field: Field, value: u32) -> Self {
        let Field(dword, high, low) = field;
        let mask = u32::MAX >> (31 - (high - low));
        debug_assert_eq!(value & !mask, 0, "value {value:#x} does not fit its field");
        self.0[dword] = (self.0[dword] & !(mask << low)) | ((value & mask) << low);
        self
    }

    /// A memory read of `dwords` (1..=1024) from the dword that holds `address`.
    pub fn mem_read(requester: u16, tag: u8, address: u64, dwords: u32, be: ByteEnables) -> Self {
        Self::mem(false, requester, tag, address, dwords, be)
    }

    /// A memory write of `dwords` (1..=1024) to the dword that holds `address`.
    pub fn mem_write(requester: u16, tag: u8, address: u64, dwords: u32, be: ByteEnables) -> Self {
        Self::mem(true, requester, tag, address, dwords, be)
    }

    fn mem(
        write: bool,
        requester: u16,
        tag: u8,
        address: u64,
        dwords: u32,
        be: ByteEnables,
    ) -> Self {
        let long = address >> 32 != 0;
        let mut header = Header::default()
            .with(FMT, u32::from(long) | u32::from(write) << 1)
            .with(LENGTH, dwords & 0x3ff)
            .with(REQUESTER, requester.into())
            .with(TAG, tag.into())
            .with(FIRST_BE, be.first.into())
            .with(LAST_BE, be.last.into());
        if long {
            header.0[2] = (address >> 32) as u32;
            header.0[3] = address as u32 & !3;
        } else {
            header.0[2] = address as u32 & !3;
        }
        header
    }

    /// A type 0 configuration read of the dword at byte `offset` of function `target`.
    pub fn config_read(requester: u16, tag: u8, target: u16, offset: u16) -> Self {
        Self::config(false, requester, tag, target, offset, 0xf)
    }

    /// A type 0 configuration write of the enabled bytes of the dword at byte `offset`.
    pub fn config_write(requester: u16, tag: u8, target: u16, offset: u16, enables: u8) -> Self {
        Self::config(true, requester, tag, target, offset, enables)
    }

    fn config(write: bool, requester: u16, tag: u8, target: u16, offset: u16, enables: u8) -> Self {
        Header::default()
            .with(FMT, u32::from(write) << 1)
            .with(TYPE, 0b00100)
            .with(LENGTH, 1)
            .with(REQUESTER, requester.into())
            .with(TAG, tag.into())
            .with(FIRST_BE, enables.into())
            .with(CFG_TARGET, target.into())
            .with(CFG_REGISTER, u32::from(offset >> 2))
    }

    /// A completion with `dwords` (0..=1024) of payload.
    pub fn completion(fields: CompletionFields, dwords: u32) -> Self {
        Header::default()
            .with(FMT, u32::from(dwords != 0) << 1)
            .with(TYPE, 0b01010)
            .with(LENGTH, dwords & 0x3ff)
            .with(COMPLETER, fields.completer.into())
            .with(STATUS, fields.status.bits())
            .with(BYTE_COUNT, fields.byte_count & 0xfff)
            .with(CPL_REQUESTER, fields.requester.into())
            .with(CPL_TAG, fields.tag.into())
            .with(LOWER_ADDRESS, fields.lower_address.into())
    }

    /// A message that reports an error to the root complex.
    pub fn error_message(requester: u16, message: Message) -> Self {
        Header::default()
            .with(FMT, 1)
            .with(TYPE, TO_ROOT_COMPLEX)
            .with(REQUESTER, requester.into())
            .with(MESSAGE_CODE, message.code())
    }

    /// The error that this message reports to the root complex; none for other messages.
    pub fn message(&self) -> Option<Message> {
        let to_root = self.get(FMT) == 1 && self.get(TYPE) == TO_ROOT_COMPLEX;
        [Message::Correctable, Message::NonFatal, Message::Fatal]
            .into_iter()
            .find(|message| to_root && message.code() == self.get(MESSAGE_CODE))
    }

    pub fn kind(&self) -> Kind {
        match (self.get(FMT), self.get(TYPE)) {
            (0 | 1, 0b00000) => Kind::MemRead,
            (2 | 3, 0b00000) => Kind::MemWrite,
            (0, 0b00100 | 0b00101) => Kind::ConfigRead,
            (2, 0b00100 | 0b00101) => Kind::ConfigWrite,
            (1 | 3, 0b10000..=0b10111) => Kind::Message,
            (0, 0b01010 | 0b01011) => Kind::Completion,
            (2, 0b01010 | 0b01011) => Kind::CompletionData,
            _ => Kind::Other,
        }
    }

    pub fn class(&self) -> Class {
        match self.kind() {
            Kind::MemWrite | Kind::Message => Class::Posted,
            Kind::Completion | Kind::CompletionData => Class::Completion,
            Kind::MemRead | Kind::ConfigRead | Kind::ConfigWrite | Kind::Other => Class::NonPosted,
        }
    }

    pub fn has_data(&self) -> bool {
        self.0[0] & (1 << 30) != 0
    }

    pub fn is_four_dwords(&self) -> bool {
        self.0[0] & (1 << 29) != 0
    }

    /// The length field, 1..=1024.
    pub fn dwords(&self) -> u32 {
        match self.get(LENGTH) {
            0 => 1024,
            n => n,
        }
    }

    /// Payload bytes that must follow the header.
    pub fn payload_len(&self) -> usize {
        if self.has_data() {
            self.dwords() as usize * 4
        } else {
            0
        }
    }

    pub fn poisoned(&self) -> bool {
        self.get(POISONED) != 0
    }

    pub fn digest(&self) -> bool {
        self.get(DIGEST) != 0
    }

    pub fn traffic_class(&self) -> u8 {
        self.get(TRAFFIC_CLASS) as u8
    }

    /// Whether any field is not 0 that is reserved in a TLP of this kind, or belongs to a feature
    /// that no card here has.
    pub fn has_reserved(&self) -> bool {
        let empty = |fields: &[Field]| fields.iter().all(|&field| self.get(field) == 0);
        let of_kind = match self.kind() {
            Kind::MemRead | Kind::MemWrite => {
                self.0[2 + usize::from(self.is_four_dwords())] & 3 == 0
            }
            Kind::Completion | Kind::CompletionData => {
                empty(&[ADDRESS_TYPE, BYTE_COUNT_MODIFIED, ABOVE_LOWER_ADDRESS])
                    && (self.has_data() || self.get(LENGTH) == 0)
            }
            Kind::Message => {
                empty(&[ADDRESS_TYPE])
                    && (self.has_data() || self.get(LENGTH) == 0)
                    && self.0[2..] == [0, 0]
            }
            _ => true,
        };
        !empty(&[OTHER, OTHER_HIGH]) || !of_kind
    }

    /// `attr` 1:0, {relaxed ordering, no snoop}.
    pub fn attributes(&self) -> u8 {
        self.get(ATTR) as u8
    }

    pub fn address_type(&self) -> u8 {
        self.get(ADDRESS_TYPE) as u8
    }

    /// Requester of a request.
    pub fn requester(&self) -> u16 {
        self.get(REQUESTER) as u16
    }

    /// Tag of a request.
    pub fn tag(&self) -> u8 {
        self.get(TAG) as u8
    }

    pub fn byte_enables(&self) -> ByteEnables {
        ByteEnables { first: self.get(FIRST_BE) as u8, last: self.get(LAST_BE) as u8 }
    }

    /// Address of the first dword of a memory request.
    pub fn address(&self) -> u64 {
        if self.is_four_dwords() {
            u64::from(self.0[2]) << 32 | u64::from(self.0[3] & !3)
        } else {
            u64::from(self.0[2] & !3)
        }
    }

    /// Byte offset of a configuration request.
    pub fn config_offset(&self) -> u16 {
        (self.get(CFG_REGISTER) << 2) as u16
    }

    /// Whether the TLP is a locked read, or the completion of one.
    pub fn is_locked(&self) -> bool {
        matches!(self.get(TYPE), 0b00001 | 0b01011)
    }

    /// The fields of a completion.
    pub fn completion_fields(&self) -> CompletionFields {
        CompletionFields {
            completer: self.get(COMPLETER) as u16,
            status: Status::from_bits(self.get(STATUS)),
            byte_count: match self.get(BYTE_COUNT) {
                0 => 4096,
                n => n,
            },
            requester: self.get(CPL_REQUESTER) as u16,
            tag: self.get(CPL_TAG) as u8,
            lower_address: self.get(LOWER_ADDRESS) as u8,
        }
    }

    pub fn with_poison(self) -> Self {
        self.with(POISONED, 1)
    }

    pub fn with_dwords(self, dwords: u32) -> Self {
        self.with(LENGTH, dwords & 0x3ff)
    }

    /// The same request from `requester` with `tag`.
    pub fn for_request(self, requester: u16, tag: u8) -> Self {
        self.with(REQUESTER, requester.into()).with(TAG, tag.into())
    }

    /// The same completion for another tag.
    pub fn with_completion_tag(self, tag: u8) -> Self {
        self.with(CPL_TAG, tag.into())
    }

    /// The same completion for another requester.
    pub fn with_completion_requester(self, requester: u16) -> Self {
        self.with(CPL_REQUESTER, requester.into())
    }

    /// Bytes that the TLP takes on the link: header, payload and 8 bytes of data link and physical
    /// layer (2 of sequence number, 4 of LCRC, 2 of framing).
    pub fn link_bytes(&self) -> u64 {
        let header = if self.is_four_dwords() { 16 } else { 12 };
        header + self.payload_len() as u64 + LINK_OVERHEAD
    }
}

/// Bytes of sequence number, LCRC and framing around a TLP.
pub const LINK_OVERHEAD: u64 = 2 + 4 + 2;

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0;
        write!(f, "{:?} {a:08x} {b:08x} {c:08x} {d:08x}", self.kind())
    }
}

/// First and last byte enables of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteEnables {
    pub first: u8,
    pub last: u8,
}

impl ByteEnables {
    /// The enables of `len` contiguous bytes at `address`, and the dwords they touch.
    pub fn contiguous(address: u64, len: u32) -> (Self, u32) {
        assert!((1..=4096).contains(&len), "a request has 1 to 4096 bytes, not {len}");
        let skew = (address & 3) as u32;
        let dwords = (skew + len).div_ceil(4);
        let first = 0xf << skew & 0xf;
        let last = 0xf >> (3 - (skew + len - 1) % 4);
        let enables = if dwords == 1 {
            ByteEnables { first: (first & last) as u8, last: 0 }
        } else {
            ByteEnables { first: first as u8, last: last as u8 }
        };
        (enables, dwords)
    }

    /// Whether PCIe allows these enables on a request of `dwords` at `address`.
    pub fn are_legal(self, address: u64, dwords: u32) -> bool {
        // Holes are allowed only in one-dword requests and quadword-aligned two-dword requests.
        let first_contiguous = matches!(self.first, 0b1111 | 0b1110 | 0b1100 | 0b1000);
        let last_contiguous = matches!(self.last, 0b1111 | 0b0111 | 0b0011 | 0b0001);
        match dwords {
            1 => self.last == 0,
            2 if address & 7 == 0 => self.first != 0 && self.last != 0,
            _ => first_contiguous && last_contiguous,
        }
    }

    /// Bytes before the first enabled one, and bytes from there to the last enabled one, of a
    /// request of `dwords`. A request with nothing enabled spans 1 byte, as PCIe counts it.
    pub fn span(self, dwords: u32) -> (u32, u32) {
        if dwords == 1 {
            if self.first == 0 {
                return (0, 1);
            }
            let skip = self.first.trailing_zeros();
            (skip, 8 - self.first.leading_zeros() - skip)
        } else {
            let skip = if self.first == 0 { 0 } else { self.first.trailing_zeros() };
            let tail = if self.last == 0 { 0 } else { self.last.leading_zeros() - 4 };
            (skip, dwords * 4 - skip - tail)
        }
    }

    /// Whether byte `index` (from the first dword's byte 0) of a request of `dwords` is enabled.
    pub fn enabled(self, index: u32, dwords: u32) -> bool {
        let bits = match index / 4 {
            0 => self.first,
            dword if dword + 1 == dwords => self.last,
            _ => 0xf,
        };
        bits >> (index % 4) & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // Examples put together by hand from the field tables of the PCIe base specification, 2.2.

    #[test]
    fn memory_read_of_64_bytes_above_4_gib() {
        let be = ByteEnables { first: 0xf, last: 0xf };
        let header = Header::mem_read(0x0100, 0x2a, 0x1_2345_6780, 16, be);
        assert_eq!(header.0, [0x2000_0010, 0x0100_2aff, 0x0000_0001, 0x2345_6780]);
        assert_eq!(header.kind(), Kind::MemRead);
        assert_eq!(header.address(), 0x1_2345_6780);
        assert_eq!(header.link_bytes(), 24);
    }

    #[test]
    fn memory_write_of_one_dword_below_4_gib() {
        let (be, dwords) = ByteEnables::contiguous(0xfee0_1002, 2);
        let header = Header::mem_write(0x0208, 7, 0xfee0_1002, dwords, be);
        assert_eq!(header.0, [0x4000_0001, 0x0208_070c, 0xfee0_1000, 0]);
        assert_eq!(header.kind(), Kind::MemWrite);
        assert_eq!(header.payload_len(), 4);
        assert_eq!(header.link_bytes(), 24);
    }

    #[test]
    fn configuration_requests_of_type_0() {
        let read = Header::config_read(0, 1, 0x0100, 0x3c);
        assert_eq!(read.0, [0x0400_0001, 0x0000_010f, 0x0100_003c, 0]);
        let write = Header::config_write(0, 2, 0x0100, 0x104, 0x3);
        assert_eq!(write.0, [0x4400_0001, 0x0000_0203, 0x0100_0104, 0]);
        assert_eq!((read.config_offset(), write.config_offset()), (0x3c, 0x104));
    }

    #[test]
    fn completion_with_the_middle_of_a_read() {
        let fields = CompletionFields {
            completer: 0,
            status: Status::Success,
            byte_count: 0x1c0,
            requester: 0x0100,
            tag: 0x2a,
            lower_address: 0x40,
        };
        let header = Header::completion(fields, 16);
        assert_eq!(header.0, [0x4a00_0010, 0x0000_01c0, 0x0100_2a40, 0]);
        assert_eq!(header.completion_fields(), fields);
    }

    #[test]
    fn completion_with_unsupported_request_and_4096_bytes_owed() {
        let fields = CompletionFields {
            completer: 0x0100,
            status: Status::UnsupportedRequest,
            byte_count: 4096,
            requester: 0,
            tag: 3,
            lower_address: 0,
        };
        let header = Header::completion(fields, 0);
        assert_eq!(header.0, [0x0a00_0000, 0x0100_2000, 0x0000_0300, 0]);
        assert_eq!(header.completion_fields(), fields);
        assert_eq!(header.payload_len(), 0);
    }

    #[test]
    fn length_1024_is_coded_0_and_poison_is_bit_14() {
        let be = ByteEnables { first: 0xf, last: 0xf };
        let header = Header::mem_write(0, 0, 0x1000, 1024, be).with_poison();
        assert_eq!(header.0[0], 0x4000_4000);
        assert_eq!(header.dwords(), 1024);
    }

    #[test]
    fn byte_enable_rules() {
        let legal =
            |first, last, address, dwords| ByteEnables { first, last }.are_legal(address, dwords);
        assert!(legal(0b0000, 0, 4, 1), "a zero-length read");
        assert!(legal(0b0101, 0, 4, 1));
        assert!(!legal(0b1111, 0b1111, 4, 1));
        assert!(legal(0b0101, 0b1010, 8, 2), "holes in an aligned quadword");
        assert!(!legal(0b0101, 0b1111, 4, 2));
        assert!(!legal(0b1111, 0b0000, 0, 3));
        assert!(legal(0b1000, 0b0001, 0, 3));
        assert!(!legal(0b0111, 0b1111, 0, 3));
    }

    proptest! {
        #[test]
        fn contiguous_enables_cover_exactly_their_bytes(address in 0u64..64, len in 1u32..200) {
            let (be, dwords) = ByteEnables::contiguous(address, len);
            prop_assert!(be.are_legal(address & !3, dwords));
            prop_assert_eq!(be.span(dwords), ((address & 3) as u32, len));
            for index in 0..dwords * 4 {
                let inside = (address & 3) as u32 <= index && index < (address & 3) as u32 + len;
                prop_assert_eq!(be.enabled(index, dwords), inside);
            }
        }
    }
}
