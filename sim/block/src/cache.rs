//! Build results in the target directory, named by the hash of what they are made from.

use crate::Error;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The cache lives in the target directory, so that `cargo clean` takes it along. Cargo marks that
/// directory; it is an ancestor of the one it gave our build script.
fn root() -> PathBuf {
    let out = Path::new(env!("OUT_DIR"));
    let target = out.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    target.unwrap_or(out).join("nitor-block-cache")
}

/// The folder for `name` made from `inputs`, filled by `build` unless it is there already. Whoever
/// comes second waits for the first; a build that fails or is killed leaves nothing behind that
/// would be taken for a result.
pub(crate) fn folder(
    name: &str,
    inputs: &[&str],
    build: impl FnOnce(&Path) -> Result<(), Error>,
) -> Result<PathBuf, Error> {
    let mut hash = Sha256::new();
    for input in inputs {
        hash.update((input.len() as u64).to_le_bytes());
        hash.update(input);
    }
    let name: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let root = root();
    let result = root.join(format!("{name}-{}", &digest[..32]));
    if result.is_dir() {
        return Ok(result);
    }

    fs::create_dir_all(&root).map_err(at(&root))?;
    let lock = result.with_extension("lock");
    let guard = File::create(&lock).map_err(at(&lock))?;
    guard.lock().map_err(at(&lock))?;
    if result.is_dir() {
        return Ok(result);
    }
    let work = result.with_extension("work");
    if work.exists() {
        fs::remove_dir_all(&work).map_err(at(&work))?;
    }
    fs::create_dir(&work).map_err(at(&work))?;
    build(&work).inspect_err(|_| drop(fs::remove_dir_all(&work)))?;
    fs::rename(&work, &result).map_err(at(&result))?;
    Ok(result)
}

/// Says which file an error is about.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    |error| Error::Io(path, error)
}
