//! The files that a command reads and writes. No two of them may be the same file, by whatever
//! names: this is checked before the first is opened.

use crate::report::Failure;
use crate::shell;
use std::fs::{self, File, Metadata};
use std::io::{stderr, stdin, stdout};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What two names of one file have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Identity {
    /// Device and inode.
    There(u64, u64),
    /// To be made: the place, without links.
    New(PathBuf),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Read,
    Written,
}

/// See the module.
#[derive(Default)]
pub struct Files {
    files: Vec<(String, Role, PathBuf)>,
    /// What is wrong with one of them by itself.
    wrong: Option<String>,
}

impl Files {
    /// A file that is read; `-` is standard input.
    pub fn reads(&mut self, what: impl Into<String>, path: &Path) -> &mut Self {
        self.files.push((what.into(), Role::Read, path.into()));
        self
    }

    /// A file that is written.
    pub fn writes(&mut self, what: impl Into<String>, path: &Path) -> &mut Self {
        let what = what.into();
        if path == Path::new("-") {
            let wrong = format!("{what} -: standard output is the report's; ./- names a file");
            self.wrong.get_or_insert(wrong);
        }
        self.files.push((what, Role::Written, path.into()));
        self
    }

    /// A file of waves, which Verilator writes: it takes no other names.
    pub fn writes_waves(&mut self, what: &str, path: &Path) -> &mut Self {
        if path.to_str().is_none() {
            let wrong = format!("{what} {}: waves take names in UTF-8 alone", shell::quoted(path));
            self.wrong.get_or_insert(wrong);
        }
        self.writes(what, path)
    }

    /// Fails if one of the files is two.
    pub fn check(&self) -> Result<(), Failure> {
        if let Some(wrong) = &self.wrong {
            return Err(Failure::Input(wrong.clone()));
        }
        let mut known: Vec<(&str, Role, Identity)> = vec![];
        for (what, fd) in
            [("standard output", metadata(stdout())), ("standard error", metadata(stderr()))]
        {
            known.extend(
                fd.and_then(|fd| there(&fd)).map(|identity| (what, Role::Written, identity)),
            );
        }
        let streams = known.len();
        for (what, role, path) in &self.files {
            let input = *role == Role::Read && path == Path::new("-");
            let found = if input { metadata(stdin()) } else { fs::metadata(path).ok() };
            // A capture may come from where the report goes: the other end of a socket.
            let file = found.as_ref().is_some_and(Metadata::is_file);
            let identity = match &found {
                Some(found) => there(found),
                None => to_be_made(path, 0).map(Identity::New),
            };
            let Some(identity) = identity else { continue };
            let same = known.iter().enumerate().find(|(n, (_, other, known))| {
                let both_read = *role == Role::Read && *other == Role::Read;
                let stream = *n < streams && *role == Role::Read && !file;
                *known == identity && !both_read && !stream
            });
            if let Some((n, (other, other_role, _))) = same {
                let name = shell::quoted(path);
                let verb = match (n < streams, other_role) {
                    (true, _) => "goes to",
                    (_, Role::Read) => "reads",
                    (_, Role::Written) => "writes",
                };
                let and = if *role == Role::Read { "reads" } else { "would write" };
                return Err(Failure::Input(format!(
                    "{what} {and} {name}, the very file that {other} {verb}; nothing was touched"
                )));
            }
            known.push((what, *role, identity));
        }
        Ok(())
    }
}

/// Makes a file for waves, or fails: what writes them says nothing of it.
pub fn make_regular(path: &Path) -> Result<(), Failure> {
    let cannot =
        |why: String| Failure::Environment(format!("cannot write {}: {why}", path.display()));
    let file = File::create(path).map_err(|e| cannot(e.to_string()))?;
    let regular = file.metadata().map_err(|e| cannot(e.to_string()))?.is_file();
    regular.then_some(()).ok_or_else(|| cannot("waves need a file, and it is none".into()))
}

fn metadata(stream: impl AsFd) -> Option<Metadata> {
    File::from(stream.as_fd().try_clone_to_owned().ok()?).metadata().ok()
}

/// None of what takes everything and gives nothing.
fn there(found: &Metadata) -> Option<Identity> {
    let null = fs::metadata("/dev/null").map(|null| null.rdev());
    let is_null = found.file_type().is_char_device() && null.is_ok_and(|null| null == found.rdev());
    (!is_null).then(|| Identity::There(found.dev(), found.ino()))
}

/// Links that lead to links; more are a ring.
const LINKS: u32 = 40;

/// Where a file that is not there would come to be.
fn to_be_made(path: &Path, links: u32) -> Option<PathBuf> {
    let parent = match path.parent()? {
        empty if empty.as_os_str().is_empty() => Path::new("."),
        parent => parent,
    };
    match fs::read_link(path) {
        Ok(target) if links < LINKS => to_be_made(&parent.join(target), links + 1),
        Ok(_) => None,
        Err(_) => {
            // The path below a folder that does not exist yet has no links.
            let parent = parent.canonicalize().ok().or_else(|| to_be_made(parent, links))?;
            Some(parent.join(path.file_name()?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn refused(files: &mut Files) -> Option<String> {
        match files.check() {
            Ok(()) => None,
            Err(Failure::Input(text)) => Some(text),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_is_known_by_all_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("x"), "x").unwrap();
        fs::create_dir(at("sub")).unwrap();
        symlink("x", at("soft")).unwrap();
        symlink("sub", at("folder")).unwrap();
        symlink("sub/new", at("dangling")).unwrap();
        fs::hard_link(at("x"), at("hard")).unwrap();
        for (read, written) in [
            ("x", "x"),
            ("x", "soft"),
            ("x", "hard"),
            ("soft", "hard"),
            ("x", "sub/../x"),
            ("x", "folder/../x"),
        ] {
            let said =
                refused(Files::default().reads("--in", &at(read)).writes("--out", &at(written)));
            let said = said.unwrap_or_else(|| panic!("{read} {written}"));
            assert!(said.starts_with("--out would write") && said.contains("--in reads"), "{said}");
        }
        for (one, other) in [
            ("new", "new"),
            ("sub/new", "folder/new"),
            ("dangling", "sub/new"),
            ("deep/er/new", "deep/er/new"),
            ("new", "./sub/../new"),
        ] {
            let said = refused(Files::default().writes("--a", &at(one)).writes("--b", &at(other)));
            assert!(said.is_some_and(|said| said.contains("--a writes")), "{one} {other}");
        }
    }

    #[test]
    fn different_files_may_be_read_and_written() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("x"), "x").unwrap();
        symlink("ring", at("ring")).unwrap();
        let mut files = Files::default();
        files.reads("--in", &at("x")).reads("--in2", &at("x"));
        files.writes("--out", &at("y")).writes_waves("--waves", &at("z"));
        // Several arguments may name /dev/null: none loses data by it.
        files.reads("--in3", Path::new("/dev/null")).writes("--out2", Path::new("/dev/null"));
        // The command that opens these reports what is wrong with them.
        files.writes("--ring", &at("ring")).writes("--out3", &at("x/within"));
        assert_eq!(refused(&mut files), None);
    }

    #[test]
    fn names_that_cannot_be_written() {
        use std::os::unix::ffi::OsStrExt;
        let odd = Path::new(std::ffi::OsStr::from_bytes(b"w\xff"));
        let said = refused(Files::default().writes_waves("--waves", odd)).unwrap();
        assert!(said.contains("UTF-8") && said.contains("$'w\\377'"), "{said}");
        assert!(refused(Files::default().writes("--wire", odd)).is_none());
        assert!(refused(Files::default().writes("--wire", Path::new("-"))).is_some());
    }
}
