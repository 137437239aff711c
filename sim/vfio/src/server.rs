//! The vfio-user connection of one guest: turns its messages into [`Ask`]s of the machine.

use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{sync_channel, Sender};
use std::thread::{self, JoinHandle};

use nitor_abi::bar;
use nitor_sim::iommu::Permission;
use vfio_bindings::bindings::vfio::{
    vfio_region_info, VFIO_IRQ_INFO_EVENTFD, VFIO_IRQ_INFO_NORESIZE, VFIO_PCI_CONFIG_REGION_INDEX,
    VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_NUM_IRQS, VFIO_PCI_NUM_REGIONS, VFIO_REGION_INFO_FLAG_READ,
    VFIO_REGION_INFO_FLAG_WRITE,
};
use vfio_user::{DmaMapFlags, DmaUnmapFlags, IrqInfo, Server, ServerBackend, ServerRegion};

use crate::machine::{Answer, Ask, Message};

/// Bytes of configuration space.
const CONFIG_LEN: u64 = 4096;

/// One guest's handle of the machine.
pub(crate) struct Backend {
    pub guest: usize,
    pub asks: Sender<Message>,
    /// Whether the guest continues without waiting after a doorbell.
    pub posted: bool,
}

impl Backend {
    /// Sends a request and waits for the answer.
    fn ask(&self, ask: Ask) -> Answer {
        let (answer, answered) = sync_channel(1);
        let message = Message { guest: self.guest, ask, answer: Some(answer) };
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.asks.send(message).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }

    /// Sends a request without waiting.
    fn post(&self, ask: Ask) -> io::Result<()> {
        let message = Message { guest: self.guest, ask, answer: None };
        self.asks.send(message).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Doorbells and interrupt registers: a guest need not wait for their effects.
fn is_posted(region: u32, offset: u64) -> bool {
    let registers = u64::from(bar::TX_DOORBELLS)..u64::from(bar::INTERRUPT_NONE) + 4;
    region == 0 && registers.contains(&offset) || region == 2
}

impl ServerBackend for Backend {
    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> io::Result<()> {
        let bytes = self.ask(Ask::Read { region, offset, len: data.len() })?;
        if bytes.len() == data.len() {
            data.copy_from_slice(&bytes);
        }
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        let ask = Ask::Write { region, offset, bytes: data.to_vec() };
        if self.posted && is_posted(region, offset) {
            self.post(ask)
        } else {
            self.ask(ask).map(|_| ())
        }
    }

    fn dma_map(
        &mut self,
        flags: DmaMapFlags,
        offset: u64,
        address: u64,
        size: u64,
        fd: Option<File>,
    ) -> io::Result<()> {
        // ROMs have no file; a card has nothing to read there.
        let Some(file) = fd else { return Ok(()) };
        let permission =
            match (flags.contains(DmaMapFlags::READ), flags.contains(DmaMapFlags::WRITE)) {
                (true, true) => Permission::ReadWrite,
                (true, false) => Permission::Read,
                (false, true) => Permission::Write,
                (false, false) => return Ok(()),
            };
        self.ask(Ask::Map { iova: address, len: size, file, offset, permission }).map(|_| ())
    }

    fn dma_unmap(&mut self, flags: DmaUnmapFlags, address: u64, size: u64) -> io::Result<()> {
        let all = flags.contains(DmaUnmapFlags::UNMAP_ALL);
        let (iova, len) = if all { (0, u64::MAX) } else { (address, size) };
        self.ask(Ask::Unmap { iova, len }).map(|_| ())
    }

    fn reset(&mut self) -> io::Result<()> {
        self.ask(Ask::Reset).map(|_| ())
    }

    fn set_irqs(
        &mut self,
        index: u32,
        _flags: u32,
        start: u32,
        count: u32,
        files: Vec<File>,
    ) -> io::Result<()> {
        if index != VFIO_PCI_MSIX_IRQ_INDEX {
            return Ok(());
        }
        self.ask(Ask::Listen { start, count, files }).map(|_| ())
    }
}

fn region(index: u32, size: u64) -> ServerRegion {
    let flags =
        if size == 0 { 0 } else { VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE };
    let region_info = vfio_region_info {
        argsz: size_of::<vfio_region_info>() as u32,
        flags,
        index,
        cap_offset: 0,
        size,
        offset: 0,
    };
    ServerRegion { region_info, sparse_areas: Vec::new(), mmap_fd: None }
}

/// Serves one guest's connection.
pub(crate) struct Service {
    path: PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    pub fn start(
        path: &Path,
        backend: Backend,
        bars: [u64; 6],
        vectors: usize,
    ) -> Result<Self, vfio_user::Error> {
        let regions = (0..VFIO_PCI_NUM_REGIONS).map(|index| match index {
            0..=5 => region(index, bars[index as usize]),
            VFIO_PCI_CONFIG_REGION_INDEX => region(index, CONFIG_LEN),
            _ => region(index, 0),
        });
        let irqs = (0..VFIO_PCI_NUM_IRQS).map(|index| {
            let msix = index == VFIO_PCI_MSIX_IRQ_INDEX;
            let flags = if msix { VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE } else { 0 };
            IrqInfo { index, flags, count: if msix { vectors as u32 } else { 0 } }
        });
        let server = Server::new(path, true, irqs.collect(), regions.collect())?;
        let mut backend = backend;
        let thread = thread::Builder::new().name(format!("guest {}", backend.guest));
        let thread = thread
            .spawn(move || {
                // A guest that is killed ends its connection in the middle of a message, which is
                // no error.
                let _ = server.run(&mut backend);
                let _ = backend.post(Ask::Gone);
            })
            .map_err(vfio_user::Error::SocketBind)?;
        Ok(Service { path: path.into(), thread: Some(thread) })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // A thread that still waits for a guest gets a connection that closes at once.
        drop(UnixStream::connect(&self.path));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
