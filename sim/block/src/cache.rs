//! Build results, named by the hash of what they are made from: in the target directory, or, where that is somebody else's, in the
//! user's own cache.

use crate::Error;
use sha2::{Digest, Sha256};
use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The target directory, so that `cargo clean` takes results along. Cargo marks that directory; it is an ancestor of the one it
/// gave our build script.
fn shared() -> PathBuf {
    let out = Path::new(env!("OUT_DIR"));
    let target = out.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    target.unwrap_or(out).join("nitor-block-cache")
}

/// A folder of the user's own: what is in it will be run, so nobody else may write there.
fn own() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(cache.join("nitor/blocks"))
}

/// The folder for `name` made from `inputs`, filled by `build` unless it is there already.
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
    folder_in(&shared(), own().as_deref(), &format!("{name}-{}", &digest[..32]), build)
}

fn folder_in(
    shared: &Path,
    own: Option<&Path>,
    name: &str,
    build: impl FnOnce(&Path) -> Result<(), Error>,
) -> Result<PathBuf, Error> {
    for root in [Some(shared), own].into_iter().flatten() {
        let result = root.join(name);
        if result.is_dir() {
            return Ok(result);
        }
    }
    let denied = |error: &Error| {
        let kinds = [io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem];
        matches!(error, Error::Io(_, error) if kinds.contains(&error.kind()))
    };
    let (root, guard) = match (lock(shared, name), own) {
        (Err(error), Some(own)) if denied(&error) => (own, lock(own, name)?),
        (result, _) => (shared, result?),
    };
    fill(&root.join(name), &guard, build)
}

/// Whoever comes second waits for the first.
fn lock(root: &Path, name: &str) -> Result<File, Error> {
    fs::create_dir_all(root).map_err(at(root))?;
    let lock = root.join(name).with_extension("lock");
    let guard = File::create(&lock).map_err(at(&lock))?;
    guard.lock().map_err(at(&lock))?;
    Ok(guard)
}

/// A build that fails or is killed leaves nothing behind that would be taken for a result. `_guard` is held meanwhile.
fn fill(
    result: &Path,
    _guard: &File,
    build: impl FnOnce(&Path) -> Result<(), Error>,
) -> Result<PathBuf, Error> {
    if result.is_dir() {
        return Ok(result.into());
    }
    let work = result.with_extension("work");
    if work.exists() {
        fs::remove_dir_all(&work).map_err(at(&work))?;
    }
    fs::create_dir(&work).map_err(at(&work))?;
    build(&work).inspect_err(|_| drop(fs::remove_dir_all(&work)))?;
    fs::rename(&work, result).map_err(at(result))?;
    Ok(result.into())
}

/// Says which file an error is about.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    |error| Error::Io(path, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_looked_for_in_both_places_and_made_in_the_first_that_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let (shared, own) = (folder.path().join("shared"), folder.path().join("own"));
        let made = |_: &Path| Ok(());
        let not_again = |_: &Path| panic!("it is there");
        let first = folder_in(&shared, Some(&own), "a", made).unwrap();
        assert_eq!(first, shared.join("a"));
        assert_eq!(folder_in(&shared, Some(&own), "a", not_again).unwrap(), first);
        fs::create_dir_all(own.join("b")).unwrap();
        assert_eq!(folder_in(&shared, Some(&own), "b", not_again).unwrap(), own.join("b"));
    }

    /// Nobody, nor root, makes folders in sysfs: it is as somebody else's checkout is to a user.
    #[cfg(target_os = "linux")]
    #[test]
    fn where_results_cannot_be_written_they_go_to_the_users_own_cache() {
        let folder = tempfile::tempdir().unwrap();
        let (theirs, own) = (Path::new("/sys/nitor"), folder.path().join("own"));
        let made = |_: &Path| Ok(());
        assert!(matches!(folder_in(theirs, None, "a", made), Err(Error::Io(..))));
        assert_eq!(folder_in(theirs, Some(&own), "a", made).unwrap(), own.join("a"));
        // What fails for another reason is told, not tried elsewhere.
        let failed = |_: &Path| Err(Error::NoVerilator);
        assert!(matches!(folder_in(theirs, Some(&own), "b", failed), Err(Error::NoVerilator)));
        assert!(!own.join("b").exists());
    }
}
