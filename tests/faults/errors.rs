//! What the host's software sees of errors: status bits, messages, the advanced error registers.

use nitor_abi::pci::{aer, express, status};
use nitor_driver::pci::PciFunction;
use nitor_sim::faults::Fault;
use nitor_sim::requester::RequestError;
use nitor_sim::tlp::{Header, Message};
use nitor_sim::{CARD_ID, ROOT_ID};

use super::link::{completion, payload, raw_tlp, refused, BOTH, WHOLE};
use super::scene::Scene;
use super::support;

/// What is logged as the header of the TLP that was wrong.
enum Log {
    /// Nothing is new.
    Nothing,
    /// The very TLP, but for the tag that the root complex gives its requests.
    Tlp(Header),
    /// A completion of the root complex's.
    Completion,
    /// Of a TLP that never came: zeros.
    Zeros,
}

struct Error {
    name: &'static str,
    commit: fn(&mut Scene) -> Log,
    device: u32,
    status: u32,
    uncorrectable: u32,
    message: Option<Message>,
}

/// A read of A's is answered like this.
fn answered(scene: &mut Scene, fault: Fault, log: Log) -> Log {
    payload(scene, fault, fault == Fault::Duplicate);
    log
}

fn sent(scene: &mut Scene, header: Header) -> Log {
    raw_tlp(scene, header, &vec![0xff; header.payload_len()]);
    Log::Tlp(header)
}

fn message(code: u32) -> Header {
    Header([0x3400_0000, u32::from(ROOT_ID) << 16 | code, 0x1234_0000, 0xdead_beef])
}

const ERRORS: &[Error] = &[
    Error {
        name: "write outside every BAR",
        commit: |scene| {
            let at = scene.bar() + 0x10_0000;
            sent(scene, Header::mem_write(ROOT_ID, 0x5a, at, 1, WHOLE))
        },
        device: express::NON_FATAL | express::UNSUPPORTED,
        status: 0,
        uncorrectable: aer::UNSUPPORTED,
        message: Some(Message::NonFatal),
    },
    Error {
        name: "read outside every BAR",
        commit: |scene| {
            let header = Header::mem_read(ROOT_ID, 0, scene.bar() + 0x10_0000, 1, WHOLE);
            refused(scene, header, &[], RequestError::Unsupported);
            Log::Tlp(header)
        },
        device: express::CORRECTABLE | express::UNSUPPORTED,
        status: 0,
        uncorrectable: aer::UNSUPPORTED,
        message: Some(Message::Correctable),
    },
    Error {
        name: "read of 64 bytes of registers",
        commit: |scene| {
            let header = Header::mem_read(ROOT_ID, 0, scene.bar(), 16, BOTH);
            refused(scene, header, &[], RequestError::Aborted);
            Log::Tlp(header)
        },
        device: express::CORRECTABLE,
        status: status::SIGNALED_TARGET_ABORT,
        uncorrectable: aer::ABORTED,
        message: Some(Message::Correctable),
    },
    Error {
        name: "poisoned write to a doorbell",
        commit: |scene| {
            let at = scene.bar() + u64::from(scene.a.tx.doorbell);
            sent(scene, Header::mem_write(ROOT_ID, 1, at, 1, WHOLE).with_poison())
        },
        device: express::NON_FATAL,
        status: status::DETECTED_PARITY,
        uncorrectable: aer::POISONED,
        message: Some(Message::NonFatal),
    },
    Error {
        name: "poisoned configuration write",
        commit: |scene| {
            let header = Header::config_write(ROOT_ID, 0, CARD_ID, 0x3c, 1).with_poison();
            refused(scene, header, &[0xee; 4], RequestError::Unsupported);
            assert_eq!(scene.raw.function.config_read(0x3c) & 0xff, 0);
            Log::Tlp(header)
        },
        device: express::NON_FATAL,
        status: status::DETECTED_PARITY,
        uncorrectable: aer::POISONED,
        message: Some(Message::NonFatal),
    },
    Error {
        name: "write across 4 KiB",
        commit: |scene| {
            let at = scene.bar() + 0xffc;
            sent(scene, Header::mem_write(ROOT_ID, 2, at, 2, BOTH))
        },
        device: express::FATAL,
        status: 0,
        uncorrectable: aer::MALFORMED,
        message: Some(Message::Fatal),
    },
    Error {
        name: "write of more than the largest payload in force",
        commit: |scene| {
            let at = scene.bar() + u64::from(scene.a.tx.doorbell);
            sent(scene, Header::mem_write(ROOT_ID, 3, at, 65, BOTH))
        },
        device: express::FATAL,
        status: 0,
        uncorrectable: aer::MALFORMED,
        message: Some(Message::Fatal),
    },
    Error {
        name: "a vendor's message of type 0",
        commit: |scene| sent(scene, message(0x7e)),
        device: express::NON_FATAL | express::UNSUPPORTED,
        status: 0,
        uncorrectable: aer::UNSUPPORTED,
        message: Some(Message::NonFatal),
    },
    Error {
        name: "a vendor's message of type 1",
        commit: |scene| {
            sent(scene, message(0x7f));
            Log::Nothing
        },
        device: 0,
        status: 0,
        uncorrectable: 0,
        message: None,
    },
    Error {
        name: "completion poisoned",
        commit: |scene| answered(scene, Fault::Poison, Log::Completion),
        device: express::NON_FATAL,
        status: status::DETECTED_PARITY | status::MASTER_DATA_PARITY,
        uncorrectable: aer::POISONED,
        message: Some(Message::NonFatal),
    },
    Error {
        name: "completion with status unsupported request",
        commit: |scene| answered(scene, Fault::UnsupportedRequest, Log::Nothing),
        device: 0,
        status: status::RECEIVED_MASTER_ABORT,
        uncorrectable: 0,
        message: None,
    },
    Error {
        name: "completion with status completer abort",
        commit: |scene| answered(scene, Fault::CompleterAbort, Log::Nothing),
        device: 0,
        status: status::RECEIVED_TARGET_ABORT,
        uncorrectable: 0,
        message: None,
    },
    Error {
        name: "completion missing",
        commit: |scene| answered(scene, Fault::Drop, Log::Zeros),
        device: express::NON_FATAL,
        status: 0,
        uncorrectable: aer::TIMEOUT,
        message: Some(Message::NonFatal),
    },
    Error {
        name: "completion twice",
        commit: |scene| answered(scene, Fault::Duplicate, Log::Completion),
        device: express::CORRECTABLE,
        status: 0,
        uncorrectable: aer::UNEXPECTED,
        message: Some(Message::Correctable),
    },
    Error {
        name: "completion that nobody asked for",
        commit: |scene| {
            let header = completion(9, 0x1234);
            raw_tlp(scene, header, &[1, 2, 3, 4]);
            Log::Tlp(header)
        },
        device: express::CORRECTABLE,
        status: 0,
        uncorrectable: aer::UNEXPECTED,
        message: Some(Message::Correctable),
    },
];

const COMMAND: u16 = 4;
const ANSWER_PARITY: u32 = 1 << 6;

fn log(scene: &Scene) -> [u32; 4] {
    [0, 4, 8, 12].map(|at| scene.raw.function.config_read(aer::AT + aer::LOG + at))
}

/// Everything that could tell of an error is cleared.
fn clear(scene: &mut Scene, device: u16) {
    let function = &scene.raw.function;
    for at in [COMMAND, device, aer::AT + aer::STATUS, aer::AT + aer::CORRECTABLE_STATUS] {
        function.config_write(at, function.config_read(at));
    }
    scene.root(|root, _| root.errors.clear());
}

fn check(scene: &mut Scene, device: u16, error: &Error) {
    clear(scene, device);
    let before = log(scene);
    let wrong = (error.commit)(scene);
    let read = |at: u16| scene.raw.function.config_read(at);
    // Of reads that are under way it tells too.
    assert_eq!(read(device) >> 16 & 0xf, error.device >> 16, "Device Status");
    assert_eq!(read(COMMAND) & status::ALL, error.status, "Status");
    assert_eq!(read(aer::AT + aer::STATUS), error.uncorrectable, "uncorrectable errors");
    let advisory = error.message == Some(Message::Correctable);
    let correctable = if advisory { aer::ADVISORY } else { 0 };
    assert_eq!(read(aer::AT + aer::CORRECTABLE_STATUS), correctable, "correctable errors");
    if error.uncorrectable != 0 {
        let first = read(aer::AT + aer::CONTROL) & 31;
        assert_eq!(1 << first, error.uncorrectable, "first error");
    }
    let log = log(scene);
    match wrong {
        Log::Nothing => assert_eq!(log, before),
        Log::Tlp(Header([a, b, c, d])) => {
            // Where there is a tag: a message has one, too.
            assert_eq!([log[0], log[1] & !0xff00, log[2], log[3]], [a, b & !0xff00, c, d]);
        }
        Log::Completion => {
            let fields = Header(log).completion_fields();
            assert_eq!((log[0] >> 24, fields.requester), (0x4a, CARD_ID), "{log:x?}");
            assert_eq!(Header(log).poisoned(), error.uncorrectable == aer::POISONED);
        }
        Log::Zeros => assert_eq!(log, [0; 4]),
    }
    let said: Vec<_> = scene.root(|root, _| root.errors.drain(..).collect());
    let said: Vec<_> = said.into_iter().map(|error| (error.error, error.requester)).collect();
    assert_eq!(said, Vec::from_iter(error.message.map(|error| (error, CARD_ID))));
}

/// Each error by itself, with everything reported; then a read that is under way.
#[test]
fn errors_are_told() {
    for width in [128, 512] {
        let mut scene = Scene::new(width, support::seed(1500), |host| host);
        let at = scene.root(|root, _| root.function.express.unwrap());
        let device = at + express::DEVICE_CONTROL;
        let function = &scene.raw.function;
        function.config_write(device, function.config_read(device) | express::REPORT_ALL);
        function.config_write(COMMAND, function.config_read(COMMAND) | ANSWER_PARITY);
        function.config_write(aer::AT + aer::CORRECTABLE_MASK, 0);
        assert_eq!(function.config_read(aer::AT) as u16, aer::ID);
        for error in ERRORS {
            println!("{width} bits: {}", error.name);
            check(&mut scene, device, error);
        }
        scene.a_works();
        reads_are_pending(&mut scene, device);
        scene.assert_clean_but(&[]);
    }
}

/// Transactions Pending, from when a read is sent until it is given up.
fn reads_are_pending(scene: &mut Scene, device: u16) {
    scene.raw.step(300_000);
    let pending =
        |scene: &Scene| scene.raw.function.config_read(device) & express::TRANSACTIONS_PENDING != 0;
    assert!(!pending(scene));
    scene.fault_in_payload(Fault::Drop, nitor_sim::faults::When::Nth(0));
    let frame = super::scene::plain(&mut scene.rng, 100);
    scene.a.send(&scene.raw, &frame);
    scene.raw.step(5_000);
    assert!(pending(scene));
    scene.raw.step(40_000);
    assert!(!pending(scene), "its tag rests, but nobody waits for it");
    scene.no_more_faults();
    scene.a.tx.next(&scene.raw);
}
