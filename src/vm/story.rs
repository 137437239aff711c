//! `nitor vm story`: runs a stock driver on the card step by step, and checks each step.

use crate::report::{grouped, Failure};
use crate::vm::guest::CARD;
use crate::vm::lab::{Lab, Plan};
use nitor_vfio::{Ask, Summary};
use std::time::{Duration, Instant};

/// A step: what it shows, and what is done and checked for it.
#[derive(Clone, Copy)]
pub struct Step {
    pub title: &'static str,
    pub play: fn(&mut Scene) -> Result<(), Failure>,
}

/// Steps that are played in the same guests.
#[derive(Clone, Copy)]
pub struct Part {
    pub guests: usize,
    /// Each guest has a wire of its own, with a host on it.
    pub apart: bool,
    pub processors: u32,
    pub iommu: bool,
    /// Each card is behind a root port.
    pub port: bool,
    pub steps: &'static [Step],
}

/// `nitor vm --story`.
pub const STORY: [Part; 3] = [
    Part { guests: 1, apart: false, processors: 4, iommu: false, port: false, steps: &ALONE },
    Part { guests: 1, apart: false, processors: 1, iommu: true, port: true, steps: &GUARDED },
    Part { guests: 2, apart: false, processors: 1, iommu: false, port: false, steps: &TOGETHER },
];

/// With one guest and a host of ours on its wire.
const ALONE: [Step; 13] = [
    Step { title: "The driver is loaded and finds the card", play: probe },
    Step { title: "The interface comes up, and a ping is answered", play: ping },
    Step { title: "Jumbo frames", play: jumbo },
    Step { title: "What ethtool shows", play: ethtool_shows },
    Step { title: "What ethtool changes", play: ethtool_changes },
    Step { title: "Flows are spread over four queue pairs", play: spread },
    Step { title: "A file to the host on the wire and back", play: echo },
    Step { title: "Checksums and segments are the card's work", play: offloads },
    Step { title: "Moderation makes interrupts fewer", play: moderation },
    Step { title: "The wire is pulled, and plugged in again", play: pulled },
    Step { title: "The card's firmware hangs: the driver resets the card", play: hung },
    Step { title: "The interface goes down in full traffic", play: down },
    Step { title: "The driver is unloaded and loaded ten times over traffic", play: reloaded },
];

/// With one guest that has an IOMMU and uses it strictly, and its card behind a root port.
const GUARDED: [Step; 4] = [
    Step { title: "The driver is loaded behind an IOMMU", play: probe },
    Step { title: "The interface comes up, and a ping is answered", play: ping },
    Step {
        title: "A file there and back, each page mapped as long as the card needs it",
        play: guarded,
    },
    Step { title: "An error on the link: the kernel's AER service tells of it", play: wrong },
];

/// With two guests, a card each and a wire between them.
const TOGETHER: [Step; 2] = [
    Step { title: "Both drivers are loaded, and the guests see each other", play: meet },
    Step { title: "A file crosses both ways at once, by TCP", play: exchange },
];

/// How a command in a guest went, and what was checked so far.
pub struct Scene {
    pub lab: Lab,
    file_kib: u64,
    failed: Vec<String>,
    checks: usize,
}

const PATIENCE: Duration = Duration::from_secs(180);

impl Scene {
    /// Runs a command that must succeed; its output.
    pub fn sh(&mut self, guest: usize, command: &str) -> Result<String, Failure> {
        let (output, status) = self.try_sh(guest, command)?;
        if status != 0 {
            let last = output.trim().lines().last().unwrap_or_default().to_string();
            self.check(false, format!("{command}: exit status {status}: {last}"));
        }
        Ok(output)
    }

    fn try_sh(&mut self, guest: usize, command: &str) -> Result<(String, i32), Failure> {
        let ran = self.lab.guests[guest].run(command, PATIENCE)?;
        Ok((ran.output, ran.status))
    }

    pub fn number(&mut self, guest: usize, command: &str) -> Result<u64, Failure> {
        Ok(self.sh(guest, command)?.trim().parse().unwrap_or(u64::MAX))
    }

    /// A statement, true or not.
    pub fn check(&mut self, holds: bool, statement: impl Into<String>) {
        let statement = statement.into();
        self.checks += 1;
        say!("   {} {statement}", if holds { "ok    " } else { "FAILED" });
        if !holds {
            self.failed.push(statement);
        }
    }

    /// Repeats a command until it succeeds; whether it ever did.
    pub fn until(&mut self, guest: usize, seconds: u64, command: &str) -> Result<bool, Failure> {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            if self.try_sh(guest, command)?.1 == 0 {
                return Ok(true);
            }
            if Instant::now() > deadline {
                return Ok(false);
            }
        }
    }

    pub fn pinged(&mut self, guest: usize, to: &str, more: &str) -> Result<(), Failure> {
        let output = self.sh(guest, &format!("ping -c 3 -i 0.2 {more} {to}"))?;
        let times = output.lines().find(|line| line.starts_with("round-trip")).unwrap_or_default();
        let times = times.trim_start_matches("round-trip ").to_string();
        self.check(output.contains(" 0% packet loss"), format!("3 pings of 3 answered, {times}"));
        Ok(())
    }

    /// What the kernel's log holds of errors and warnings since it was last asked.
    pub fn complaints(&mut self, guest: usize) -> Result<Vec<String>, Failure> {
        let log = self.sh(guest, "dmesg -r; dmesg -c >/dev/null")?;
        let bad = log.lines().filter(|line| {
            // <6> is information, <5> a notice; facilities are above.
            let level = line.strip_prefix('<').and_then(|rest| rest.split_once('>'));
            level.and_then(|(level, _)| level.parse::<u32>().ok()).is_some_and(|l| l % 8 < 5)
        });
        let bad = bad.map(|line| line.split_once("] ").map_or(line, |(_, text)| text));
        Ok(bad.map(str::to_string).collect())
    }

    fn queue_counters(&mut self, what: &str) -> Result<Vec<u64>, Failure> {
        let list = self.sh(0, &format!("ethtool -S eth0 | grep -E 'queue_[0-9]+_{what}: '"))?;
        let values = list.lines().filter_map(|line| line.rsplit(' ').next()?.trim().parse().ok());
        Ok(values.collect())
    }
}

pub const INTERFACE_UP: &str = "ip link set eth0 up && for i in $(seq 100); do [ \"$(cat /sys/class/net/eth0/carrier)\" = 1 ] && break; usleep 20000; done";
pub const PEER: &str = "10.77.0.1";
/// A stream to the peer that does not end by itself.
const FLOOD: &str = "(nc 10.77.0.1 9 </dev/zero >/dev/null 2>&1 &)";

pub fn address(guest: usize) -> String {
    format!("10.77.0.{}", guest + 2)
}

/// Loads the driver and says what the log says of it.
pub fn load(scene: &mut Scene, guest: usize) -> Result<(), Failure> {
    scene.sh(guest, "dmesg -c >/dev/null; insmod /lib/modules/ena.ko")?;
    let log = scene.sh(guest, "dmesg")?;
    for line in log.lines().filter(|line| line.contains("ena")) {
        say!("          {line}");
    }
    let found = log.contains("Elastic Network Adapter (ENA) found");
    scene.check(found, format!("guest {guest}: the driver has found the card"));
    let complaints = scene.complaints(guest)?;
    scene.check(
        complaints.is_empty(),
        format!("guest {guest}: no error and no warning{}", list(&complaints)),
    );
    Ok(())
}

pub fn list(complaints: &[String]) -> String {
    complaints.iter().map(|line| format!(": {line}")).collect()
}

fn probe(scene: &mut Scene) -> Result<(), Failure> {
    load(scene, 0)
}

fn ping(scene: &mut Scene) -> Result<(), Failure> {
    scene.sh(0, &format!("ip addr add {}/24 dev eth0; {INTERFACE_UP}", address(0)))?;
    let speed = scene.sh(0, "cat /sys/class/net/eth0/speed")?;
    scene.check(speed.trim() == "100000", format!("the link is up, {} Mb/s", speed.trim()));
    scene.pinged(0, PEER, "")
}

fn jumbo(scene: &mut Scene) -> Result<(), Failure> {
    scene.sh(0, "ip link set eth0 mtu 9001")?;
    scene.pinged(0, PEER, "-s 8900")?;
    scene.sh(0, "ip link set eth0 mtu 1500")?;
    Ok(())
}

fn ethtool_shows(scene: &mut Scene) -> Result<(), Failure> {
    for (option, what, expected) in [
        ("-i", "driver", "driver: ena"),
        ("-S", "statistics", "queue_3_rx_cnt"),
        ("-l", "channels", "Combined:\t4"),
        ("-g", "rings", "1024"),
        ("-c", "coalescing", "tx-usecs:"),
        ("-x", "indirection table and key", "toeplitz: on"),
        ("-k", "features", "scatter-gather: on"),
    ] {
        let output = scene.sh(0, &format!("ethtool {option} eth0"))?;
        let shown = format!("ethtool {option}: {what}");
        scene.check(output.contains(expected), shown);
    }
    Ok(())
}

fn ethtool_changes(scene: &mut Scene) -> Result<(), Failure> {
    for (change, show, expected) in [
        ("-L eth0 combined 2", "-l eth0 | tail -n 2", "Combined: 2"),
        ("-L eth0 combined 4", "-l eth0 | tail -n 2", "Combined: 4"),
        ("-G eth0 rx 512 tx 256", "-g eth0 | tail -n +7", "RX: 512"),
        ("-G eth0 rx 1024 tx 512", "-g eth0 | tail -n +7", "TX: 512"),
        ("-C eth0 tx-usecs 96", "-c eth0", "tx-usecs: 96"),
        ("-C eth0 adaptive-rx on", "-c eth0", "Adaptive RX: on"),
        ("-C eth0 adaptive-rx off rx-usecs 32", "-c eth0", "rx-usecs: 32"),
        ("-X eth0 equal 2", "-x eth0 | grep ' 0: '", "0: 0 1 0 1 0 1"),
        ("-X eth0 default", "-x eth0 | grep ' 0: '", "0: 0 1 2 3 0 1"),
    ] {
        scene.sh(0, &format!("ethtool {change}"))?;
        let output = scene.sh(0, &format!("ethtool {show}"))?;
        let output = output.split_whitespace().collect::<Vec<_>>().join(" ");
        scene.check(output.contains(expected), format!("ethtool {change}"));
    }
    scene.pinged(0, PEER, "")
}

fn spread(scene: &mut Scene) -> Result<(), Failure> {
    let before = [scene.queue_counters("rx_cnt")?, scene.queue_counters("tx_cnt")?];
    scene.sh(
        0,
        "for i in $(seq 24); do echo a flow | nc -w 20 10.77.0.1 7 >/dev/null & done; wait",
    )?;
    let after = [scene.queue_counters("rx_cnt")?, scene.queue_counters("tx_cnt")?];
    for (what, before, after) in
        [("received", 0, 0), ("sent", 1, 1)].map(|(w, b, a)| (w, &before[b], &after[a]))
    {
        let grown: Vec<_> = after.iter().zip(before).map(|(a, b)| a - b).collect();
        let all = grown.len() == 4 && grown.iter().all(|&n| n > 0);
        scene.check(all, format!("24 flows, packets {what} by each queue: {grown:?}"));
    }
    Ok(())
}

fn echo(scene: &mut Scene) -> Result<(), Failure> {
    let output = scene.sh(
        0,
        "head -c 300000 /dev/urandom >/tmp/file; nc -w 30 10.77.0.1 7 </tmp/file >/tmp/back; sha256sum /tmp/file /tmp/back",
    )?;
    let sums: Vec<_> =
        output.lines().filter_map(|line| line.split_once(' ')).map(|s| s.0).collect();
    let same = matches!(sums[..], [a, b] if a == b);
    scene.check(same, "300,000 bytes went and came back, the checksums are equal");
    Ok(())
}

fn offloads(scene: &mut Scene) -> Result<(), Failure> {
    let features = scene.sh(0, "ethtool -k eth0")?;
    for feature in ["rx-checksumming", "tx-checksumming", "tcp-segmentation-offload"] {
        scene.check(features.contains(&format!("{feature}: on")), format!("{feature} is on"));
    }
    let sum =
        |scene: &mut Scene, what| Ok::<u64, Failure>(scene.queue_counters(what)?.iter().sum());
    let (packets, frames) = (sum(scene, "tx_cnt")?, scene.lab.summary()?.guests[0].frames_out);
    scene.sh(0, "head -c 2000000 /dev/zero | nc -w 30 10.77.0.1 9")?;
    let packets = sum(scene, "tx_cnt")? - packets;
    let frames = scene.lab.summary()?.guests[0].frames_out - frames;
    let cut = format!("2,000,000 bytes: {packets} packets of the driver are {frames} frames");
    scene.check(frames > packets + packets / 2, cut);
    let (good, bad) = (sum(scene, "rx_csum_good")?, sum(scene, "rx_csum_bad")?);
    let sums = format!("checksums of received packets: {good} good, {bad} bad");
    scene.check(good > 0 && bad == 0, sums);
    Ok(())
}

fn guarded(scene: &mut Scene) -> Result<(), Failure> {
    let before = scene.lab.summary()?.guests[0].counts;
    echo(scene)?;
    let after = scene.lab.summary()?;
    let (maps, unmaps) =
        (after.guests[0].counts.maps - before.maps, after.guests[0].counts.unmaps - before.unmaps);
    scene.check(
        maps > 50 && unmaps > 50,
        format!("{} maps and {} unmaps meanwhile", grouped(maps), grouped(unmaps)),
    );
    scene.check(after.guests[0].denied == 0, "the card has asked for no page that was not mapped");
    Ok(())
}

/// In the guest: or'ing a bit into a byte of configuration space. SERR# Enable of the card and of its port, and the port's that passes
/// on what comes from below; QEMU's port sends nothing without.
const REPORTING: &str = "or() { v=$(dd if=$1/config bs=1 skip=$2 count=1 2>/dev/null | hexdump -e '1/1 \"%u\"'); printf \"\\\\$(printf %o $((v | $3)))\" | dd of=$1/config bs=1 seek=$2 conv=notrunc 2>/dev/null; }; \
    card=$(readlink -f /sys/class/net/eth0/device); or $card 5 1; or $card/.. 5 1; or $card/.. 62 2";

/// A TLP that is wrong goes to the card: a write outside its BARs.
fn wrong(scene: &mut Scene) -> Result<(), Failure> {
    const TLP: [u32; 4] = [0x4000_0001, 0x0000_5a0f, 0x0bad_0000, 0];
    scene.sh(0, REPORTING)?;
    scene.sh(0, "dmesg -c >/dev/null")?;
    let before = scene.lab.summary()?.guests[0].errors;
    scene.lab.tell(Ask::Tlp(TLP, vec![0; 4]))?;
    let told = scene.lab.summary()?.guests[0].errors;
    scene.check(
        [told[0] - before[0], told[1] - before[1], told[2] - before[2]] == [0, 1, 0],
        "the card sends one ERR_NONFATAL",
    );
    // QEMU's vfio does not pass a device's error messages to a guest, so its monitor sends what the
    // card has sent. Which error the monitor names does not matter to the port, only the class of
    // the message; the kernel reads the error from the card.
    scene.lab.guests[0].monitor(&format!("pcie_aer_inject_error {CARD} POISON_TLP"))?;
    let seen = scene.until(0, 30, "dmesg | grep -q 'TLP Header' || ! sleep 1")?;
    let log = scene.sh(0, "dmesg")?;
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains("PCIe") || line.contains("AER") || line.contains("error"))
        .collect();
    for line in &lines {
        say!("          {line}");
    }
    scene.check(seen, "the kernel's AER service has heard of it, and asked the card");
    for (what, wanted) in [
        ("whose error it is", "[1d0f:ec20]"),
        ("an unsupported request", "UnsupReq"),
        ("the TLP's header, as the card has kept it", "40000001 00005a0f 0bad0000"),
    ] {
        scene.check(log.contains(wanted), format!("it says {what}: {wanted}"));
    }
    scene.pinged(0, PEER, "")
}

/// Interrupts of the queues a packet, while bytes come from the peer.
fn interrupts_per_packet(scene: &mut Scene) -> Result<f64, Failure> {
    const INTERRUPTS: &str =
        "awk '/eth0/ { for (i = 2; i < NF - 2; i++) n += $i } END { print n }' /proc/interrupts";
    let packets = |scene: &mut Scene| -> Result<u64, Failure> {
        let counters = [scene.queue_counters("rx_cnt")?, scene.queue_counters("tx_cnt")?];
        Ok(counters.iter().flatten().sum())
    };
    let (interrupts, before) = (scene.number(0, INTERRUPTS)?, packets(scene)?);
    scene.sh(0, "nc 10.77.0.1 19 </dev/null 2>/dev/null | head -c 200000 >/dev/null; true")?;
    let (interrupts, packets) =
        (scene.number(0, INTERRUPTS)? - interrupts, packets(scene)? - before);
    Ok(interrupts as f64 / packets as f64)
}

fn moderation(scene: &mut Scene) -> Result<(), Failure> {
    scene.sh(0, "ethtool -C eth0 adaptive-rx off rx-usecs 0 tx-usecs 0")?;
    let without = interrupts_per_packet(scene)?;
    scene.sh(0, "ethtool -C eth0 rx-usecs 320 tx-usecs 320")?;
    let with = interrupts_per_packet(scene)?;
    scene.check(
        with < without * 0.8,
        format!("interrupts a packet: {without:.3} without moderation, {with:.3} at 320 us"),
    );
    scene.sh(0, "ethtool -C eth0 rx-usecs 0 tx-usecs 64")?;
    Ok(())
}

fn pulled(scene: &mut Scene) -> Result<(), Failure> {
    scene.lab.tell(Ask::Link(false))?;
    let seen = scene.until(0, 30, "[ \"$(cat /sys/class/net/eth0/carrier)\" = 0 ]")?;
    scene.check(seen, "the wire is pulled: no carrier");
    scene.lab.tell(Ask::Link(true))?;
    let seen = scene.until(0, 30, "[ \"$(cat /sys/class/net/eth0/carrier)\" = 1 ]")?;
    scene.check(seen, "the wire is plugged in: carrier");
    scene.pinged(0, PEER, "")
}

fn hung(scene: &mut Scene) -> Result<(), Failure> {
    scene.complaints(0)?;
    scene.lab.tell(Ask::Hang)?;
    let seen = scene.until(0, 90, "dmesg | grep -q 'Keep alive watchdog timeout' || ! sleep 1")?;
    scene.check(seen, "the driver misses the card's signs of life and resets it");
    let again = scene.until(0, 60, &format!("ping -c 1 -W 2 {PEER} >/dev/null"))?;
    scene.check(again, "traffic goes on");
    // ethtool lists all counters of the driver, too.
    for line in scene.complaints(0)?.iter().filter(|line| !line.contains(" eth0: ")) {
        say!("          {line}");
    }
    Ok(())
}

fn down(scene: &mut Scene) -> Result<(), Failure> {
    scene.sh(0, &format!("{FLOOD}; {FLOOD}; sleep 1; ip link set eth0 down"))?;
    let first = scene.lab.summary()?;
    scene.sh(0, "sleep 1")?;
    let second = scene.lab.summary()?;
    let (a, b) = (&first.guests[0], &second.guests[0]);
    let sent = a.frames_out;
    scene.check(
        b.reads_outstanding == 0,
        format!("{} frames sent, no read is left under way", grouped(sent)),
    );
    scene.check(a.frames_out == b.frames_out, "nothing is sent any more");
    scene.check(
        second.violations.is_empty() && b.denied == 0,
        "the card has touched no memory but what was given to it",
    );
    scene.sh(0, &format!("killall nc; {INTERFACE_UP}"))?;
    scene.pinged(0, PEER, "")
}

fn reloaded(scene: &mut Scene) -> Result<(), Failure> {
    let mut answered = 0;
    for _ in 0..10 {
        let round = format!(
            "{FLOOD}; usleep 200000; rmmod ena && killall -q nc; insmod /lib/modules/ena.ko && ip addr add {}/24 dev eth0 && {INTERFACE_UP} && ping -c 1 -W 5 {PEER} >/dev/null",
            address(0)
        );
        answered += u32::from(scene.try_sh(0, &round)?.1 == 0);
    }
    scene.check(answered == 10, format!("{answered} times of 10 a ping was answered afterwards"));
    let complaints = scene.complaints(0)?;
    scene.check(complaints.is_empty(), format!("no error and no warning{}", list(&complaints)));
    Ok(())
}

fn meet(scene: &mut Scene) -> Result<(), Failure> {
    for guest in 0..2 {
        load(scene, guest)?;
        scene.sh(guest, &format!("ip addr add {}/24 dev eth0; {INTERFACE_UP}", address(guest)))?;
    }
    scene.pinged(0, &address(1), "")
}

fn exchange(scene: &mut Scene) -> Result<(), Failure> {
    let kib = scene.file_kib;
    for guest in 0..2 {
        let file = format!("head -c {kib}k /dev/urandom >/tmp/sent; (sleep 10000 | nc -l -p 5000 >/tmp/got &); sleep 1");
        scene.sh(guest, &file)?;
    }
    let before = scene.lab.summary()?;
    let begin = Instant::now();
    for guest in 0..2 {
        let to = address(1 - guest);
        scene.lab.guests[guest].start(&format!("nc {to} 5000 </tmp/sent; while pidof nc >/dev/null; do usleep 50000; done; sha256sum /tmp/sent /tmp/got"))?;
    }
    let mut sums = Vec::new();
    let patience = PATIENCE + Duration::from_millis(100 * kib);
    for guest in 0..2 {
        let ran = scene.lab.guests[guest].collect(patience)?;
        let found = ran.output.lines().filter_map(|line| line.split_once(' '));
        sums.extend(found.map(|(sum, _)| sum.to_string()));
    }
    let seconds = begin.elapsed().as_secs_f64();
    let after = scene.lab.summary()?;
    let same = matches!(&sums[..], [a, b, c, d] if a == d && b == c && a != c);
    scene.check(same, format!("{} bytes each way, the checksums are equal", grouped(kib * 1024)));
    let frames = after.guests[0].frames_out + after.guests[1].frames_out
        - before.guests[0].frames_out
        - before.guests[1].frames_out;
    say!(
        "          {seconds:.1} s, {} frames, {:.1} Mb/s each way, {} cycles",
        grouped(frames),
        kib as f64 * 8192.0 / 1e6 / seconds,
        grouped(after.cycles - before.cycles)
    );
    Ok(())
}

/// Plays `parts`. Steps that fail do not keep the next from being played.
pub fn play(plan: &Plan, file_kib: u64, parts: &[Part]) -> Result<(), Failure> {
    let mut failed = Vec::new();
    let (mut number, mut checks, begin) = (0, 0, Instant::now());
    for &Part { guests, apart, processors, iommu, port, steps } in parts {
        let mut plan = plan.clone();
        plan.options.guests = guests;
        plan.options.apart = apart;
        plan.processors = processors;
        plan.iommu = iommu;
        plan.port = port;
        let lab = Lab::open(&plan)?;
        say!(
            "\nLinux {}, unmodified, in {guests} guest{}; the cards are {}\n",
            lab.release,
            if guests == 1 { "" } else { "s" },
            plan.options.card.name
        );
        let mut scene = Scene { lab, file_kib, failed: Vec::new(), checks: 0 };
        for step in steps {
            number += 1;
            let start = Instant::now();
            say!("{number:2}. {}", step.title);
            (step.play)(&mut scene).map_err(|failure| scene.lab.abandon(failure))?;
            say!("          ({:.1} s)", start.elapsed().as_secs_f64());
        }
        let summary = scene.lab.close()?;
        checks += scene.checks;
        failed.append(&mut scene.failed);
        report(&summary);
    }
    say!(
        "\n{} of {checks} checks hold, {:.0} s",
        checks - failed.len(),
        begin.elapsed().as_secs_f64()
    );
    match failed.first() {
        None => Ok(()),
        Some(first) => {
            Err(Failure::Check(format!("{} checks do not hold, first: {first}", failed.len())))
        }
    }
}

fn report(summary: &Summary) {
    for (number, guest) in summary.guests.iter().enumerate() {
        say!(
            "\nCard {number}: {} frames sent, {} received, {} register writes, {} reads, {} interrupts, {} accesses outside the guest's memory",
            grouped(guest.frames_out),
            grouped(guest.frames_in),
            grouped(guest.counts.register_writes),
            grouped(guest.counts.register_reads),
            grouped(guest.counts.interrupts),
            grouped(guest.denied)
        );
    }
    say!(
        "{} cycles, {} a second of processor time",
        grouped(summary.cycles),
        grouped((summary.cycles as f64 / summary.processor.as_secs_f64()) as u64)
    );
}
