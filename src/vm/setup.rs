//! Finds what a guest needs, which `tools/setup-vm` fetches: QEMU, a kernel, busybox and ethtool.

use crate::progress;
use crate::report::Failure;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Modules that go into the guest, if its kernel has them; the rest of the kernel's are not needed.
const MODULES: [&str; 3] = ["ena", "e1000e", "pktgen"];
/// More of them for drivers in user space, each after those that it needs.
pub const VFIO: [&str; 6] =
    ["irqbypass", "vfio", "vfio_virqfd", "vfio_iommu_type1", "vfio-pci-core", "vfio-pci"];

/// Unpacked packages: QEMU's and what it needs.
pub struct Tools {
    root: PathBuf,
}

/// A kernel, its modules by file name, and unpacked packages of its time: busybox, ethtool.
pub struct Kernel {
    pub image: PathBuf,
    pub release: String,
    pub modules: Vec<(String, Vec<u8>)>,
    pub user: PathBuf,
    /// Unpacked packages of DPDK, if asked for.
    pub dpdk: Option<Dpdk>,
}

/// DPDK's testpmd with its driver of ENA cards.
pub struct Dpdk {
    root: PathBuf,
}

/// A folder of the checkout we are in, or were built from.
fn find(name: &str) -> Option<PathBuf> {
    let here = env::current_dir().unwrap_or_default();
    let starts = [here.as_path(), Path::new(env!("CARGO_MANIFEST_DIR"))];
    let mut roots = starts.iter().flat_map(|start| start.ancestors());
    roots.find(|root| root.join(name).exists()).map(|root| root.join(name))
}

fn missing(what: &str) -> Failure {
    Failure::Environment(format!("{what}: run tools/setup --vm in a checkout of Nitor"))
}

/// Sets up QEMU and the kernel named `kernel`: 6.1, 6.12, newest, or a kernel image's file, whose modules are beside it as
/// packages have them (`../lib/modules/<release>`); and DPDK.
pub fn get(kernel: &str, dpdk: bool) -> Result<(Tools, Kernel), Failure> {
    let file = Path::new(kernel);
    let named = !file.is_file();
    let of = if named { kernel } else { "6.1" };
    let script = find("tools/setup-vm").ok_or_else(|| missing("no QEMU and kernel"))?;
    let mut command = Command::new("bash");
    command.arg(&script).args(["--where", "--kernel", of]).args(dpdk.then_some("--dpdk"));
    let (lines, status) = progress::script(&mut command)?;
    if !status.success() {
        let said = lines.iter().filter_map(|line| line.strip_prefix("setup: "));
        let said = said.collect::<Vec<_>>().join("; ");
        return Err(Failure::Environment(format!("no QEMU or kernel: {said}")));
    }
    let place = |part: &str| {
        let begin = format!("where: {part} ");
        let place = lines.iter().find_map(|line| line.strip_prefix(&begin)).map(PathBuf::from);
        place.ok_or_else(|| missing(part))
    };
    let tools = Tools { root: place("qemu")? };
    let user = place(&format!("kernel-{of}"))?;
    let mut kernel = if named {
        let (image, release) = image(&user).ok_or_else(|| missing("the kernel is not there"))?;
        read_kernel(image, release, &user.clone(), user)?
    } else {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let release = name.strip_prefix("vmlinuz-").unwrap_or(&name).to_string();
        let root = file.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
        read_kernel(file.into(), release, root, user)?
    };
    if dpdk {
        kernel.dpdk = Some(Dpdk { root: place("dpdk")? });
    }
    Ok((tools, kernel))
}

/// The kernel image of a package and its release: in `boot`, or beside its modules.
fn image(root: &Path) -> Option<(PathBuf, String)> {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let boot = entries(&root.join("boot")).into_iter().find_map(|path| {
        let release = name(&path)?.strip_prefix("vmlinuz-")?.to_string();
        Some((path, release))
    });
    boot.or_else(|| {
        let folders = entries(&root.join("usr/lib/modules"));
        let found = folders.into_iter().find(|folder| folder.join("vmlinuz").is_file())?;
        Some((found.join("vmlinuz"), name(&found)?))
    })
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// All files below `folder`.
fn below(folder: &Path) -> Vec<PathBuf> {
    let (folders, mut files): (Vec<_>, Vec<_>) =
        entries(folder).into_iter().partition(|path| path.is_dir() && !path.is_symlink());
    files.extend(folders.iter().flat_map(|folder| below(folder)));
    files
}

fn read_kernel(
    image: PathBuf,
    release: String,
    root: &Path,
    user: PathBuf,
) -> Result<Kernel, Failure> {
    let folders = [root.join("lib/modules"), root.join("usr/lib/modules")];
    let folder = folders.iter().map(|folder| folder.join(&release)).find(|folder| folder.is_dir());
    let folder = folder.ok_or_else(|| {
        Failure::Input(format!("{}: no modules of {release} beside it", image.display()))
    })?;
    let mut modules = Vec::new();
    for path in below(&folder.join("kernel")) {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let Some((module, packed)) = name.split_once(".ko") else { continue };
        if MODULES.contains(&module) || VFIO.contains(&module) {
            modules.push((format!("{module}.ko"), unpacked(&path, packed, &user)?));
        }
    }
    if !modules.iter().any(|(name, _)| name == "ena.ko") {
        let folder = folder.display();
        return Err(Failure::Input(format!("{folder} has no ENA module: is it a cloud kernel?")));
    }
    Ok(Kernel { image, release, modules, user, dpdk: None })
}

impl Tools {
    /// QEMU, started by its own loader, with its own libraries and data.
    pub fn qemu(&self) -> Command {
        let root = &self.root;
        let mut command = Command::new(root.join("usr/lib64/ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(root.join("usr/lib/x86_64-linux-gnu"));
        command.arg(root.join("usr/bin/qemu-system-x86_64"));
        for data in ["usr/share/qemu", "usr/share/seabios"] {
            command.arg("-L").arg(root.join(data));
        }
        command
    }
}

impl Kernel {
    /// A shared library of the unpacked packages.
    pub fn library(&self, name: &str) -> Result<PathBuf, Failure> {
        let folders = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
        let mut places = folders.iter().map(|folder| self.user.join(folder).join(name));
        places.find(|path| path.exists()).ok_or_else(|| missing(name))
    }

    /// A file that may be below `usr` or not: suites differ.
    pub fn program(&self, name: &str) -> Result<PathBuf, Failure> {
        let mut places = [self.user.join(name), self.user.join("usr").join(name)].into_iter();
        places.find(|path| path.exists()).ok_or_else(|| missing(name))
    }
}

/// Where libraries are in unpacked packages, and are to be in a guest: its loader looks there.
const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];

impl Dpdk {
    /// What goes into a guest, and from where: testpmd, its drivers, and all that the loader wants for them.
    pub fn files(&self) -> Result<Vec<(String, PathBuf)>, Failure> {
        let root = &self.root;
        let path = LIBRARIES.map(|folder| root.join(folder).display().to_string()).join(":");
        let mut files =
            vec![("usr/bin/dpdk-testpmd".to_string(), root.join("usr/bin/dpdk-testpmd"))];
        for driver in ["librte_net_ena.so.23", "librte_mempool_ring.so.23"] {
            files
                .push((format!("{}/{driver}", LIBRARIES[1]), root.join(LIBRARIES[0]).join(driver)));
        }
        for at in 0..3 {
            let output = Command::new(root.join("lib64/ld-linux-x86-64.so.2"))
                .args(["--library-path", &path, "--list"])
                .arg(&files[at].1)
                .output()
                .map_err(|e| Failure::Environment(format!("cannot run DPDK's loader: {e}")))?;
            let listed = String::from_utf8_lossy(&output.stdout).into_owned();
            for (name, from) in listed.lines().filter_map(library) {
                if !output.status.success() || !from.starts_with(root) {
                    return Err(missing(name));
                }
                let name = format!("{}/{name}", LIBRARIES[1]);
                if !files.iter().any(|(known, _)| *known == name) {
                    files.push((name, from));
                }
            }
        }
        Ok(files)
    }
}

/// A line of what a loader lists: a library, and where it is; not the loader itself, nor what the kernel provides.
fn library(line: &str) -> Option<(&str, PathBuf)> {
    let (name, from) = line.trim().split_once(" => ")?;
    if name.starts_with('/') {
        return None;
    }
    Some((name, from.split(" (").next()?.into()))
}

/// The bytes of a module, which may be packed as its name's end tells.
fn unpacked(path: &Path, packed: &str, user: &Path) -> Result<Vec<u8>, Failure> {
    let cannot =
        |e: std::io::Error| Failure::Environment(format!("cannot read {}: {e}", path.display()));
    let applet = match packed {
        "" => return fs::read(path).map_err(cannot),
        ".xz" => "xzcat",
        ".gz" => "zcat",
        _ => return Err(Failure::Input(format!("{}: not packed by xz", path.display()))),
    };
    let busybox = ["bin/busybox", "usr/bin/busybox"].map(|name| user.join(name));
    let busybox = busybox.iter().find(|path| path.exists()).ok_or_else(|| missing("busybox"))?;
    let output = Command::new(busybox).arg(applet).arg(path).output().map_err(cannot)?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(cannot(std::io::Error::other(format!("{applet} failed")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_loader_lists_is_read() {
        let at = |path: &str| Some(PathBuf::from(path));
        let list = "\tlinux-vdso.so.1 (0x00007fff)\n\tlibm.so.6 => /r/lib/libm.so.6 (0x00007f)\n\
                    \tlibno.so.1 => not found\n\t/lib64/ld-linux-x86-64.so.2 => /r/ld.so (0x00007f)\n";
        let read: Vec<_> = list.lines().map(library).collect();
        assert_eq!(read[0], None);
        assert_eq!(read[1], at("/r/lib/libm.so.6").map(|path| ("libm.so.6", path)));
        // The file is not below the packages, so it is missing.
        assert_eq!(read[2], at("not found").map(|path| ("libno.so.1", path)));
        assert_eq!(read[3], None);
    }
}
