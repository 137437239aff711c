//! The guest's only file system: busybox, ethtool, the kernel's own ENA module, and our `init`.

use crate::report::Failure;
use crate::vm::setup::{Dpdk, Kernel};
use cpio::newc::{trailer, Builder, ModeFileType};
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

const INIT: &str = include_str!("init");
/// What ethtool is linked against; its own loader comes with it.
const LIBRARIES: [&str; 3] = ["libmnl.so.0", "libm.so.6", "libc.so.6"];

struct Archive {
    bytes: Vec<u8>,
    folders: BTreeSet<String>,
    inode: u32,
}

impl Archive {
    fn entry(&mut self, name: &str, kind: ModeFileType, mode: u32, data: &[u8]) -> io::Result<()> {
        self.inode += 1;
        let builder = Builder::new(name).ino(self.inode).mode(mode).nlink(1);
        let builder = builder.set_mode_file_type(kind);
        let len = u32::try_from(data.len()).map_err(io::Error::other)?;
        let mut writer = builder.write(&mut self.bytes, len);
        writer.write_all(data)?;
        writer.finish().map(|_| ())
    }

    fn file(&mut self, name: &str, mode: u32, data: &[u8]) -> io::Result<()> {
        for (at, _) in name.match_indices('/') {
            if self.folders.insert(name[..at].to_string()) {
                self.entry(&name[..at], ModeFileType::Directory, 0o755, &[])?;
            }
        }
        self.entry(name, ModeFileType::Regular, mode, data)
    }
}

/// Packs it.
pub fn pack(kernel: &Kernel) -> Result<Vec<u8>, Failure> {
    let cannot = |what: &Path, error: io::Error| {
        Failure::Environment(format!("cannot pack {}: {error}", what.display()))
    };
    let mut archive = Archive { bytes: Vec::new(), folders: BTreeSet::new(), inode: 0 };
    let mut add = |name: &str, mode: u32, from: &Path| {
        let data = fs::read(from).map_err(|e| cannot(from, e))?;
        archive.file(name, mode, &data).map_err(|e| cannot(from, e))
    };
    for (name, mode) in
        [("bin/busybox", 0o755), ("sbin/ethtool", 0o755), ("lib64/ld-linux-x86-64.so.2", 0o755)]
    {
        add(name, mode, &kernel.program(name)?)?;
    }
    for name in LIBRARIES {
        // The loader searches this folder by default.
        add(&format!("lib/{name}"), 0o644, &kernel.library(name)?)?;
    }
    for (name, from) in kernel.dpdk.iter().map(Dpdk::files).collect::<Result<Vec<_>, _>>()?.concat()
    {
        if !LIBRARIES.iter().any(|known| name.ends_with(&format!("/{known}"))) {
            add(&name, 0o755, &from)?;
        }
    }
    let root = &kernel.image;
    for (name, data) in &kernel.modules {
        archive.file(&format!("lib/modules/{name}"), 0o644, data).map_err(|e| cannot(root, e))?;
    }
    archive.file("init", 0o755, INIT.as_bytes()).map_err(|e| cannot(root, e))?;
    trailer(&mut archive.bytes).map_err(|e| cannot(root, e))?;
    Ok(archive.bytes)
}
