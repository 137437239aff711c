//! Rules of TLPs: cards that send and answer wrongly.

use nitor_sim::checker::Rule;
use nitor_sim::faults::{self, Fault, When};
use nitor_sim::iommu::Permission;
use nitor_sim::memory::Block;
use nitor_sim::requester::Request;
use nitor_sim::root::Bar;
use nitor_sim::tlp::{ByteEnables, CompletionFields, Header, Message, Status};
use nitor_sim::{HostConfig, World, CARD_ID, ROOT_ID};

use super::{broken, only, write, Case, MEMORY, ONE, WHOLE};
use crate::card::{Op, SoftCard};

/// The same memory, for addresses of 32 bits.
const LOW: u64 = 0x10_0000;
const BAR: u64 = 0xc000_0000;
const WINDOW: u64 = 0xfee0_0000;

struct Tlp {
    at: u64,
    header: Header,
    payload: Vec<u8>,
}

fn tlp(at: u64, header: Header) -> Tlp {
    Tlp { at, header, payload: vec![0; header.payload_len()] }
}

/// TLPs of a card and when it sends them, what the host asks of it before, and what else is so.
#[derive(Default)]
struct Play {
    tlps: Vec<Tlp>,
    asks: Vec<Request>,
    host: Option<fn(&mut World)>,
    cycles: u64,
}

fn play(tlps: Vec<Tlp>) -> Play {
    Play { tlps, ..Play::default() }
}

fn one(header: Header) -> Play {
    play(vec![tlp(0, header)])
}

impl Play {
    fn with(self, host: fn(&mut World)) -> Self {
        Play { host: Some(host), ..self }
    }

    fn run(self) -> Vec<Rule> {
        let raw = |Tlp { at, header, payload }| (at, Op::Raw { header, payload });
        let plan = self.tlps.into_iter().map(raw);
        let (card, _) = SoftCard::new(plan.collect(), 1);
        let mut world = World::new(1);
        world.add_host_with(card, HostConfig::new(128)).unwrap();
        let block = Block::new(0x4000, 4096);
        let root = &mut world.host_mut(0).root;
        for at in [MEMORY, LOW] {
            assert!(root.iommu.map_at(CARD_ID, at, &block, 0, 0x4000, Permission::ReadWrite));
        }
        root.function.bars[0] = Some(Bar { base: BAR, size: 0x4000 });
        root.function.express = Some(0x60);
        root.interrupts.enable(2);
        let limits = &mut root.checker.limits;
        limits.captured = true;
        (limits.bus_master_off, limits.extended_tags_off) = (None, None);
        limits.reports_off = [None; 3];
        if let Some(host) = self.host {
            host(&mut world);
        }
        for ask in &self.asks {
            world.host_mut(0).root.submit(0, ask).unwrap();
        }
        world.step(self.cycles.max(2_000));
        broken(&world)
    }
}

fn read(address: u64, dwords: u32) -> Header {
    let enables = if dwords == 1 { ONE } else { WHOLE };
    Header::mem_read(CARD_ID, 9, address, dwords, enables)
}

fn error(message: Message) -> Header {
    Header::error_message(CARD_ID, message)
}

fn bits(header: Header, dword: usize, bits: u32) -> Header {
    let mut header = header;
    header.0[dword] |= bits;
    header
}

/// The answer to the host's first request, of 4 bytes at the beginning of BAR 0.
const ANSWER: CompletionFields = CompletionFields {
    completer: CARD_ID,
    status: Status::Success,
    byte_count: 4,
    requester: ROOT_ID,
    tag: 0,
    lower_address: 0,
};

fn completion(fields: CompletionFields) -> Header {
    Header::completion(fields, 1)
}

/// The host reads `len` bytes of the card, and gets these.
fn answers(len: u32, headers: &[Header]) -> Play {
    let tlps = headers.iter().map(|&header| tlp(100, header)).collect();
    Play { asks: vec![Request::MemRead { address: BAR, len }], ..play(tlps) }
}

/// The host writes to configuration space, and gets this.
fn configured(header: Header) -> Play {
    let ask = Request::ConfigWrite { offset: 4, value: 6, enables: 0xf };
    Play { asks: vec![ask], ..play(vec![tlp(100, header)]) }
}

fn twice(header: Header, gap: u64) -> Play {
    Play { cycles: gap + 2_000, ..play(vec![tlp(0, header), tlp(gap, header)]) }
}

fn drop_reads(world: &mut World) {
    world.host_mut(0).root.faults.add(faults::Rule::new(Fault::Drop, When::Nth(0)));
}

fn cut_reads(fault: Fault) -> faults::Rule {
    faults::Rule::new(fault, When::Nth(0))
}

/// The host resets the device and reads its status, twice; the card writes to memory afterwards.
fn write_after_reset(statuses: [u8; 2]) -> Play {
    let status = |tag: u8| {
        let header = completion(CompletionFields { tag, lower_address: 0x58, ..ANSWER });
        let payload = vec![statuses[usize::from(tag)], 0, 0, 0];
        Tlp { at: 100 * (1 + u64::from(tag)), header, payload }
    };
    let ask = || Request::MemRead { address: BAR + 0x58, len: 4 };
    let tlps = vec![status(0), status(1), tlp(400, write(MEMORY, 1))];
    Play { asks: vec![ask(), ask()], ..play(tlps) }
        .with(|world| world.post_write(0, BAR + 0x54, &1u32.to_le_bytes()))
}

const DEVICE_CONTROL: u16 = 0x68;

/// The host writes two words to configuration space, one after the other, and the card sends
/// `header` at a cycle.
fn configured_twice(writes: fn(&mut World), at: u64, header: Header) -> Play {
    let ended = |tag| Header::completion(CompletionFields { tag, ..ANSWER }, 0);
    let tlps = vec![tlp(100, ended(0)), tlp(300, ended(1)), tlp(at, header)];
    Play { cycles: at + 2_000, ..play(tlps) }.with(writes)
}

fn set(world: &mut World, offset: u16, value: u32) {
    let now = world.now();
    let ask = Request::ConfigWrite { offset, value, enables: 0xf };
    world.host_mut(0).root.submit(now, &ask).unwrap();
    world.step(200);
}

pub const CASES: &[Case] = &[
    (None, "a read and a write", || {
        play(vec![tlp(0, read(MEMORY, 1)), tlp(1, write(MEMORY, 64))]).run()
    }),
    (Some(Rule::TlpFraming), "bytes that the header has not", || {
        play(vec![Tlp { payload: vec![0; 4], ..tlp(0, write(MEMORY, 2)) }]).run()
    }),
    (Some(Rule::Kind), "a configuration request", || {
        one(Header::config_read(CARD_ID, 0, 0, 0)).run()
    }),
    (Some(Rule::Kind), "a locked read", || one(bits(read(MEMORY, 1), 0, 1 << 24)).run()),
    (Some(Rule::Kind), "an addition", || one(bits(read(MEMORY, 1), 0, 0x4c << 24)).run()),
    (Some(Rule::Reserved), "bit 23", || one(bits(read(MEMORY, 1), 0, 1 << 23)).run()),
    (Some(Rule::Reserved), "bit 19", || one(bits(write(MEMORY, 1), 0, 1 << 19)).run()),
    (Some(Rule::Reserved), "order by id", || one(bits(write(MEMORY, 1), 0, 1 << 18)).run()),
    (Some(Rule::Reserved), "bit 17", || one(bits(read(MEMORY, 1), 0, 1 << 17)).run()),
    (Some(Rule::Reserved), "a hint", || one(bits(read(MEMORY, 1), 0, 1 << 16)).run()),
    (Some(Rule::Reserved), "the low bits of an address", || one(bits(read(MEMORY, 1), 3, 2)).run()),
    (Some(Rule::Reserved), "the low bits of a short address", || {
        one(bits(read(LOW, 1), 2, 1)).run()
    }),
    (Some(Rule::Reserved), "byte count modified", || {
        answers(4, &[bits(completion(ANSWER), 1, 1 << 12)]).run()
    }),
    (Some(Rule::Reserved), "bit 7 of a lower address", || {
        answers(4, &[bits(completion(ANSWER), 2, 1 << 7)]).run()
    }),
    (Some(Rule::Reserved), "address type of a completion", || {
        answers(4, &[bits(completion(ANSWER), 0, 1 << 10)]).run()
    }),
    (Some(Rule::Reserved), "length without data", || {
        configured(bits(Header::completion(ANSWER, 0), 0, 1)).run()
    }),
    (Some(Rule::Reserved), "length of a message", || one(bits(error(Message::Fatal), 0, 1)).run()),
    (Some(Rule::Reserved), "more of a message", || one(bits(error(Message::Fatal), 3, 1)).run()),
    (Some(Rule::TrafficClass), "class 1", || one(bits(write(MEMORY, 1), 0, 1 << 20)).run()),
    (Some(Rule::Digest), "a digest", || one(bits(write(MEMORY, 1), 0, 1 << 15)).run()),
    (Some(Rule::Poisoned), "a poisoned write", || one(write(MEMORY, 1).with_poison()).run()),
    (Some(Rule::Poisoned), "a poisoned completion", || {
        answers(4, &[completion(ANSWER).with_poison()]).run()
    }),
    (Some(Rule::Attributes), "relaxed order", || one(bits(write(MEMORY, 1), 0, 1 << 13)).run()),
    (Some(Rule::Attributes), "no snoop", || one(bits(read(MEMORY, 1), 0, 1 << 12)).run()),
    (None, "holes in one dword", || {
        one(Header::mem_write(CARD_ID, 0, MEMORY, 1, ByteEnables { first: 5, last: 0 })).run()
    }),
    (Some(Rule::ByteEnables), "of one dword in two", || {
        one(Header::mem_read(CARD_ID, 9, MEMORY, 2, ONE)).run()
    }),
    (Some(Rule::ByteEnables), "of two dwords in one", || {
        one(Header::mem_write(CARD_ID, 0, MEMORY, 1, WHOLE)).run()
    }),
    (Some(Rule::ByteEnables), "holes in three", || {
        one(Header::mem_write(CARD_ID, 0, MEMORY, 3, ByteEnables { first: 5, last: 1 })).run()
    }),
    (None, "to the end of a page", || one(write(MEMORY + 0xff8, 2)).run()),
    (Some(Rule::Crosses4K), "a read", || one(read(MEMORY + 0xffc, 2)).run()),
    (Some(Rule::Crosses4K), "a write", || one(write(MEMORY + 0xff8, 3)).run()),
    (None, "a short address", || one(write(LOW, 1)).run()),
    (Some(Rule::AddressForm), "a long one that need not be", || {
        let header = bits(write(LOW, 1), 0, 1 << 29);
        one(Header([header.0[0], header.0[1], 0, LOW as u32])).run()
    }),
    (Some(Rule::AddressType), "a translated one", || one(bits(read(MEMORY, 1), 0, 2 << 10)).run()),
    (None, "the largest payload and read", || {
        play(vec![tlp(0, write(MEMORY, 64)), tlp(1, read(MEMORY, 128))]).run()
    }),
    (Some(Rule::MaxPayload), "a write", || one(write(MEMORY, 65)).run()),
    (Some(Rule::MaxPayload), "a completion", || {
        answers(512, &[Header::completion(CompletionFields { byte_count: 512, ..ANSWER }, 128)])
            .run()
    }),
    (Some(Rule::MaxReadRequest), "a read", || one(read(MEMORY, 129)).run()),
    (Some(Rule::Requester), "a message", || {
        one(Header::error_message(CARD_ID + 1, Message::Fatal)).run()
    }),
    (Some(Rule::Requester), "a read of nothing", || {
        one(Header::mem_read(CARD_ID + 1, 9, MEMORY, 1, ByteEnables { first: 0, last: 0 })).run()
    }),
    (Some(Rule::Completer), "another", || {
        answers(4, &[completion(CompletionFields { completer: 0x200, ..ANSWER })]).run()
    }),
    (Some(Rule::Completer), "none, though it knows", || {
        answers(4, &[completion(CompletionFields { completer: 0, ..ANSWER })]).run()
    }),
    (None, "none, as it can't know", || {
        let header = completion(CompletionFields { completer: 0, ..ANSWER });
        answers(4, &[header])
            .with(|world| world.host_mut(0).root.checker.limits.captured = false)
            .run()
    }),
    (None, "tag 31 without extended tags", || {
        let header = Header::mem_read(CARD_ID, 31, MEMORY, 1, ONE);
        one(header)
            .with(|world| world.host_mut(0).root.checker.limits.extended_tags_off = Some(0))
            .run()
    }),
    (Some(Rule::ExtendedTag), "tag 32 without extended tags", || {
        let header = Header::mem_read(CARD_ID, 32, MEMORY, 1, ONE);
        one(header)
            .with(|world| world.host_mut(0).root.checker.limits.extended_tags_off = Some(0))
            .run()
    }),
    (None, "tag 32 once the host lets it", || {
        configured_twice(
            |world| {
                world.host_mut(0).root.checker.limits.extended_tags_off = Some(0);
                set(world, DEVICE_CONTROL, 0x2910);
                set(world, 4, 6);
            },
            400,
            Header::mem_read(CARD_ID, 32, MEMORY, 1, ONE),
        )
        .run()
    }),
    (Some(Rule::ExtendedTag), "tag 255 long after the host has forbidden it", || {
        configured_twice(
            |world| {
                set(world, DEVICE_CONTROL, 0x2910);
                set(world, DEVICE_CONTROL, 0x2810);
            },
            20_000,
            Header::mem_read(CARD_ID, 255, MEMORY, 1, ONE),
        )
        .run()
    }),
    (None, "a tag after its answer", || twice(read(MEMORY, 1), 1_000).run()),
    (Some(Rule::TagReuse), "a tag before its answer", || twice(read(MEMORY, 1), 100).run()),
    (None, "the tag of a read that was lost, late", || {
        twice(read(MEMORY, 1), 100_000).with(drop_reads).run()
    }),
    (Some(Rule::TagRest), "the tag of a read that was lost", || {
        twice(read(MEMORY, 1), 99_999).with(drop_reads).run()
    }),
    (Some(Rule::TagRest), "of one with half an answer", || {
        twice(read(MEMORY, 128), 50_000)
            .with(|world| {
                world.host_mut(0).root.faults.add(cut_reads(Fault::DropRest));
            })
            .run()
    }),
    (Some(Rule::TagRest), "of one with another requester's answer", || {
        twice(read(MEMORY, 1), 50_000)
            .with(|world| {
                world.host_mut(0).root.faults.add(cut_reads(Fault::WrongRequester));
            })
            .run()
    }),
    (Some(Rule::TagRest), "of one whose answer is short", || {
        twice(read(MEMORY, 2), 50_000)
            .with(|world| {
                world.host_mut(0).root.faults.add(cut_reads(Fault::WrongLength));
            })
            .run()
    }),
    (Some(Rule::BusMaster), "a read", || {
        one(read(MEMORY, 1))
            .with(|world| world.host_mut(0).root.checker.limits.bus_master_off = Some(0))
            .run()
    }),
    (None, "a message without bus mastering", || {
        one(error(Message::Fatal))
            .with(|world| {
                world.host_mut(0).root.checker.limits.bus_master_off = Some(0);
            })
            .run()
    }),
    (Some(Rule::Quiet), "a write where a test knows better", || {
        one(write(MEMORY, 1)).with(|world| world.host_mut(0).root.checker.expect_quiet = true).run()
    }),
    (None, "a write while a reset goes on", || write_after_reset([9, 9]).run()),
    (Some(Rule::Quiet), "a write after a reset", || write_after_reset([9, 1]).run()),
    (Some(Rule::Quiet), "a write after a function-level reset", || {
        configured_twice(
            |world| {
                set(world, DEVICE_CONTROL, 0xa910);
                set(world, 4, 6);
            },
            400,
            write(MEMORY, 1),
        )
        .run()
    }),
    (Some(Rule::BusMaster), "a write long after a function-level reset", || {
        configured_twice(
            |world| {
                set(world, DEVICE_CONTROL, 0xa910);
                set(world, 0x3c, 1);
            },
            26_000,
            write(MEMORY, 1),
        )
        .run()
    }),
    (Some(Rule::Unmapped), "a read", || one(read(MEMORY + 0x4000, 1)).run()),
    (Some(Rule::Unmapped), "a write", || one(write(MEMORY - 4, 1)).run()),
    (Some(Rule::Unmapped), "another function's memory", || {
        only(Rule::Unmapped, one(Header::mem_write(CARD_ID + 1, 0, MEMORY, 1, ONE)).run())
    }),
    (Some(Rule::Interrupt), "another data", || one(write(WINDOW, 1)).run()),
    (Some(Rule::Interrupt), "half a dword", || {
        one(Header::mem_write(CARD_ID, 0, WINDOW, 1, ByteEnables { first: 3, last: 0 })).run()
    }),
    (None, "errors of all kinds", || {
        play(vec![
            tlp(0, error(Message::Correctable)),
            tlp(1, error(Message::NonFatal)),
            tlp(2, error(Message::Fatal)),
        ])
        .run()
    }),
    (Some(Rule::Message), "of a code that is no error", || {
        one(Header([0x3000_0000, u32::from(CARD_ID) << 16 | 0x18, 0, 0])).run()
    }),
    (Some(Rule::Message), "an error to everyone", || {
        one(bits(error(Message::Fatal), 0, 3 << 24)).run()
    }),
    (Some(Rule::Message), "an error with data", || {
        one(bits(error(Message::Fatal), 0, 1 << 30 | 1)).run()
    }),
    (None, "a fatal error that the command register lets it tell of", || {
        configured_twice(
            |world| {
                world.host_mut(0).root.checker.limits.reports_off = [Some(0); 3];
                set(world, 4, 0x106);
                set(world, DEVICE_CONTROL, 0x2910);
            },
            20_000,
            error(Message::Fatal),
        )
        .run()
    }),
    (None, "a correctable error that device control lets it tell of", || {
        configured_twice(
            |world| {
                world.host_mut(0).root.checker.limits.reports_off = [Some(0); 3];
                set(world, DEVICE_CONTROL, 0x2911);
                set(world, 4, 6);
            },
            20_000,
            error(Message::Correctable),
        )
        .run()
    }),
    (Some(Rule::Reporting), "a non-fatal error long after the host has forbidden it", || {
        configured_twice(
            |world| {
                set(world, DEVICE_CONTROL, 0x2912);
                set(world, DEVICE_CONTROL, 0x2915);
            },
            20_000,
            error(Message::NonFatal),
        )
        .run()
    }),
    (Some(Rule::Reporting), "a correctable error", || {
        one(error(Message::Correctable))
            .with(|world| {
                world.host_mut(0).root.checker.limits.reports_off = [Some(0), None, None];
            })
            .run()
    }),
    (Some(Rule::Reporting), "a fatal error", || {
        one(error(Message::Fatal))
            .with(|world| {
                world.host_mut(0).root.checker.limits.reports_off = [None, None, Some(0)];
            })
            .run()
    }),
    (None, "an answer", || answers(4, &[completion(ANSWER)]).run()),
    (None, "one in two", || {
        answers(
            128,
            &[
                Header::completion(CompletionFields { byte_count: 128, ..ANSWER }, 16),
                Header::completion(
                    CompletionFields { byte_count: 64, lower_address: 64, ..ANSWER },
                    16,
                ),
            ],
        )
        .run()
    }),
    (None, "a refusal", || {
        answers(
            4,
            &[Header::completion(
                CompletionFields { status: Status::UnsupportedRequest, ..ANSWER },
                0,
            )],
        )
        .run()
    }),
    (None, "the end of a write", || configured(Header::completion(ANSWER, 0)).run()),
    (Some(Rule::Unasked), "before anything is asked", || one(completion(ANSWER)).run()),
    (Some(Rule::Unasked), "twice", || answers(4, &[completion(ANSWER), completion(ANSWER)]).run()),
    (Some(Rule::Unasked), "of another tag", || {
        answers(4, &[completion(CompletionFields { tag: 1, ..ANSWER })]).run()
    }),
    (Some(Rule::Unasked), "of another requester", || {
        answers(4, &[completion(CompletionFields { requester: 8, ..ANSWER })]).run()
    }),
    (Some(Rule::CompletionClass), "a class nobody asked with", || {
        answers(4, &[bits(completion(ANSWER), 0, 1 << 20)]).run()
    }),
    (Some(Rule::CompletionClass), "an order nobody asked for", || {
        answers(4, &[bits(completion(ANSWER), 0, 1 << 13)]).run()
    }),
    (Some(Rule::CompletionClass), "a class not copied", || {
        classed(bits(completion(ANSWER), 0, 1 << 12)).run()
    }),
    (Some(Rule::CompletionClass), "attributes not copied", || {
        classed(bits(completion(ANSWER), 0, 5 << 20)).run()
    }),
    (None, "class and attributes copied", || {
        classed(bits(completion(ANSWER), 0, 5 << 20 | 1 << 12)).run()
    }),
    (Some(Rule::CompletionStatus), "a reserved one", || {
        answers(
            4,
            &[Header::completion(CompletionFields { status: Status::Reserved(3), ..ANSWER }, 0)],
        )
        .run()
    }),
    (Some(Rule::CompletionStatus), "retry of memory", || {
        answers(
            4,
            &[Header::completion(CompletionFields { status: Status::ConfigRetry, ..ANSWER }, 0)],
        )
        .run()
    }),
    (None, "retry of configuration", || {
        configured(Header::completion(
            CompletionFields { status: Status::ConfigRetry, ..ANSWER },
            0,
        ))
        .run()
    }),
    (Some(Rule::CompletionStatus), "data and a refusal", || {
        answers(4, &[completion(CompletionFields { status: Status::UnsupportedRequest, ..ANSWER })])
            .run()
    }),
    (Some(Rule::ByteCount), "of less", || {
        answers(4, &[completion(CompletionFields { byte_count: 3, ..ANSWER })]).run()
    }),
    (Some(Rule::ByteCount), "of a write", || {
        configured(Header::completion(CompletionFields { byte_count: 1, ..ANSWER }, 0)).run()
    }),
    (Some(Rule::LowerAddress), "of another dword", || {
        answers(4, &[completion(CompletionFields { lower_address: 4, ..ANSWER })]).run()
    }),
    (Some(Rule::CompletionLength), "no data", || {
        answers(4, &[Header::completion(ANSWER, 0)]).run()
    }),
    (Some(Rule::CompletionLength), "a dword more", || {
        answers(4, &[Header::completion(ANSWER, 2)]).run()
    }),
    (Some(Rule::CompletionLength), "data for a write", || configured(completion(ANSWER)).run()),
    (Some(Rule::Boundary), "an end between", || {
        answers(128, &[Header::completion(CompletionFields { byte_count: 128, ..ANSWER }, 8)]).run()
    }),
    (Some(Rule::Timeout), "no answer", || Play { cycles: 20_000, ..answers(4, &[]) }.run()),
];

/// The host reads with class 5 and no snooping, and gets this.
fn classed(header: Header) -> Play {
    let asked = bits(Header::mem_read(ROOT_ID, 0, BAR, 1, ONE), 0, 5 << 20 | 1 << 12);
    let ask = Request::Raw { header: asked, payload: vec![] };
    Play { asks: vec![ask], ..play(vec![tlp(100, header)]) }
}
