//! Runs guests with their cards, from boot to power-off.

use crate::report::{grouped, Failure};
use crate::signals;
use crate::vm::guest::{Guest, Shape};
use crate::vm::setup::{Kernel, Tools};
use crate::vm::{initramfs, setup};
use nitor_abi::mgmt::Counter;
use nitor_vfio::machine::GuestSummary;
use nitor_vfio::{machine, Ask, Machine, Options, Summary};
use std::fs;
use std::io;
use std::path::Path;
use std::time::Instant;
use tempfile::TempDir;

/// What a lab is made of.
#[derive(Clone)]
pub struct Plan {
    pub options: Options,
    /// As [setup::get] takes it.
    pub kernel: String,
    pub processors: u32,
    pub iommu: bool,
    /// Whether the cards are behind root ports.
    pub port: bool,
    /// Whether DPDK is in the guests.
    pub dpdk: bool,
}

/// Guests, each with a card.
pub struct Lab {
    pub guests: Vec<Guest>,
    /// Guests that give their cards addresses which are not mapped, on purpose: that is no fault of the cards.
    pub liars: Vec<usize>,
    /// The kernel's.
    pub release: String,
    machine: Machine,
    begun: Instant,
    /// Sockets, consoles, the initramfs.
    _folder: TempDir,
}

fn cards(error: io::Error) -> Failure {
    Failure::Environment(format!("the cards: {error}"))
}

/// A folder for a guest's files.
pub fn folder() -> Result<TempDir, Failure> {
    tempfile::Builder::new().prefix("nitor-vm").tempdir().map_err(cards)
}

/// Boots a guest without a card of ours, with more arguments for QEMU.
pub fn plain(kernel: &str, folder: &Path, more: &[&str]) -> Result<Guest, Failure> {
    let (tools, kernel) = setup::get(kernel, false)?;
    let initramfs = folder.join("initramfs");
    fs::write(&initramfs, initramfs::pack(&kernel)?).map_err(cards)?;
    let shape = Shape {
        number: 0,
        processors: 1,
        memory_mib: 256,
        socket: None,
        iommu: false,
        port: false,
        relaxed: false,
        more,
    };
    let mut guest = Guest::start_up(&tools, &kernel, &initramfs, folder, &shape)?;
    guest.booted()?;
    Ok(guest)
}

impl Lab {
    /// Boots the guests.
    pub fn open(plan: &Plan) -> Result<Self, Failure> {
        let (tools, kernel) = setup::get(&plan.kernel, plan.dpdk)?;
        let folder = folder()?;
        let initramfs = folder.path().join("initramfs");
        fs::write(&initramfs, initramfs::pack(&kernel)?).map_err(cards)?;
        let machine = Machine::start(&plan.options, folder.path());
        signals::check(|| "the guests had not started".into())?;
        let machine = machine.map_err(cards)?;
        let path = folder.path().to_path_buf();
        let release = kernel.release.clone();
        let mut lab = Lab {
            guests: Vec::new(),
            liars: Vec::new(),
            release,
            machine,
            begun: Instant::now(),
            _folder: folder,
        };
        match lab.boot(plan, &tools, &kernel, &path) {
            Ok(()) => Ok(lab),
            Err(failure) => Err(lab.abandon(failure)),
        }
    }

    fn boot(
        &mut self,
        plan: &Plan,
        tools: &Tools,
        kernel: &Kernel,
        path: &Path,
    ) -> Result<(), Failure> {
        let initramfs = path.join("initramfs");
        for number in 0..plan.options.guests {
            let socket = machine::socket(path, number);
            let shape = Shape {
                number,
                processors: plan.processors,
                memory_mib: if plan.dpdk { 768 } else { 256 },
                socket: Some(&socket),
                iommu: plan.iommu,
                port: plan.port,
                relaxed: plan.dpdk,
                more: &[],
            };
            self.guests.push(Guest::start_up(tools, kernel, &initramfs, path, &shape)?);
        }
        for guest in &mut self.guests {
            guest.booted()?;
        }
        Ok(())
    }

    /// Tells the first guest's card something.
    pub fn tell(&self, ask: Ask) -> Result<(), Failure> {
        self.machine.tell(0, ask).map_err(cards)
    }

    /// Of the card of `guest`.
    pub fn counters(&self, guest: usize) -> Result<Vec<(Counter, u64)>, Failure> {
        self.machine.counters(guest).map_err(cards)
    }

    pub fn summary(&self) -> Result<Summary, Failure> {
        self.machine.summary().map_err(cards)
    }

    /// Ends the guests as they are, and closes what the cards write: a run that fails or is stopped leaves files that can be read.
    /// The failure, with how far a stopped run has come.
    pub fn abandon(&mut self, failure: Failure) -> Failure {
        self.guests.clear();
        let summary = self.machine.summary().unwrap_or_default();
        let closed = self.machine.finish();
        match (failure, closed) {
            (Failure::Stopped(signal, how_far), closed) => {
                let frames: u64 = summary.guests.iter().map(|guest| guest.frames_out).sum();
                let closed =
                    closed.map_or_else(|e| format!("; not closed: {e}"), |()| String::new());
                let (frames, cycles) = (grouped(frames), grouped(summary.cycles));
                let how_far = format!(
                    "{how_far}, after {:.1} s, {cycles} cycles and {frames} frames of the cards{closed}",
                    self.begun.elapsed().as_secs_f64()
                );
                Failure::Stopped(signal, how_far)
            }
            (failure, _) => failure,
        }
    }

    /// Ends the guests, then the cards. What the cards did wrong is a failed check.
    pub fn close(&mut self) -> Result<Summary, Failure> {
        for guest in self.guests.drain(..) {
            guest.shut_down();
        }
        let summary = self.machine.summary().map_err(cards)?;
        self.machine.finish().map_err(cards)?;
        let resets = resets(&summary, &self.liars);
        if let Some(first) = resets.first() {
            return Err(Failure::Check(format!(
                "drivers have reset their cards {} times, though nobody asked for it; first {first}",
                resets.len()
            )));
        }
        let objections = objections(&summary, &self.liars);
        match objections.first() {
            None => Ok(summary),
            Some(first) => Err(Failure::Check(format!(
                "the root complexes object {} times, first: {first}",
                objections.len()
            ))),
        }
    }
}

/// Resets that no one asked for: a guest that lies to its card may have to do it.
fn resets(summary: &Summary, liars: &[usize]) -> Vec<String> {
    let guests = summary.guests.iter().enumerate().filter(|(number, _)| !liars.contains(number));
    let of = |(number, guest): (usize, &GuestSummary)| {
        let resets = guest.resets.iter().map(|reset| format!("guest {number}, {reset}"));
        resets.collect::<Vec<_>>()
    };
    guests.flat_map(of).collect()
}

/// What the cards did wrong: all that root complexes object to, but for addresses which guests that lie gave their own cards.
fn objections<'a>(summary: &'a Summary, liars: &[usize]) -> Vec<&'a String> {
    let honest = |(guest, _): &(usize, _)| !liars.contains(guest);
    let refused = summary.guests.iter().enumerate().filter(honest);
    summary.violations.iter().chain(refused.flat_map(|(_, guest)| &guest.refused)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_liar_excuses_its_own_cards_refused_accesses_and_nothing_else() {
        let guest =
            |refused: &str| GuestSummary { refused: vec![refused.into()], ..Default::default() };
        let guests = vec![guest("card 0: Unmapped"), guest("card 1: Unmapped")];
        let violations = vec!["card 1: Completion".to_string()];
        let summary = Summary { guests, violations, ..Summary::default() };
        assert_eq!(objections(&summary, &[]).len(), 3);
        assert_eq!(objections(&summary, &[1]), ["card 1: Completion", "card 0: Unmapped"]);
    }

    #[test]
    fn a_reset_that_nobody_asked_for_is_told_but_for_a_liars() {
        let reset = |text: &str| GuestSummary { resets: vec![text.into()], ..Default::default() };
        let guests = vec![GuestSummary::default(), reset("after 7.0 s: its watchdog")];
        let summary = Summary { guests, ..Summary::default() };
        assert_eq!(resets(&summary, &[]), ["guest 1, after 7.0 s: its watchdog"]);
        assert!(resets(&summary, &[1]).is_empty());
    }
}
