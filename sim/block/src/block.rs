//! One running instance of a model, whose ports a test sets and reads.

use crate::model::{Code, Direction, Handle, Model, Port};
use bitvec::prelude::*;
use nitor_model::{at, Error};
use std::ffi::{c_int, c_void, CStr, CString};
use std::fs::File;
use std::path::Path;
use std::ptr;
use std::slice;
use std::sync::Arc;

/// A port of a block, found once by [`Block::port`] and then used without looking up its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortId(usize);

/// A port, given by its name or its [`PortId`].
pub trait AsPort {
    fn id(&self, block: &Block) -> PortId;
}

impl AsPort for PortId {
    fn id(&self, _: &Block) -> PortId {
        *self
    }
}

impl AsPort for str {
    fn id(&self, block: &Block) -> PortId {
        block.port(self)
    }
}

impl AsPort for String {
    fn id(&self, block: &Block) -> PortId {
        block.port(self)
    }
}

impl<T: AsPort + ?Sized> AsPort for &T {
    fn id(&self, block: &Block) -> PortId {
        (*self).id(block)
    }
}

/// Picoseconds of a clock cycle in a trace: 250 MHz, the nominal clock of the card.
const PERIOD: u64 = 4000;

// Wide ports are copied to and from memory as they are.
const _: () = assert!(cfg!(target_endian = "little"));

/// A block under test.
///
/// Inputs take effect with the next [`eval`](Block::eval) or [`tick`](Block::tick). Mistakes of
/// the test (no such port, a value too wide, an output set) and failures of the model (`$stop`, a
/// failed assertion, combinational logic that does not settle) panic: this is for tests.
pub struct Block {
    model: Model,
    code: Arc<Code>,
    handle: Handle,
    /// Where each port's value is, as Verilator lays it out: 1, 2, 4 or 8 bytes, or 32-bit words.
    storage: Vec<*mut c_void>,
    clock: Option<PortId>,
    seed: u64,
    cycles: u64,
    now: u64,
    evaluated: bool,
    tracing: bool,
}

// SAFETY: a block owns its instance, and shares no mutable state with others. Verilator keeps some
// state in thread-local variables, which the shim sets on every call.
unsafe impl Send for Block {}

impl Block {
    pub(crate) fn new(model: Model, code: Arc<Code>, seed: u64) -> Block {
        let mut storage = vec![ptr::null_mut(); model.ports().len()];
        // Verilator's seed is 31 bits wide, and 0 would mean the time of day.
        let folded = ((seed ^ (seed >> 31)) & 0x7fff_ffff).max(1) as c_int;
        // SAFETY: `storage` has room for every port of the model the code was made from.
        let handle = unsafe {
            let handle = (code.new)(folded);
            (code.ports)(handle, storage.as_mut_ptr());
            handle
        };
        let clock = model.ports().iter().position(|port| port.name == "clock").map(PortId);
        Block {
            model,
            code,
            handle,
            storage,
            clock,
            seed,
            cycles: 0,
            now: 0,
            evaluated: false,
            tracing: false,
        }
    }

    /// The port called `name`.
    pub fn port(&self, name: &str) -> PortId {
        self.find_port(name).unwrap_or_else(|| {
            let names: Vec<&str> = self.ports().iter().map(|port| port.name.as_str()).collect();
            panic!("`{}` has no port `{name}`; it has {}", self.model.top(), names.join(", "))
        })
    }

    /// The port called `name`, if there is one.
    pub fn find_port(&self, name: &str) -> Option<PortId> {
        self.ports().iter().position(|port| port.name == name).map(PortId)
    }

    pub fn ports(&self) -> &[Port] {
        self.model.ports()
    }

    /// A port's width in bits.
    pub fn width(&self, port: impl AsPort) -> usize {
        let id = port.id(self);
        self.ports()[id.0].width
    }

    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Sets an input of up to 64 bits.
    pub fn set(&mut self, port: impl AsPort, value: u64) {
        let id = port.id(self);
        let width = self.input(id);
        assert!(width <= 64, "`{}` has {width} bits: use set_bits", self.name(id));
        assert!(
            width == 64 || value >> width == 0,
            "{value:#x} does not fit into the {width} bits of `{}`",
            self.name(id)
        );
        let at = self.storage[id.0];
        // SAFETY: the storage of a port is of this size and aligned to it.
        unsafe {
            match width {
                0..=8 => at.cast::<u8>().write(value as u8),
                9..=16 => at.cast::<u16>().write(value as u16),
                17..=32 => at.cast::<u32>().write(value as u32),
                _ => at.cast::<u64>().write(value),
            }
        }
    }

    /// The value of a port of up to 64 bits.
    pub fn get(&self, port: impl AsPort) -> u64 {
        let id = port.id(self);
        let width = self.width(id);
        assert!(width <= 64, "`{}` has {width} bits: use get_bits", self.name(id));
        let at = self.storage[id.0];
        // SAFETY: as in `set`.
        unsafe {
            match width {
                0..=8 => at.cast::<u8>().read().into(),
                9..=16 => at.cast::<u16>().read().into(),
                17..=32 => at.cast::<u32>().read().into(),
                _ => at.cast::<u64>().read(),
            }
        }
    }

    /// Sets an input of any width, bit 0 first.
    pub fn set_bits<T: BitStore>(&mut self, port: impl AsPort, bits: &BitSlice<T, Lsb0>) {
        let id = port.id(self);
        let width = self.input(id);
        assert_eq!(bits.len(), width, "bits for `{}`, which has {width}", self.name(id));
        for (to, bits) in self.bytes_mut(id).iter_mut().zip(bits.chunks(8)) {
            *to = bits.load_le();
        }
    }

    /// The value of a port of any width, bit 0 first.
    pub fn get_bits(&self, port: impl AsPort) -> BitVec {
        let id = port.id(self);
        let words = self.bytes(id).chunks(size_of::<usize>()).map(|bytes| {
            let mut word = [0; size_of::<usize>()];
            word[..bytes.len()].copy_from_slice(bytes);
            usize::from_le_bytes(word)
        });
        let mut bits = BitVec::from_vec(words.collect());
        bits.truncate(self.width(id));
        bits
    }

    /// Sets an input whose width is a multiple of 8, byte 0 in bits 7:0.
    pub fn set_bytes(&mut self, port: impl AsPort, bytes: &[u8]) {
        let id = port.id(self);
        let width = self.input(id);
        assert_eq!(bytes.len() * 8, width, "bits for `{}`, which has {width}", self.name(id));
        self.bytes_mut(id).copy_from_slice(bytes);
    }

    /// The value of a port, byte 0 from bits 7:0.
    pub fn get_bytes(&self, port: impl AsPort) -> Vec<u8> {
        let id = port.id(self);
        self.bytes(id).to_vec()
    }

    /// Evaluates the block, so that the inputs take effect.
    pub fn eval(&mut self) {
        self.evaluated = true;
        // SAFETY: the handle is alive; the text lives as long as it.
        let failure = unsafe {
            let failure = (self.code.eval)(self.handle, self.now);
            (!failure.is_null()).then(|| CStr::from_ptr(failure).to_string_lossy())
        };
        if let Some(failure) = failure {
            panic!("`{}` in cycle {}: {failure}", self.model.top(), self.cycles);
        }
        // With a clock, time passes and is traced by half cycles.
        if self.clock.is_none() {
            self.dump();
            self.now += PERIOD;
        }
    }

    /// The first half of a cycle: `clock` falls, and outputs settle for the inputs as they are.
    pub fn clock_low(&mut self) {
        self.half(0);
    }

    /// The second half of a cycle: `clock` rises, and the block samples its inputs.
    pub fn clock_high(&mut self) {
        self.half(1);
        self.cycles += 1;
    }

    /// Runs one cycle of `clock`.
    pub fn tick(&mut self) {
        self.clock_low();
        self.clock_high();
    }

    /// Holds `reset` high for `cycles` cycles; then it is low, and the outputs have settled.
    pub fn reset(&mut self, cycles: u64) {
        let reset = self.port("reset");
        self.set(reset, 1);
        for _ in 0..cycles {
            self.tick();
        }
        self.set(reset, 0);
        self.eval();
    }

    /// Cycles so far, reset included.
    pub fn cycles(&self) -> u64 {
        self.cycles
    }

    /// Writes all signals from now on to an FST file. Only a block that has not been evaluated yet
    /// can be traced: its code is exchanged for code that can write traces.
    pub fn trace(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        if self.evaluated {
            return Err(Error::Trace("ask for it before the block runs".into()));
        }
        let path = path.as_ref();
        let name = CString::new(path.as_os_str().as_encoded_bytes())
            .map_err(|_| Error::Trace(format!("not a path: {}", path.display())))?;
        // Verilator's writer does not report a file that it cannot write.
        File::create(path).map_err(at(path))?;
        let code = self.model.traced()?;
        let open = code.trace.expect("compiled for it").open;
        let mut traced = Block::new(self.model.clone(), code, self.seed);
        for (i, port) in self.model.ports().iter().enumerate() {
            if port.direction == Direction::In {
                traced.set_bits(PortId(i), &self.get_bits(PortId(i)));
            }
        }
        // SAFETY: the handle is alive; the text, if any, lives as long as it.
        unsafe {
            let failure = open(traced.handle, name.as_ptr());
            if !failure.is_null() {
                return Err(Error::Trace(CStr::from_ptr(failure).to_string_lossy().into_owned()));
            }
        }
        traced.tracing = true;
        *self = traced;
        Ok(())
    }

    fn half(&mut self, level: u64) {
        let Some(clock) = self.clock else {
            panic!("`{}` has no port `clock`: use eval", self.model.top());
        };
        self.set(clock, level);
        self.eval();
        self.dump();
        self.now += PERIOD / 2;
    }

    fn dump(&self) {
        if self.tracing {
            let dump = self.code.trace.expect("a traced block's code can trace").dump;
            // SAFETY: the handle is alive and its trace open.
            unsafe { dump(self.handle, self.now) }
        }
    }

    /// The storage of a port, without the padding.
    fn bytes(&self, id: PortId) -> &[u8] {
        // SAFETY: the storage has at least as many bits as the port, and only `self` changes it.
        unsafe { slice::from_raw_parts(self.storage[id.0].cast(), self.width(id).div_ceil(8)) }
    }

    fn bytes_mut(&mut self, id: PortId) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { slice::from_raw_parts_mut(self.storage[id.0].cast(), self.width(id).div_ceil(8)) }
    }

    fn name(&self, id: PortId) -> &str {
        &self.ports()[id.0].name
    }

    /// The width of a port, which must be an input.
    fn input(&self, id: PortId) -> usize {
        let port = &self.ports()[id.0];
        assert!(port.direction == Direction::In, "`{}` is an output", port.name);
        port.width
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: made by the same code's `new`, and not used after this.
        unsafe { (self.code.delete)(self.handle) }
    }
}
