//! Both ends of a stream of TLPs.

use std::collections::VecDeque;

use nitor_block::Block;

use super::{Beat, Joiner, Rng, Tlp};

/// Puts TLPs into a block.
pub struct Feed {
    prefix: &'static str,
    k: usize,
    pub beats: VecDeque<Beat>,
    offering: bool,
}

impl Feed {
    pub fn new(prefix: &'static str, k: usize) -> Feed {
        Feed { prefix, k, beats: VecDeque::new(), offering: false }
    }

    pub fn push(&mut self, tlp: &Tlp, rng: &mut Rng) {
        self.beats.extend(tlp.beats(self.k, rng));
    }

    /// Before the clock edge: offers the next beat if it `may`; what is on offer stays.
    pub fn drive(&mut self, block: &mut Block, may: bool) {
        self.offering |= may && !self.beats.is_empty();
        let port = |name: &str| format!("{}_{name}", self.prefix);
        block.set(port("valid").as_str(), self.offering.into());
        if let (true, Some((sop, eop, hdr, data))) = (self.offering, self.beats.front()) {
            block.set(port("sop").as_str(), (*sop).into());
            block.set(port("eop").as_str(), (*eop).into());
            block.set_bytes(port("hdr").as_str(), hdr);
            block.set_bytes(port("data").as_str(), data);
        }
    }

    /// After the inputs settled: the beat that is taken in this cycle.
    pub fn sample(&mut self, block: &Block) -> Option<Beat> {
        let ready = block.get(format!("{}_ready", self.prefix).as_str()) == 1;
        if !(self.offering && ready) {
            return None;
        }
        self.offering = false;
        self.beats.pop_front()
    }
}

/// Takes TLPs from a block, and sees to it that what is on offer stays.
pub struct Take {
    prefix: &'static str,
    joiner: Joiner,
    ready: bool,
    held: Option<Beat>,
}

impl Take {
    pub fn new(prefix: &'static str) -> Take {
        Take { prefix, joiner: Joiner::default(), ready: false, held: None }
    }

    pub fn drive(&mut self, block: &mut Block, ready: bool) {
        self.ready = ready;
        block.set(format!("{}_ready", self.prefix).as_str(), ready.into());
    }

    pub fn beat(&mut self, block: &Block) -> Option<Beat> {
        let port = |name: &str| format!("{}_{name}", self.prefix);
        let bit = |name: &str| block.get(port(name).as_str()) == 1;
        let bytes = |name: &str| block.get_bytes(port(name).as_str());
        let beat = bit("valid").then(|| (bit("sop"), bit("eop"), bytes("hdr"), bytes("data")));
        if self.held.is_some() {
            assert_eq!(self.held, beat, "{} changed before it was taken", self.prefix);
        }
        self.held = beat.clone().filter(|_| !self.ready);
        beat.filter(|_| self.ready)
    }

    /// The TLP that ends in this cycle.
    pub fn sample(&mut self, block: &Block) -> Option<Tlp> {
        let (sop, eop, hdr, data) = self.beat(block)?;
        // Beyond `sop` the header means nothing.
        self.joiner.push((sop, eop, hdr, data))
    }
}
