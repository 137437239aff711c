//! A cache of build results, which all of a user's checkouts share. Each entry is a folder that is
//! made once. Its name is the cache key: it stands for what the entry was made from.
//!
//! `NAME` is a complete entry: a rename put it there. `NAME.lock` is the lock file of the process
//! that makes the entry; it is removed when that is done. `NAME.PID-N.work` is the folder in which
//! the entry is made. The file `used` in a folder is locked, shared, by each process that uses or
//! still makes the entry; its time is that of the last use. All locks end with their processes.

use crate::{stop, Error};
use std::env;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

/// The environment variable that names the folder for what the user's checkouts share.
pub const FOLDER: &str = "NITOR_CACHE";
/// The environment variable that bounds the size of the models in it, in MiB.
pub const SIZE: &str = "NITOR_CACHE_MIB";

const MIB: u64 = 1 << 20;
/// The bound without it: all models of the tests, with and without counters and waves, several
/// times over.
const USUAL_MIB: u64 = 4096;

pub(crate) const USED: &str = "used";
const PAUSE: Duration = Duration::from_millis(50);
/// An entry that was not used for this long is evicted, however small the cache is.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
/// A work folder without a lock is abandoned if it is this old.
const STALE: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
    /// Bytes.
    bound: u64,
}

/// An entry in use: it is not evicted while this value exists.
#[derive(Debug)]
pub struct Entry {
    pub folder: PathBuf,
    _used: File,
}

impl Cache {
    /// The user's cache. Its libraries are executed, so nobody else may write there.
    pub fn of_user() -> Result<Cache, Error> {
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let given = env::var_os(FOLDER).filter(|path| !path.is_empty()).map(PathBuf::from);
        let ours = || {
            let caches = absolute("XDG_CACHE_HOME");
            Some(caches.or_else(|| Some(absolute("HOME")?.join(".cache")))?.join("nitor"))
        };
        let root = given.or_else(ours).ok_or(Error::NoCache)?;
        let root = std::path::absolute(&root).map_err(at(&root))?;
        let bound = match env::var(SIZE) {
            Ok(text) => text.trim().parse().map_err(|_| Error::Size(text))?,
            Err(_) => USUAL_MIB,
        };
        Ok(Cache::new(&root.join("models"), bound.saturating_mul(MIB)))
    }

    /// A cache in `root` that is kept below `bound` bytes.
    pub fn new(root: &Path, bound: u64) -> Cache {
        Cache { root: root.into(), bound }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The entry `name`, which `make` fills unless it exists. `waiting` is called once if another
    /// process is making the entry.
    pub fn entry(
        &self,
        name: &str,
        waiting: impl FnOnce(),
        make: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<Entry, Error> {
        if let Some(entry) = self.find(name)? {
            return Ok(entry);
        }
        let guard = self.lock(name, waiting)?;
        // The previous holder of the lock may have made the entry.
        let entry = match self.find(name)? {
            Some(entry) => entry,
            None => {
                let entry = self.fill(name, make)?;
                self.tidy();
                entry
            }
        };
        drop(guard);
        Ok(entry)
    }

    /// The entry `name`, if it is complete.
    pub fn find(&self, name: &str) -> Result<Option<Entry>, Error> {
        let folder = self.root.join(name);
        let path = folder.join(USED);
        loop {
            let used = match File::open(&path) {
                Ok(used) => used,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(at(&path)(error)),
            };
            match used.try_lock_shared() {
                Ok(()) if is_at(&used, &path) => {
                    // This fails in a cache that we may not write to, and does not matter there.
                    let _ = used.set_modified(SystemTime::now());
                    return Ok(Some(Entry { folder, _used: used }));
                }
                // The entry is being evicted.
                Ok(()) | Err(TryLockError::WouldBlock) => sleep(PAUSE),
                Err(TryLockError::Error(error)) => return Err(at(&path)(error)),
            }
        }
    }

    /// Removes a bad entry, in use or not: a library that is loaded from it stays in memory.
    pub fn discard(&self, name: &str) -> Result<(), Error> {
        let folder = self.root.join(name);
        let gone = self.beside(name, "gone");
        match fs::rename(&folder, &gone) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&folder)(error)),
            _ => {
                let _ = fs::remove_dir_all(&gone);
                Ok(())
            }
        }
    }

    fn beside(&self, name: &str, what: &str) -> PathBuf {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        self.root.join(format!("{name}.{}-{count}.{what}", process::id()))
    }

    /// Takes the lock file of the entry `name`; waits while another process holds it.
    fn lock(&self, name: &str, waiting: impl FnOnce()) -> Result<Lock, Error> {
        let mut folders = DirBuilder::new();
        folders.recursive(true).mode(0o700).create(&self.root).map_err(at(&self.root))?;
        let path = self.root.join(format!("{name}.lock"));
        let mut waiting = Some(waiting);
        loop {
            let file = File::options().create(true).append(true).open(&path).map_err(at(&path))?;
            match file.try_lock() {
                Ok(()) if is_at(&file, &path) => return Ok(Lock { path, _file: file }),
                Ok(()) => continue, // the holder has just removed it
                Err(TryLockError::Error(error)) => return Err(at(&path)(error)),
                Err(TryLockError::WouldBlock) => {}
            }
            if let Some(waiting) = waiting.take() {
                waiting();
            }
            sleep(PAUSE);
            stop::check()?;
        }
    }

    /// Makes the entry in a work folder, which a rename then completes. So a maker that fails or is
    /// killed leaves nothing that looks like an entry.
    fn fill(
        &self,
        name: &str,
        make: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<Entry, Error> {
        let folder = self.root.join(name);
        let work = self.beside(name, "work");
        let filled = || {
            fs::create_dir(&work).map_err(at(&work))?;
            let path = work.join(USED);
            let used = File::create(&path).map_err(at(&path))?;
            used.lock_shared().map_err(at(&path))?;
            make(&work)?;
            used.set_modified(SystemTime::now()).map_err(at(&path))?;
            fs::rename(&work, &folder).map_err(at(&folder))?;
            Ok(used)
        };
        let used = filled().inspect_err(|_| drop(fs::remove_dir_all(&work)))?;
        Ok(Entry { folder, _used: used })
    }

    /// Evicts the least recently used entries until the rest is within the bound, and removes the
    /// remains of killed processes. Only a maker calls this, and it ignores failures.
    fn tidy(&self) {
        let Ok(listed) = fs::read_dir(&self.root) else { return };
        let mut entries = Vec::new();
        let mut total = 0;
        for folder in listed.filter_map(|entry| Some(entry.ok()?.path())) {
            match folder.extension().and_then(|extension| extension.to_str()) {
                Some("gone") => drop(fs::remove_dir_all(&folder)),
                Some("work") => remove_stale(&folder),
                Some(_) => {}
                None => {
                    let used = fs::metadata(folder.join(USED)).and_then(|used| used.modified());
                    let size = size(&folder);
                    total += size;
                    entries.push((used.unwrap_or(SystemTime::UNIX_EPOCH), folder, size));
                }
            }
        }
        entries.sort();
        for (used, folder, size) in entries {
            let old = used.elapsed().is_ok_and(|age| age > KEPT);
            if total <= self.bound && !old {
                return;
            }
            if self.evict(&folder).is_some() {
                total -= size;
            }
        }
    }

    /// Evicts an entry. None if it is in use.
    fn evict(&self, folder: &Path) -> Option<()> {
        let path = folder.join(USED);
        let used = File::open(&path).ok()?;
        used.try_lock().ok()?;
        is_at(&used, &path).then_some(())?;
        self.discard(folder.file_name()?.to_str()?).ok()
    }
}

/// The lock of a process that makes an entry.
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The file is removed while the lock is held: a process that has opened it before sees that
        // the path no longer leads to it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether `path` still leads to the open `file`.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// Removes the work folder of a maker that was killed.
fn remove_stale(work: &Path) {
    let stale = match File::open(work.join(USED)) {
        Ok(used) => used.try_lock().is_ok(),
        // The maker has just begun, or was killed before it could create the file.
        Err(_) => fs::metadata(work)
            .and_then(|found| found.modified())
            .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > STALE)),
    };
    if stale {
        let _ = fs::remove_dir_all(work);
    }
}

fn size(folder: &Path) -> u64 {
    let Ok(files) = fs::read_dir(folder) else { return 0 };
    files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum()
}

/// Says which file an error is about.
pub fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    |error| Error::Io(path, error)
}
