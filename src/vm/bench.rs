//! `nitor vm --bench`: measures a guest with the Verilated card, and the same guest with a network
//! card that QEMU emulates.

use crate::report::{self, grouped, Failure, Table};
use crate::vm::guest::{is_no_end, Guest};
use crate::vm::lab::{self, Lab, Plan};
use crate::{signals, Outcome};
use nitor_vfio::peer::{Peer, MAC};
use serde::Serialize;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Of one network card. Time is the wall's.
#[derive(Clone, Copy, Serialize)]
struct Figures {
    tcp_sent_mbps: f64,
    tcp_received_mbps: f64,
    /// Of 1,400 bytes each, from the guest.
    udp_packets_per_second: f64,
}

#[derive(Serialize)]
struct Report {
    kernel: String,
    /// The card's name.
    model: &'static str,
    width: usize,
    card: Figures,
    /// Of all three parts.
    card_cycles: u64,
    cycles_per_second: u64,
    cycles_per_processor_second: u64,
    cycles_per_udp_packet: f64,
    e1000e: Figures,
    /// How many times faster the guest is with the emulated card.
    ratio: Figures,
}

/// Both cards have a driver in it.
const KERNEL: &str = "6.1-generic";
const PATIENCE: Duration = Duration::from_secs(600);

/// How much is sent and received.
struct Load {
    tcp_kib: u64,
    datagrams: u64,
}

fn timed(guest: &mut Guest, command: &str) -> Result<f64, Failure> {
    let begin = Instant::now();
    let ran = guest.run(command, PATIENCE)?;
    match ran.status {
        0 => Ok(begin.elapsed().as_secs_f64()),
        status => Err(Failure::Check(format!("{command}: {status}: {}", ran.output.trim()))),
    }
}

fn sent(kib: u64) -> String {
    format!("nc -w 60 10.77.0.1 9 </tmp/file.{kib}")
}

fn received(kib: u64) -> String {
    format!(
        "[ $(nc 10.77.0.1 19 </dev/null 2>/dev/null | head -c {} | wc -c) = {} ]",
        kib * 1024,
        kib * 1024
    )
}

/// The kernel's own packet generator.
fn generate(datagrams: u64) -> String {
    let [a, b, c, d, e, f] = MAC;
    format!(
        "insmod /lib/modules/pktgen.ko; P=/proc/net/pktgen; echo add_device eth0 >$P/kpktgend_0 && \
         for s in 'count {datagrams}' 'pkt_size 1442' 'delay 0' 'dst 10.77.0.1' \
         'dst_mac {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}' 'udp_dst_min 9' 'udp_dst_max 9'; do echo $s >$P/eth0; done; \
         echo start >$P/pgctrl && grep -q 'errors: 0' $P/eth0"
    )
}

/// Runs the three loads; `arrived` tells how many datagrams have come.
fn measure(
    guest: &mut Guest,
    load: &Load,
    arrived: &mut dyn FnMut() -> Result<u64, Failure>,
) -> Result<Figures, Failure> {
    let kib = load.tcp_kib;
    timed(
        guest,
        &format!("ping -c 2 -i 0.2 10.77.0.1; head -c {kib}k /dev/zero >/tmp/file.{kib}"),
    )?;
    let megabits = kib as f64 * 8192.0 / 1e6;
    let tcp_sent_mbps = megabits / timed(guest, &sent(kib))?;
    let tcp_received_mbps = megabits / timed(guest, &received(kib))?;
    let before = arrived()?;
    let begin = Instant::now();
    timed(guest, &generate(load.datagrams))?;
    // The last datagrams are still in flight.
    while arrived()? - before < load.datagrams {
        if begin.elapsed() > PATIENCE {
            let came = arrived()? - before;
            return Err(Failure::Check(format!("{came} datagrams of {} came", load.datagrams)));
        }
        signals::check(|| "datagrams were on their way".into())?;
        thread::sleep(Duration::from_millis(5));
    }
    let udp_packets_per_second = load.datagrams as f64 / begin.elapsed().as_secs_f64();
    Ok(Figures { tcp_sent_mbps, tcp_received_mbps, udp_packets_per_second })
}

/// The peer at the far end of a socket that carries a frame a datagram.
struct Wire {
    stop: Arc<AtomicBool>,
    datagrams: Arc<AtomicU64>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Wire {
    fn new(ours: &Path, theirs: &Path) -> std::io::Result<Self> {
        let socket = UnixDatagram::bind(ours)?;
        socket.set_read_timeout(Some(Duration::from_millis(1)))?;
        let (stop, datagrams) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (theirs, stopped, count) = (theirs.to_path_buf(), stop.clone(), datagrams.clone());
        let thread = thread::spawn(move || {
            let (mut peer, begin) = (Peer::new(), Instant::now());
            let mut frame = vec![0; 65_536];
            while !stopped.load(Ordering::Relaxed) {
                match socket.recv(&mut frame) {
                    Ok(len) => peer.receive(frame[..len].to_vec()),
                    Err(e) if is_no_end(&e) => {}
                    Err(_) => return,
                }
                peer.poll(begin.elapsed());
                while let Some(frame) = peer.next_frame() {
                    // A frame without room is lost, as on a wire.
                    let _ = socket.send_to(&frame, &theirs);
                }
                count.store(peer.stats.datagrams, Ordering::Relaxed);
            }
        });
        Ok(Wire { stop, datagrams, thread: Some(thread) })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn emulated(load: &Load) -> Result<Figures, Failure> {
    let folder = lab::folder()?;
    let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
    let wire = Wire::new(&ours, &theirs)
        .map_err(|e| Failure::Environment(format!("{}: {e}", ours.display())))?;
    let net = format!(
        "dgram,id=n0,local.type=unix,local.path={},remote.type=unix,remote.path={}",
        theirs.display(),
        ours.display()
    );
    let more = ["-netdev", &net, "-device", "e1000e,netdev=n0,mac=02:4e:49:54:01:00"];
    let mut guest = lab::plain(KERNEL, folder.path(), &more)?;
    timed(&mut guest, &crate::vm::up("e1000e", 0))?;
    timed(&mut guest, "for i in $(seq 100); do [ $(cat /sys/class/net/eth0/carrier) = 1 ] && break; usleep 50000; done")?;
    let figures = measure(&mut guest, load, &mut || Ok(wire.datagrams.load(Ordering::Relaxed)))?;
    guest.shut_down();
    Ok(figures)
}

pub fn run(plan: &Plan, kib: u64, json: bool) -> Outcome {
    let plan = Plan { kernel: KERNEL.into(), ..plan.clone() };
    let mut lab = Lab::open(&plan)?;
    let mut guest = lab.guests.remove(0);
    timed(&mut guest, &crate::vm::up("ena", 0))?;
    let load = Load { tcp_kib: kib, datagrams: 4_000 };
    let before = lab.summary()?;
    let mut at_udp = None;
    let card = measure(&mut guest, &load, &mut || {
        let summary = lab.summary()?;
        let datagrams = summary.peer.datagrams;
        at_udp.get_or_insert(summary.cycles);
        Ok(datagrams)
    })?;
    let after = lab.summary()?;
    guest.shut_down();
    let kernel = lab.release.clone();
    lab.close()?;
    // The emulated card is far faster, so a measurement needs more work.
    let e1000e = emulated(&Load { tcp_kib: 16 * 1024, datagrams: 50_000 })?;
    let cycles = after.cycles - before.cycles;
    let per_second = |time: Duration| (cycles as f64 / time.as_secs_f64()) as u64;
    let report = Report {
        kernel,
        model: plan.options.card.name,
        width: plan.options.card.width,
        card,
        card_cycles: cycles,
        cycles_per_second: per_second(after.busy - before.busy),
        cycles_per_processor_second: per_second(after.processor - before.processor),
        cycles_per_udp_packet: (after.cycles - at_udp.unwrap_or(after.cycles)) as f64
            / load.datagrams as f64,
        e1000e,
        ratio: Figures {
            tcp_sent_mbps: e1000e.tcp_sent_mbps / card.tcp_sent_mbps,
            tcp_received_mbps: e1000e.tcp_received_mbps / card.tcp_received_mbps,
            udp_packets_per_second: e1000e.udp_packets_per_second / card.udp_packets_per_second,
        },
    };
    if json {
        report::json(&report);
        return Ok(());
    }
    let mut table = Table::default();
    for (name, figures) in [("the Verilated card", card), ("QEMU's e1000e", e1000e)] {
        table.heading(format!("A guest (Linux {}) with {name}", report.kernel));
        table.row("TCP sent, Mb/s", format!("{:.1}", figures.tcp_sent_mbps));
        table.row("TCP received, Mb/s", format!("{:.1}", figures.tcp_received_mbps));
        let packets = grouped(figures.udp_packets_per_second as u64);
        table.row("UDP of 1,400 bytes sent, packets a second", packets);
    }
    table.heading(format!("Simulation, {}", report.model));
    table.row("cycles a second", grouped(report.cycles_per_second));
    table.row("cycles a second of processor time", grouped(report.cycles_per_processor_second));
    table.row("cycles a UDP packet", format!("{:.0}", report.cycles_per_udp_packet));
    table.heading("e1000e to the Verilated card");
    table.row("TCP sent", format!("{:.1} : 1", report.ratio.tcp_sent_mbps));
    table.row("TCP received", format!("{:.1} : 1", report.ratio.tcp_received_mbps));
    table.row("UDP sent", format!("{:.1} : 1", report.ratio.udp_packets_per_second));
    table.print();
    Ok(())
}
