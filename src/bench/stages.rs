//! Shows where the cycles go: the handshakes of each stream within the card while frames were
//! measured.

use nitor_hdl::common::probe::STREAMS;
use nitor_sim::{HostFunction, World};
use serde::Serialize;
use std::cell::RefCell;
use std::rc::Rc;

/// A stream between two stages, in shares of all cycles. What is left of them it was idle and its taker not ready.
#[derive(Serialize)]
pub struct Stage {
    stream: &'static str,
    per_frame: f64,
    /// Something moved.
    moves: f64,
    /// Something was there and its taker was not ready: a stall.
    stalls: f64,
    /// The taker was ready and nothing was there.
    starves: f64,
}

pub type Counts = Vec<[u64; 4]>;

pub fn start(world: &Rc<RefCell<World>>) {
    world.borrow_mut().host_mut(0).count_streams();
}

pub fn counts(function: &HostFunction) -> Counts {
    function.world().borrow().host(function.host()).stream_counts()
}

/// What happened between two counts.
pub fn table(begin: &Counts, end: &Counts, frames: f64) -> Vec<Stage> {
    let streams = STREAMS.iter().zip(begin.iter().zip(end));
    streams
        .map(|(stream, (begin, end))| {
            let count = |i: usize| (end[i] - begin[i]) as f64;
            let cycles = (0..4).map(count).sum::<f64>().max(1.0);
            let share = |i: usize| count(i) / cycles;
            let per_frame = count(3) / frames;
            Stage { stream, per_frame, moves: share(3), stalls: share(1), starves: share(2) }
        })
        .collect()
}

pub fn print(stages: &[Stage]) {
    say!("\nstages, in % of the cycles: something moves; it waits for the taker; the taker waits for it");
    say!("  {:<40} {:>9} {:>6} {:>6} {:>7}", "", "per frame", "moves", "stalls", "starves");
    for stage in stages {
        let Stage { stream, per_frame, moves, stalls, starves } = stage;
        let [moves, stalls, starves] = [moves, stalls, starves].map(|share| share * 100.0);
        say!("  {stream:<40} {per_frame:>9.3} {moves:>6.1} {stalls:>6.1} {starves:>7.1}");
    }
}
