//! `nitor vm --dpdk`: DPDK's testpmd drives a card from a guest's user space, through vfio and
//! behind an IOMMU. The stock kernel of another guest talks to it.

use crate::report::{grouped, Failure};
use crate::signals;
use crate::text::plain;
use crate::vm::setup::VFIO;
use crate::vm::story::{address, list, load, Part, Scene, Step, INTERFACE_UP, PEER};
use nitor_abi::bar;
use nitor_abi::mgmt::Counter;
use std::thread;
use std::time::{Duration, Instant};

/// The kernel's guest, and DPDK's.
const KERNEL: usize = 0;
const DPDK: usize = 1;

const STEPS: [Step; 5] = [
    Step { title: "One guest's kernel drives its card, the other gives its own away", play: begin },
    Step { title: "testpmd answers what the kernel asks", play: answers },
    Step { title: "testpmd sends", play: sends },
    Step { title: "testpmd receives", play: receives },
    Step { title: "testpmd ends, and the kernel takes the card back", play: ends },
];

/// The guests have a wire and a host each.
const APART: [Step; 3] = [
    Step { title: "Two guests that have nothing to do with each other", play: begin_apart },
    Step { title: "One lies in its descriptors and doorbells, the other works", play: lies },
    Step { title: "The liar's testpmd ends, and its kernel takes the card back", play: recovers },
];

pub const PARTS: [Part; 2] = [
    Part { guests: 2, apart: false, processors: 2, iommu: true, port: false, steps: &STEPS },
    Part { guests: 2, apart: true, processors: 2, iommu: true, port: false, steps: &APART },
];

/// What testpmd has sent and received, by its own count. What it says to have missed comes late, with the card's signs of life,
/// and has in it what came before there was a queue; the card's own counters are asked instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    rx: u64,
    rx_errors: u64,
    tx: u64,
    tx_errors: u64,
}

impl Counted {
    /// Of what `show port stats` prints.
    fn read(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut words = text.split_whitespace().skip_while(|word| *word != name);
            words.nth(1)?.parse().ok()
        };
        Some(Counted {
            rx: field("RX-packets:")?,
            rx_errors: field("RX-errors:")?,
            tx: field("TX-packets:")?,
            tx_errors: field("TX-errors:")?,
        })
    }

    fn since(self, before: Self) -> Self {
        Counted {
            rx: self.rx - before.rx,
            rx_errors: self.rx_errors - before.rx_errors,
            tx: self.tx - before.tx,
            tx_errors: self.tx_errors - before.tx_errors,
        }
    }

    fn clean(self) -> bool {
        self.rx_errors == 0 && self.tx_errors == 0
    }
}

const CARD: &str = "0000:00:01.0";
/// Two queue pairs, and one processor that polls them.
const TESTPMD: &str = "dpdk-testpmd -l 0,1 -n 1 -m 64 --no-telemetry -a 0000:00:01.0 -d librte_net_ena.so.23 \
                       -d librte_mempool_ring.so.23 -- -i --total-num-mbufs=8192 --rxq=2 --txq=2 --rxd=512 --txd=512 --nb-cores=1 \
                       --forward-mode=icmpecho --eth-peer=0,02:4e:49:54:01:00";

/// What testpmd prints once it has done what `command` says.
fn testpmd(scene: &mut Scene, command: &str) -> Result<String, Failure> {
    let before = scene.lab.guests[DPDK].console().len();
    scene.sh(DPDK, &format!("pidof dpdk-testpmd >/dev/null && echo '{command}' >/tmp/in"))?;
    Ok(printed(scene, before, 60))
}

/// What testpmd prints until it prompts, from `before` on.
fn printed(scene: &Scene, before: usize, seconds: u64) -> String {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        let console = scene.lab.guests[DPDK].console();
        let new = String::from_utf8_lossy(console.get(before..).unwrap_or_default());
        let stopped = signals::caught().is_some();
        if new.trim_end().ends_with("testpmd>") || Instant::now() > deadline || stopped {
            return plain(&new).into_owned();
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Frames that the card of `guest` has dropped.
fn drops(scene: &mut Scene, guest: usize) -> Result<u64, Failure> {
    let counters = scene.lab.counters(guest)?;
    let kinds = [
        Counter::RxDropsNoDescriptor,
        Counter::RxDropsNoRoom,
        Counter::RxDropsBadFrame,
        Counter::RxDropsNoQueue,
        Counter::RxDropsDmaError,
        Counter::TxDropsDmaError,
        Counter::TxDropsBadDescriptor,
    ];
    Ok(kinds.into_iter().map(|which| counter(&counters, which)).sum())
}

fn counted(scene: &mut Scene) -> Result<Counted, Failure> {
    let printed = testpmd(scene, "show port stats 0")?;
    Ok(Counted::read(&printed).unwrap_or_default())
}

fn show(printed: &str) {
    for line in printed.lines().filter(|line| !line.trim().is_empty()) {
        say!("          {}", line.trim_end());
    }
}

fn begin(scene: &mut Scene) -> Result<(), Failure> {
    begin_with(scene, TESTPMD)
}

/// What is to be falsified must lie in the guest's memory: no low-latency queues.
fn begin_apart(scene: &mut Scene) -> Result<(), Failure> {
    begin_with(scene, &TESTPMD.replace(CARD, &format!("{CARD},enable_llq=0")))
}

fn begin_with(scene: &mut Scene, command: &str) -> Result<(), Failure> {
    load(scene, KERNEL)?;
    scene.sh(KERNEL, &format!("ip addr add {}/24 dev eth0; {INTERFACE_UP}", address(KERNEL)))?;
    let modules = VFIO.join(" ");
    scene.sh(
        DPDK,
        &format!(
            "dmesg -c >/dev/null; for m in {modules}; do [ ! -f /lib/modules/$m.ko ] || insmod /lib/modules/$m.ko || exit 1; done; \
             echo vfio-pci >/sys/bus/pci/devices/{CARD}/driver_override; echo {CARD} >/sys/bus/pci/drivers_probe; \
             mkdir -p /dev/hugepages && mount -t hugetlbfs none /dev/hugepages && echo 48 >/proc/sys/vm/nr_hugepages; \
             ls /dev/vfio"
        ),
    )?;
    let driver =
        scene.sh(DPDK, &format!("basename $(readlink /sys/bus/pci/devices/{CARD}/driver)"))?;
    scene.check(driver.trim() == "vfio-pci", "the card is vfio-pci's, behind an IOMMU");
    let before = scene.lab.guests[DPDK].console().len();
    scene.sh(
        DPDK,
        &format!(
            "mkdir -p /var/run; mkfifo /tmp/in; (sleep 100000 >/tmp/in &); ({command} </tmp/in >/dev/ttyS0 2>&1 &)"
        ),
    )?;
    let said = printed(scene, before, 120);
    show(&said);
    let up = said.contains("testpmd>");
    scene.check(up, "testpmd has started its port");
    let info = testpmd(scene, "show port info 0")?;
    scene.check(info.contains("Driver name: net_ena"), "its driver is net_ena");
    scene.check(info.contains("Link status: up"), "the link is up");
    testpmd(scene, "start")?;
    Ok(())
}

fn answers(scene: &mut Scene) -> Result<(), Failure> {
    let before = counted(scene)?;
    scene.pinged(KERNEL, &address(DPDK), "")?;
    scene.pinged(KERNEL, &address(DPDK), "-s 1400")?;
    let printed = testpmd(scene, "show port stats 0")?;
    show(&printed);
    let counted = Counted::read(&printed).unwrap_or_default().since(before);
    scene.check(
        counted.rx >= 7 && counted.tx >= 7 && counted.clean(),
        format!("testpmd has received {} and sent {} packets, no errors", counted.rx, counted.tx),
    );
    Ok(())
}

fn sends(scene: &mut Scene) -> Result<(), Failure> {
    testpmd(scene, "stop")?;
    testpmd(scene, "set fwd txonly")?;
    testpmd(scene, "set txpkts 1400")?;
    let wire = |scene: &mut Scene| Ok::<_, Failure>(scene.lab.summary()?.guests[DPDK].frames_out);
    let (before, came) = (counted(scene)?, wire(scene)?);
    let dropped = drops(scene, KERNEL)?;
    const SEEN: &str = "ethtool -S eth0 | awk '/queue_[0-9]+_rx_cnt/ { n += $2 } END { print n }'";
    let seen = scene.number(KERNEL, SEEN)?;
    testpmd(scene, "start")?;
    scene.sh(DPDK, "sleep 3")?;
    testpmd(scene, "stop")?;
    scene.sh(KERNEL, "sleep 1")?;
    let (after, came, seen) =
        (counted(scene)?, wire(scene)? - came, scene.number(KERNEL, SEEN)? - seen);
    let sent = after.tx - before.tx;
    let dropped = drops(scene, KERNEL)? - dropped;
    scene.check(
        sent > 500 && sent == came && after.since(before).clean(),
        format!(
            "{} packets of 1,400 bytes sent, {} on the wire, no errors",
            grouped(sent),
            grouped(came)
        ),
    );
    scene.check(
        seen > 0 && seen + dropped == came,
        format!(
            "{} of them received by the other guest's kernel, which had no buffers for the other {}",
            grouped(seen),
            grouped(dropped)
        ),
    );
    Ok(())
}

fn receives(scene: &mut Scene) -> Result<(), Failure> {
    testpmd(scene, "set fwd rxonly")?;
    testpmd(scene, "start")?;
    let (before, dropped) = (counted(scene)?, drops(scene, DPDK)?);
    scene.sh(
        KERNEL,
        "insmod /lib/modules/pktgen.ko; P=/proc/net/pktgen; echo add_device eth0 >$P/kpktgend_0 && \
         for s in 'count 2000' 'pkt_size 1442' 'delay 0' 'dst 10.77.0.3' 'dst_mac 02:4e:49:54:01:01'; do echo $s >$P/eth0; done; \
         echo start >$P/pgctrl && grep -q 'errors: 0' $P/eth0; sleep 2",
    )?;
    let printed = testpmd(scene, "show port stats 0")?;
    show(&printed);
    let after = Counted::read(&printed).unwrap_or_default();
    let (got, dropped) = (after.rx - before.rx, drops(scene, DPDK)? - dropped);
    scene.check(
        got >= 2000 && dropped == 0 && after.since(before).clean(),
        format!(
            "{} packets of the 2,000 that the kernel has sent, none dropped by the card, no errors",
            grouped(got)
        ),
    );
    Ok(())
}

/// What is wrong with a TX descriptor of one buffer of 64 bytes: its address, 0xdead0000, is mapped nowhere.
const LIE: &str = r"\100\000\000\014\000\000\000\000\000\000\255\336\000\000\000\000";
const DEPTH: u64 = 512;
/// Of the lying descriptors, those that are rung for.
const LIES: u64 = 4;

/// Addresses in testpmd of zones of memory that may be a ring.
fn zones(dump: &str) -> Vec<u64> {
    let zones = dump.lines().filter(|line| line.contains(&format!("len:{:#x},", 16 * DEPTH)));
    let virt = |line: &str| {
        let (_, rest) = line.split_once("virt:0x")?;
        u64::from_str_radix(rest.split(',').next()?, 16).ok()
    };
    zones.filter_map(virt).collect()
}

/// Whether 16 bytes, in hexadecimal, are a descriptor that testpmd has sent a packet of 64 bytes with.
fn is_sent(hex: &str) -> bool {
    let word =
        u32::from_str_radix(hex.trim().get(..8).unwrap_or_default(), 16).map(u32::swap_bytes);
    word.is_ok_and(|word| word & 0xffff == 64 && word >> 26 & 3 == 3)
}

fn counter(counters: &[(Counter, u64)], which: Counter) -> u64 {
    counters.iter().find(|(counter, _)| *counter == which).map_or(0, |(_, value)| *value)
}

fn lies(scene: &mut Scene) -> Result<(), Failure> {
    for command in ["stop", "set fwd txonly", "start"] {
        testpmd(scene, command)?;
    }
    scene.sh(DPDK, "sleep 1")?;
    testpmd(scene, "stop")?;
    let xstats = testpmd(scene, "show port xstats 0")?;
    let tail =
        xstats.lines().find_map(|line| line.trim().strip_prefix("tx_q0_cnt: ")?.parse().ok());
    let tail: u64 = tail.unwrap_or_default();
    let zones = zones(&testpmd(scene, "dump_memzone")?);
    let mut rings = Vec::new();
    for zone in zones {
        let first = format!(
            "dd if=/proc/$(pidof dpdk-testpmd)/mem bs=16 skip={} count=1 2>/dev/null | xxd -p",
            zone / 16
        );
        if is_sent(&scene.sh(DPDK, &first)?) {
            rings.push(zone / 16);
        }
    }
    scene.check(
        rings.len() == 2 && tail > DEPTH,
        format!(
            "{} TX rings found in testpmd's memory, {tail} descriptors used of the first queue's",
            rings.len()
        ),
    );

    let before = [scene.lab.counters(0)?, scene.lab.counters(1)?];
    scene.lab.liars.push(DPDK);
    scene.lab.guests[KERNEL].start(&format!(
        "(ping -i 0.05 -c 100 {PEER} >/tmp/pings 2>&1 &); head -c 500000 /dev/urandom >/tmp/file; nc -w 60 {PEER} 7 </tmp/file >/tmp/back; \
         while pidof ping >/dev/null; do usleep 50000; done; tail -n 2 /tmp/pings; cmp /tmp/file /tmp/back && echo the same"
    ))?;
    let (good, far) = ((tail + LIES) & 0xffff, (tail + LIES + 2 * DEPTH) & 0xffff);
    let rings: Vec<_> = rings.iter().map(u64::to_string).collect();
    scene.sh(
        DPDK,
        &format!(
            "for i in $(seq {DEPTH}); do printf '{LIE}'; done >/tmp/lies; \
             for at in {}; do dd if=/tmp/lies of=/proc/$(pidof dpdk-testpmd)/mem bs=16 seek=$at conv=notrunc 2>/dev/null || exit 1; done; \
             bar=$(head -n 1 /sys/bus/pci/devices/{CARD}/resource | cut -d ' ' -f 1); \
             devmem $((bar + {})) 32 {good} && usleep 300000 && devmem $((bar + {})) 32 {far} && devmem $((bar + {})) 32 {far} && \
             devmem $((bar + {})) 32 1",
            rings.join(" "),
            bar::tx_doorbell(0),
            bar::tx_doorbell(0),
            bar::rx_doorbell(0),
            bar::tx_doorbell(200),
        ),
    )?;
    let ran = scene.lab.guests[KERNEL].collect(Duration::from_secs(180))?;
    let pings = ran.output.lines().find(|line| line.contains("packet loss")).unwrap_or_default();
    scene.check(pings.contains(" 0% packet loss"), format!("the other guest: {pings}"));
    scene.check(
        ran.output.contains("the same"),
        "the other guest: 500,000 bytes went by TCP and came back the same",
    );
    let after = [scene.lab.counters(0)?, scene.lab.counters(1)?];
    for (which, least) in [
        (Counter::CplUrCa, LIES),
        (Counter::TxDropsDmaError, LIES),
        (Counter::TxDoorbellsIllegal, 1),
        (Counter::RxDoorbellsIllegal, 1),
        (Counter::DoorbellsNoQueue, 1),
    ] {
        let [other, liar] =
            [0, 1].map(|card| counter(&after[card], which) - counter(&before[card], which));
        let text =
            format!("{}: {liar} more on the liar's card, {other} on the other", which.name());
        scene.check(liar >= least && other == 0, text);
    }
    let summary = scene.lab.summary()?;
    let (other, liar) = (&summary.guests[KERNEL], &summary.guests[DPDK]);
    scene.check(
        liar.denied >= LIES && other.denied == 0 && summary.violations.is_empty(),
        format!(
            "{} reads of the liar's card refused by its IOMMU, else nothing to object to",
            liar.denied
        ),
    );
    Ok(())
}

fn ends(scene: &mut Scene) -> Result<(), Failure> {
    take_back(scene)?;
    scene.pinged(KERNEL, &address(DPDK), "")
}

fn recovers(scene: &mut Scene) -> Result<(), Failure> {
    take_back(scene)?;
    scene.pinged(DPDK, PEER, "")
}

fn take_back(scene: &mut Scene) -> Result<(), Failure> {
    scene.sh(DPDK, "echo stop >/tmp/in; sleep 1; echo quit >/tmp/in")?;
    let gone = scene.until(DPDK, 30, "! pidof dpdk-testpmd >/dev/null || ! usleep 200000")?;
    let said = String::from_utf8_lossy(&scene.lab.guests[DPDK].console()).into_owned();
    scene.check(gone && said.contains("Bye..."), "testpmd has ended by itself");
    let complaints = scene.complaints(DPDK)?;
    scene
        .check(complaints.is_empty(), format!("its kernel has no complaints{}", list(&complaints)));
    scene.sh(
        DPDK,
        &format!(
            "echo {CARD} >/sys/bus/pci/drivers/vfio-pci/unbind; echo >/sys/bus/pci/devices/{CARD}/driver_override"
        ),
    )?;
    load(scene, DPDK)?;
    scene.sh(DPDK, &format!("ip addr add {}/24 dev eth0; {INTERFACE_UP}", address(DPDK)))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_testpmd_prints_is_read() {
        let text = "  ######## NIC statistics for port 0  ########\n  RX-packets: 12         RX-missed: 1          RX-bytes:  1176\n  \
                    RX-errors: 2\n  RX-nombuf:  0\n  TX-packets: 11         TX-errors: 3          TX-bytes:  1078\n";
        let counted = Counted { rx: 12, rx_errors: 2, tx: 11, tx_errors: 3 };
        assert_eq!(Counted::read(text), Some(counted));
        assert!(!counted.clean());
        assert_eq!(Counted::read("testpmd> "), None);
    }

    #[test]
    fn rings_are_found_by_what_they_hold() {
        let dump = "Zone 7: name:<ena_p0_mz3>, len:0x2000, virt:0x100123000, socket_id:0, flags:0\n\
                    Zone 8: name:<ena_p0_mz4>, len:0x1000, virt:0x100125000, socket_id:0, flags:0\n";
        assert_eq!(zones(dump), [0x1_0012_3000]);
        assert!(is_sent("4000000d000000000010340200000000\n"));
        assert!(!is_sent("0008000d000000000010340200000000\n"), "it has another length");
        assert!(!is_sent("40000001000000000010340200000000\n"), "it is not all of a packet");
        assert!(!is_sent(""));
    }
}
