//! The recipe of a library, and the loaded library.

use crate::cache::{at, Cache, Entry};
use crate::progress::{say, Progress};
use crate::verilate::{listed, verilate};
use crate::{compile, fill, verilate, Counts, Error, Toolchain};
use sha2::{Digest, Sha256};
use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};

/// The files in a cache entry: the library, and its checksum.
pub(crate) const LIBRARY: &str = "model.so";
const SUM: &str = "sum";

/// How the C++ is divided into files for the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    /// All in one file.
    One,
    /// The files that Verilator has written, compiled in parallel.
    Many,
}

/// Everything that a library depends on, besides the tools.
#[derive(Clone, Copy, Debug)]
pub struct Recipe<'a> {
    /// What it is a model of.
    pub name: &'a str,
    /// Whether progress is shown, because the library takes long to make.
    pub told: bool,
    /// Files for Verilator, by their names, in this order; none if there is nothing to verilate.
    pub verilog: &'a [(&'a str, &'a str)],
    /// Flags of Verilator; `--prefix` is among them.
    pub verilate: &'a [&'a str],
    /// C++ files by name: those with `.cc` are compiled.
    pub sources: &'a [(&'a str, &'a str)],
    pub defines: &'a [&'a str],
    /// Whether it needs Verilator's run time, whose `vl_fatal` it then defines.
    pub runtime: bool,
    /// The level of optimisation.
    pub level: u8,
    pub units: Units,
    /// Whether the model can write waves. Such a model takes longer to compile, and to run.
    pub waves: bool,
    pub counts: Counts,
}

/// A loaded library.
#[derive(Debug)]
pub struct Library {
    library: libloading::Library,
    path: PathBuf,
    /// This field is dropped after the library, so the entry is not evicted before the library is
    /// unloaded.
    _entry: Entry,
}

/// The hash of `parts`, for cache keys.
pub fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex(&hash.finalize()[..16])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Recipe<'_> {
    /// The library, from the user's cache.
    pub fn library(&self) -> Result<Library, Error> {
        self.library_in(&Cache::of_user()?)
    }

    /// The library from `cache`, which makes it if it does not exist.
    pub fn library_in(&self, cache: &Cache) -> Result<Library, Error> {
        let tools = Toolchain::find()?;
        let name = self.key(tools);
        let progress = OnceCell::new();
        let progress = || progress.get_or_init(|| Progress::new(self.told.then_some(self.name)));
        let waiting = || {
            progress().stage("waiting for another process, which is at it");
            progress().line("waiting for another process, which is at it");
        };
        let log = cache.root().join(format!("{name}.log"));
        let make = |work: &Path| self.make(cache, tools, work, progress());
        let make = |work: &Path| make(work).map_err(|error| self.logged(error, &log));
        let mut entry = cache.entry(&name, waiting, make)?;
        if !is_whole(&entry) {
            say(&format!("{} is damaged: making it again", entry.folder.display()));
            cache.discard(&name)?;
            entry = cache.entry(&name, waiting, make)?;
        }
        if !is_whole(&entry) {
            return Err(Error::Damaged(entry.folder));
        }
        Library::load(entry)
    }

    /// The cache key of the library: the name of its folder.
    fn key(&self, tools: &Toolchain) -> String {
        let Recipe { verilate, defines, runtime, level, units, waves, counts, .. } = self;
        let flags = (verilate::FLAGS, compile::FLAGS, verilate, defines, runtime, level, units);
        let mut parts = vec![tools.identity.clone(), format!("{flags:?} {waves} {counts:?}")];
        // The texts include what fills memories and what adds counts up.
        for (name, text) in self.texts() {
            parts.extend([name.to_owned(), text]);
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let plain = |c: char| if c.is_alphanumeric() || c == '-' { c } else { '_' };
        format!("{}-{}", self.name.chars().map(plain).collect::<String>(), digest(&parts))
    }

    /// All files, as they are given to the tools.
    fn texts(&self) -> impl Iterator<Item = (&str, String)> {
        let verilog = self.verilog.iter().map(|&(name, text)| (name, fill::filled(text)));
        let sources = self.sources.iter().map(|&(name, text)| (name, text.to_owned()));
        verilog.chain(sources).chain([("coverage.h", include_str!("coverage.h").to_owned())])
    }

    /// The sources that are compiled.
    pub(crate) fn units(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(|(name, _)| *name).filter(|name| name.ends_with(".cc"))
    }

    fn make(
        &self,
        cache: &Cache,
        tools: &Toolchain,
        work: &Path,
        progress: &Progress,
    ) -> Result<(), Error> {
        progress
            .line("verilating and compiling, at its first use alone; that takes a minute or so");
        for (name, text) in self.texts() {
            let path = work.join(name);
            let folder = path.parent().unwrap_or(work);
            fs::create_dir_all(folder).map_err(at(folder))?;
            fs::write(&path, text).map_err(at(&path))?;
        }
        progress.stage("verilating...");
        let generated = match self.verilog {
            [] => Vec::new(),
            _ => verilate(tools, self, work)?,
        };
        progress.stage("compiling Verilator's run time...");
        let runtime = self.runtime.then(|| compile::runtime(cache, tools, self)).transpose()?;
        let runtime = runtime.map_or(Ok(Vec::new()), |found| listed(&found.folder, "o"))?;
        match self.units {
            Units::One => compile::as_one(tools, self, work, &generated, &runtime)?,
            Units::Many => {
                let done = |n, all| progress.stage(&format!("compiling {n}/{all}"));
                compile::as_many(tools, self, work, &generated, &runtime, done)?;
            }
        }
        self.clear(work)?;
        let sum = work.join(SUM);
        fs::write(&sum, checksum(&work.join(LIBRARY))?).map_err(at(&sum))?;
        progress.line(&format!("made in {} s", progress.seconds()));
        Ok(())
    }

    /// Removes everything but the library, and the Verilog for reference.
    fn clear(&self, work: &Path) -> Result<(), Error> {
        for entry in fs::read_dir(work).map_err(at(work))? {
            let path = entry.map_err(at(work))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let kept = name.ends_with(".v") || name == LIBRARY || name == crate::cache::USED;
            if !kept {
                let removed =
                    if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.map_err(at(&path))?;
            }
        }
        Ok(())
    }

    /// Writes the output of a failed tool to a log file, if progress is shown for the model.
    fn logged(&self, error: Error, log: &Path) -> Error {
        match error {
            Error::Tool { tool, status, output, log: None }
                if self.told && fs::write(log, &output).is_ok() =>
            {
                Error::Tool { tool, status, output, log: Some(log.into()) }
            }
            error => error,
        }
    }
}

fn checksum(path: &Path) -> Result<String, Error> {
    let bytes = fs::read(path).map_err(at(path))?;
    Ok(hex(&Sha256::digest(&bytes)))
}

/// Whether the library matches its checksum. To load half of a library would end the process.
fn is_whole(entry: &Entry) -> bool {
    let sum = fs::read_to_string(entry.folder.join(SUM));
    let found = checksum(&entry.folder.join(LIBRARY));
    matches!((sum, found), (Ok(sum), Ok(found)) if sum == found)
}

impl Library {
    fn load(entry: Entry) -> Result<Library, Error> {
        let path = entry.folder.join(LIBRARY);
        // SAFETY: the library is ours: loading it runs nothing but C++'s own initialisers.
        let library = unsafe { libloading::Library::new(&path) };
        let library = library.map_err(|error| Error::Load(path.clone(), error))?;
        Ok(Library { library, path, _entry: entry })
    }

    /// What the library exports under `name`.
    ///
    /// # Safety
    /// The symbol is a `T`, and is not used after the library is unloaded.
    pub unsafe fn get<T: Copy>(&self, name: &str) -> Result<T, Error> {
        let symbol = self.library.get::<T>(name.as_bytes());
        symbol.map(|symbol| *symbol).map_err(|error| Error::Load(self.path.clone(), error))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}
