//! A slice of the match unit: of N rules, the first that a frame satisfies, among the ordered rules
//! and among those of groups.
//!
//! A rule is a condition on each of eight fields. Every field by itself gives the rules that hold
//! for it, a bit a rule ([Field]), and a rule matches if it holds for all. Addresses and ports are
//! first searched among ranges ([Ranges]), so are VLANs and the ether types of what is not IP; the
//! others are indices themselves. The field `side`, interface and direction, says which rules apply
//! there: a rule is stored once, however many interfaces use its group.
//!
//! | field | index | rows |
//! |---|---|---|
//! | source, destination | one of 2^LA ranges | 2^RA |
//! | source port, destination port | one of 2^LP ranges | 2^RP |
//! | protocol, or ether type of what is not IP | 256 protocols, 16 ranges | 64 |
//! | TCP flags and fragment | 1,024 | 32 |
//! | VLAN, or none | 16 ranges; no tag is below all | 16 |
//! | side | 512 | 128 |
//!
//! **Atomic.** Trees, indices and `ordered` are there twice; `bank`, taken with each key, says
//! which of them decide. Rows are shared: a new set takes rows that the set in force does not use.
//! So each frame is judged by one set. The slice has no reset: what it finds before a set is
//! loaded means nothing, see [super::acl].
//!
//! **Speed.** A key a cycle; what matches is out [`Slice::LATENCY`] cycles later. There is no
//! back-pressure. One write of `load` a cycle.

use super::field::{self, Field};
use super::first::First;
use super::ranges::Ranges;
use super::words::*;
use crate::common::delay::Delay;
use nitor_rtl::prelude::*;

/// Levels of the search trees of VLANs and of ether types.
pub const SHORT: usize = 4;

/// Numbers of the tables that [Load] writes to.
pub mod table {
    // Search trees, by their numbers.
    pub const SOURCE: usize = 0;
    pub const DESTINATION: usize = 1;
    pub const SOURCE_PORT: usize = 2;
    pub const DESTINATION_PORT: usize = 3;
    pub const ETHERTYPE: usize = 4;
    pub const VLAN: usize = 5;
    /// Which blocks of 16 rules are ordered.
    pub const ORDERED: usize = 6;
    /// The bank in force, of all slices.
    pub const SWITCH: usize = 7;
    /// The indices of field f are table INDICES + f, its rows ROWS + f.
    pub const INDICES: usize = 8;
    pub const ROWS: usize = 16;
    // Fields 0 to 3 have the number of their tree.
    pub const PROTOCOL_FIELD: usize = 4;
    pub const VLAN_FIELD: usize = 5;
    pub const FLAGS_FIELD: usize = 6;
    pub const SIDE_FIELD: usize = 7;
}

#[derive(LogicBlock)]
pub struct Slice<
    const N: usize,
    const G: usize,
    const LA: usize,
    const RA: usize,
    const LP: usize,
    const RP: usize,
> {
    pub clock: Signal<In, Clock>,
    pub key: Signal<In, Key>,
    pub bank: Signal<In, Bit>,
    pub first: Signal<Out, Hit>,
    pub first_of_groups: Signal<Out, Hit>,
    pub load: Signal<In, Bit>,
    pub load_to: Signal<In, Load>,
    pub load_bound: Signal<In, Bound<128>>,
    pub load_rules: Signal<In, Bits<N>>,
    sources: Ranges<128, LA>,
    destinations: Ranges<128, LA>,
    source_ports: Ranges<16, LP>,
    destination_ports: Ranges<16, LP>,
    ethertypes: Ranges<16, SHORT>,
    vlans: Ranges<13, SHORT>,
    source: Field<N, LA, RA>,
    destination: Field<N, LA, RA>,
    source_port: Field<N, LP, RP>,
    destination_port: Field<N, LP, RP>,
    protocol: Field<N, 9, 6>,
    vlan: Field<N, SHORT, 4>,
    flags: Field<N, 10, 5>,
    side: Field<N, 9, 7>,
    // Short searches and fields without one, aligned with the search of addresses.
    late: Delay<Unsearched>,
    late_ports: Delay<Bits<LP>>,
    late_destination_ports: Delay<Bits<LP>>,
    late_ethertype: Delay<Bits<SHORT>>,
    late_vlan: Delay<Bits<SHORT>>,
    /// The bank of the rules that hold for all fields.
    banks: Delay<Bit>,
    ordered: [Reg<Bits<G>>; 2],
    // Rules that hold for four fields, and for all.
    of_packet: Reg<Bits<N>>,
    of_rest: Reg<Bits<N>>,
    of_all: Reg<Bits<N>>,
    firsts: First<N, G>,
}

impl<
        const N: usize,
        const G: usize,
        const LA: usize,
        const RA: usize,
        const LP: usize,
        const RP: usize,
    > Default for Slice<N, G, LA, RA, LP, RP>
{
    fn default() -> Self {
        assert!(LP < LA && SHORT < LA && LA <= 14, "the trees of addresses are the deepest");
        assert!(RA <= 12 && RP <= 12, "a row's number has 12 bits");
        let ports = || Delay::new(2 * (LA - LP));
        let few = || Delay::new(2 * (LA - SHORT));
        Self {
            clock: Default::default(),
            key: Default::default(),
            bank: Default::default(),
            first: Default::default(),
            first_of_groups: Default::default(),
            load: Default::default(),
            load_to: Default::default(),
            load_bound: Default::default(),
            load_rules: Default::default(),
            sources: Default::default(),
            destinations: Default::default(),
            source_ports: Default::default(),
            destination_ports: Default::default(),
            ethertypes: Default::default(),
            vlans: Default::default(),
            source: Default::default(),
            destination: Default::default(),
            source_port: Default::default(),
            destination_port: Default::default(),
            protocol: Default::default(),
            vlan: Default::default(),
            flags: Default::default(),
            side: Default::default(),
            late: Delay::new(Self::SEARCH),
            late_ports: ports(),
            late_destination_ports: ports(),
            late_ethertype: few(),
            late_vlan: few(),
            banks: Delay::new(field::LATENCY + 2),
            ordered: Default::default(),
            of_packet: Default::default(),
            of_rest: Default::default(),
            of_all: Default::default(),
            firsts: Default::default(),
        }
    }
}

impl<
        const N: usize,
        const G: usize,
        const LA: usize,
        const RA: usize,
        const LP: usize,
        const RP: usize,
    > Slice<N, G, LA, RA, LP, RP>
{
    const SEARCH: usize = 2 * LA + 1;
    pub const LATENCY: usize = Self::SEARCH + field::LATENCY + 2 + First::<N, G>::LATENCY;
}

impl<
        const N: usize,
        const G: usize,
        const LA: usize,
        const RA: usize,
        const LP: usize,
        const RP: usize,
    > Logic for Slice<N, G, LA, RA, LP, RP>
{
    /// Eight fields, the rules that hold for each, and the first that holds for all.
    #[kernel]
    fn update(&mut self) {
        registers!(self, clock; ordered[..], of_packet, of_rest, of_all);
        clocked!(self, clock; sources, destinations, source_ports, destination_ports, ethertypes);
        clocked!(self, clock; vlans, source, destination, source_port, destination_port, protocol);
        clocked!(self, clock; vlan, flags, side, late, late_ports, late_destination_ports);
        clocked!(self, clock; late_ethertype, late_vlan, banks, firsts);
        let key = self.key.val();
        let bank = self.bank.val();

        // Searches.
        self.sources.key.next = key.source;
        self.destinations.key.next = key.destination;
        self.source_ports.key.next = key.source_port;
        self.destination_ports.key.next = key.destination_port;
        self.ethertypes.key.next = key.ethertype;
        self.vlans.key.next = Vlan { id: key.vlan, tagged: key.tagged }.to_bits::<13>();
        self.late_ports.input.next = self.source_ports.index.val();
        self.late_destination_ports.input.next = self.destination_ports.index.val();
        self.late_ethertype.input.next = self.ethertypes.index.val();
        self.late_vlan.input.next = self.vlans.index.val();
        let side = Side { interface: key.interface, outbound: key.outbound };
        let flags = FlagsAndFragment { flags: key.flags, fragment: key.fragment };
        let protocol = Protocol { number: key.protocol, ip: key.ip };
        self.late.input.next = Unsearched { side, flags, protocol, bank };

        // Fields.
        let late = self.late.output.val();
        self.source.index.next = self.sources.index.val();
        self.destination.index.next = self.destinations.index.val();
        self.source_port.index.next = self.late_ports.output.val();
        self.destination_port.index.next = self.late_destination_ports.output.val();
        let other = Protocol {
            number: bit_cast::<8, SHORT>(self.late_ethertype.output.val()),
            ..late.protocol
        };
        self.protocol.index.next =
            (if late.protocol.ip { late.protocol } else { other }).to_bits::<9>();
        self.vlan.index.next = self.late_vlan.output.val();
        self.flags.index.next = late.flags.to_bits::<10>();
        self.side.index.next = late.side.to_bits::<9>();
        self.of_packet.d.next = self.source.rules.val()
            & self.destination.rules.val()
            & self.source_port.rules.val()
            & self.destination_port.rules.val();
        self.of_rest.d.next = self.protocol.rules.val()
            & self.vlan.rules.val()
            & self.flags.rules.val()
            & self.side.rules.val();
        self.of_all.d.next = self.of_packet.q.val() & self.of_rest.q.val();

        // All rules that match: the first of them.
        self.banks.input.next = late.bank;
        self.firsts.rules.next = self.of_all.q.val();
        self.firsts.ordered.next =
            if self.banks.output.val() { self.ordered[1].q.val() } else { self.ordered[0].q.val() };
        self.first.next = self.firsts.first.val();
        self.first_of_groups.next = self.firsts.first_of_groups.val();

        // Writes.
        let load = self.load.val();
        let to = self.load_to.val();
        if load && to.table == lit::<5>(table::ORDERED) {
            if to.at.bank {
                self.ordered[1].d.next = bit_cast::<G, N>(self.load_rules.val());
            } else {
                self.ordered[0].d.next = bit_cast::<G, N>(self.load_rules.val());
            }
        }
        let bound = self.load_bound.val();
        let short = Bound { at: bit_cast::<16, 128>(bound.at), open: bound.open };
        let shortest = Bound { at: bit_cast::<13, 128>(bound.at), open: bound.open };
        self.sources.bank.next = bank;
        self.sources.load.next = load && to.table == lit::<5>(table::SOURCE);
        self.sources.load_at.next = to.at;
        self.sources.load_bound.next = bound;
        self.destinations.bank.next = bank;
        self.destinations.load.next = load && to.table == lit::<5>(table::DESTINATION);
        self.destinations.load_at.next = to.at;
        self.destinations.load_bound.next = bound;
        self.source_ports.bank.next = bank;
        self.source_ports.load.next = load && to.table == lit::<5>(table::SOURCE_PORT);
        self.source_ports.load_at.next = to.at;
        self.source_ports.load_bound.next = short;
        self.destination_ports.bank.next = bank;
        self.destination_ports.load.next = load && to.table == lit::<5>(table::DESTINATION_PORT);
        self.destination_ports.load_at.next = to.at;
        self.destination_ports.load_bound.next = short;
        self.ethertypes.bank.next = bank;
        self.ethertypes.load.next = load && to.table == lit::<5>(table::ETHERTYPE);
        self.ethertypes.load_at.next = to.at;
        self.ethertypes.load_bound.next = short;
        self.vlans.bank.next = bank;
        self.vlans.load.next = load && to.table == lit::<5>(table::VLAN);
        self.vlans.load_at.next = to.at;
        self.vlans.load_bound.next = shortest;
        self.source.bank.next = late.bank;
        self.source.load_index.next = load && to.table == lit::<5>(table::INDICES + table::SOURCE);
        self.source.load_row.next = load && to.table == lit::<5>(table::ROWS + table::SOURCE);
        self.source.load_bank.next = to.at.bank;
        self.source.load_at.next = bit_cast::<LA, 14>(to.at.node);
        self.source.row.next = bit_cast::<RA, 12>(to.row);
        self.source.load_rules.next = self.load_rules.val();
        self.destination.bank.next = late.bank;
        self.destination.load_index.next =
            load && to.table == lit::<5>(table::INDICES + table::DESTINATION);
        self.destination.load_row.next =
            load && to.table == lit::<5>(table::ROWS + table::DESTINATION);
        self.destination.load_bank.next = to.at.bank;
        self.destination.load_at.next = bit_cast::<LA, 14>(to.at.node);
        self.destination.row.next = bit_cast::<RA, 12>(to.row);
        self.destination.load_rules.next = self.load_rules.val();
        self.source_port.bank.next = late.bank;
        self.source_port.load_index.next =
            load && to.table == lit::<5>(table::INDICES + table::SOURCE_PORT);
        self.source_port.load_row.next =
            load && to.table == lit::<5>(table::ROWS + table::SOURCE_PORT);
        self.source_port.load_bank.next = to.at.bank;
        self.source_port.load_at.next = bit_cast::<LP, 14>(to.at.node);
        self.source_port.row.next = bit_cast::<RP, 12>(to.row);
        self.source_port.load_rules.next = self.load_rules.val();
        self.destination_port.bank.next = late.bank;
        self.destination_port.load_index.next =
            load && to.table == lit::<5>(table::INDICES + table::DESTINATION_PORT);
        self.destination_port.load_row.next =
            load && to.table == lit::<5>(table::ROWS + table::DESTINATION_PORT);
        self.destination_port.load_bank.next = to.at.bank;
        self.destination_port.load_at.next = bit_cast::<LP, 14>(to.at.node);
        self.destination_port.row.next = bit_cast::<RP, 12>(to.row);
        self.destination_port.load_rules.next = self.load_rules.val();
        self.protocol.bank.next = late.bank;
        self.protocol.load_index.next =
            load && to.table == lit::<5>(table::INDICES + table::PROTOCOL_FIELD);
        self.protocol.load_row.next =
            load && to.table == lit::<5>(table::ROWS + table::PROTOCOL_FIELD);
        self.protocol.load_bank.next = to.at.bank;
        self.protocol.load_at.next = bit_cast::<9, 14>(to.at.node);
        self.protocol.row.next = bit_cast::<6, 12>(to.row);
        self.protocol.load_rules.next = self.load_rules.val();
        self.vlan.bank.next = late.bank;
        self.vlan.load_index.next =
            load && to.table == lit::<5>(table::INDICES + table::VLAN_FIELD);
        self.vlan.load_row.next = load && to.table == lit::<5>(table::ROWS + table::VLAN_FIELD);
        self.vlan.load_bank.next = to.at.bank;
        self.vlan.load_at.next = bit_cast::<SHORT, 14>(to.at.node);
        self.vlan.row.next = bit_cast::<4, 12>(to.row);
        self.vlan.load_rules.next = self.load_rules.val();
        self.flags.bank.next = late.bank;
        self.flags.load_index.next =
            load && to.table == lit::<5>(table::INDICES + table::FLAGS_FIELD);
        self.flags.load_row.next = load && to.table == lit::<5>(table::ROWS + table::FLAGS_FIELD);
        self.flags.load_bank.next = to.at.bank;
        self.flags.load_at.next = bit_cast::<10, 14>(to.at.node);
        self.flags.row.next = bit_cast::<5, 12>(to.row);
        self.flags.load_rules.next = self.load_rules.val();
        self.side.bank.next = late.bank;
        self.side.load_index.next =
            load && to.table == lit::<5>(table::INDICES + table::SIDE_FIELD);
        self.side.load_row.next = load && to.table == lit::<5>(table::ROWS + table::SIDE_FIELD);
        self.side.load_bank.next = to.at.bank;
        self.side.load_at.next = bit_cast::<9, 14>(to.at.node);
        self.side.row.next = bit_cast::<7, 12>(to.row);
        self.side.load_rules.next = self.load_rules.val();
    }
}
