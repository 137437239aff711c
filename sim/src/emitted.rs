//! Keeps the emitted Verilog of cards in the cache of models, so that a program that has not
//! changed does not elaborate a card again. [`model`](crate::model) uses it.

use std::env;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nitor_model::{at, digest, Cache, Error};

const TEXT: &str = "card.v";
const NAME: &str = "name";

/// The Verilog of the card called `card`: from the cache if this program has emitted it in this
/// environment, else from `emit`.
pub(crate) fn once<E: From<Error>>(
    cache: &Cache,
    card: &str,
    emit: impl FnOnce() -> Result<String, E>,
) -> Result<String, E> {
    let Some(program) = program() else { return emit() };
    let note = format!("emitted-{}", digest(&[card, &program, &environment()]));
    if let Some(text) = noted(cache, &note)? {
        return Ok(text);
    }
    let text = emit()?;
    let name = name(&text);
    let put = |folder: &Path, file: &str, text: &str| {
        let path = folder.join(file);
        fs::write(&path, text).map_err(at(&path))
    };
    // The entry is named by its text: other programs may emit the same.
    cache.entry(&name, || (), |work| put(work, TEXT, &text))?;
    cache.discard(&note)?;
    cache.entry(&note, || (), |work| put(work, NAME, &name))?;
    Ok(text)
}

fn name(text: &str) -> String {
    format!("verilog-{}", digest(&[text]))
}

/// The Verilog that the entry `note` names, if the cache still has it undamaged.
fn noted(cache: &Cache, note: &str) -> Result<Option<String>, Error> {
    let Some(note) = cache.find(note)? else { return Ok(None) };
    let Ok(kept) = fs::read_to_string(note.folder.join(NAME)) else { return Ok(None) };
    let Some(entry) = cache.find(&kept)? else { return Ok(None) };
    let text = fs::read_to_string(entry.folder.join(TEXT));
    match text {
        Ok(text) if name(&text) == kept => Ok(Some(text)),
        _ => {
            cache.discard(&kept)?;
            Ok(None)
        }
    }
}

/// Identifies this program for the cache key: another build gives another text. None without
/// `/proc`.
fn program() -> Option<String> {
    let of = |file: Metadata| {
        let (changed, nanoseconds) = (file.ctime(), file.ctime_nsec());
        format!("{} {} {} {changed} {nanoseconds}", file.dev(), file.ino(), file.len())
    };
    fs::metadata("/proc/self/exe").ok().map(of)
}

/// The part of the environment that may change how cards are emitted, for the cache key.
fn environment() -> String {
    let ours = |(name, _): &(String, String)| name.starts_with("NITOR_");
    let text = |s: std::ffi::OsString| s.to_string_lossy().into_owned();
    let all = env::vars_os().map(|(name, value)| (text(name), text(value)));
    let mut all: Vec<_> = all.filter(ours).collect();
    all.sort();
    format!("{all:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_emitted_once_and_again_if_its_text_has_gone() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path(), u64::MAX);
        let emit = |text: &'static str| move || Ok::<_, Error>(text.to_owned());
        let never = || -> Result<String, Error> { panic!("it is kept") };
        assert_eq!(once(&cache, "a", emit("one")).unwrap(), "one");
        assert_eq!(once(&cache, "a", never).unwrap(), "one");
        assert_eq!(once(&cache, "b", emit("two")).unwrap(), "two");
        fs::write(folder.path().join(name("two")).join(TEXT), "half of").unwrap();
        assert_eq!(once(&cache, "b", emit("three")).unwrap(), "three");
        cache.discard(&name("three")).unwrap();
        assert_eq!(once(&cache, "b", emit("four")).unwrap(), "four");
        assert_eq!(once(&cache, "b", never).unwrap(), "four");
        assert_eq!(once(&cache, "a", never).unwrap(), "one");
    }
}
