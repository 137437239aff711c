//! The harness of the fuzz targets. libFuzzer makes the inputs. Its feedback is the coverage of the
//! branches of the card's Verilog, which the Verilated model counts.
//!
//! The card is brought up once. Each input runs in a child process that starts from there, so that
//! inputs are independent and a failure is repeatable.

#![allow(dead_code)] // Each target uses its part.

use std::cell::RefCell;
use std::ptr::addr_of_mut;
use std::rc::Rc;
use std::slice;

use nitor_sim::{HostConfig, World};
use nix::errno::Errno;
use nix::sys::mman::{mmap_anonymous, MapFlags, ProtFlags};
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{fork, ForkResult};

/// More than any model has branches.
const BRANCHES: usize = 1 << 14;

/// libFuzzer takes what it finds in this section for coverage.
#[no_mangle]
#[link_section = "__libfuzzer_extra_counters"]
static mut COUNTERS: [u8; BRANCHES] = [0; BRANCHES];

/// Memory that children and parent share.
pub struct Shared(&'static mut [u8]);

impl Shared {
    pub fn new() -> Self {
        let len = BRANCHES.try_into().expect("not zero");
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: fresh memory, of this length, that is never given back.
        let bytes = unsafe {
            let memory =
                mmap_anonymous(None, len, protection, MapFlags::MAP_SHARED).expect("shared memory");
            slice::from_raw_parts_mut(memory.as_ptr().cast(), BRANCHES)
        };
        Shared(bytes)
    }

    /// Runs `input` in a child; its branches become this process's coverage. Panics if the child does.
    pub fn run(&mut self, world: &Rc<RefCell<World>>, input: impl FnOnce()) {
        self.0.fill(0);
        // SAFETY: there is one thread, and the child ends without returning from here.
        match unsafe { fork() }.expect("a child") {
            ForkResult::Child => {
                let before = world.borrow().host(0).coverage().to_vec();
                input();
                let world = world.borrow();
                let counts = world.host(0).coverage().iter().zip(&before);
                for (seen, (now, then)) in self.0.iter_mut().zip(counts) {
                    *seen = now.wrapping_sub(*then).min(255) as u8;
                }
                // SAFETY: ends the process at once, without what libFuzzer does at the end of its own.
                unsafe { nix::libc::_exit(0) }
            }
            ForkResult::Parent { child } => {
                let status = loop {
                    match waitpid(child, None) {
                        // libFuzzer's clock.
                        Err(Errno::EINTR) => continue,
                        status => break status.expect("the child's end"),
                    }
                };
                // SAFETY: nobody else uses the counters while an input runs.
                unsafe { (*addr_of_mut!(COUNTERS)).copy_from_slice(self.0) };
                assert_eq!(status, WaitStatus::Exited(child, 0), "the card or its bench failed");
            }
        }
    }
}

/// Bytes of an input, taken one after the other; zeros when there are no more.
pub struct Input<'a>(pub &'a [u8]);

impl Input<'_> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub fn half(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    pub fn word(&mut self) -> u32 {
        u32::from(self.half()) | u32::from(self.half()) << 16
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }
}

/// A host whose card counts branches.
pub fn counting(mut host: HostConfig) -> HostConfig {
    host.features.branches = true;
    host
}

/// The seed of the worlds: inputs are what varies.
pub const SEED: u64 = 7;
