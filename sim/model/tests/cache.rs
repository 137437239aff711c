//! Tests of the cache with several processes at a time.

use nitor_model::{Cache, Error};
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

const FOLDER: &str = "NITOR_CACHE_TEST_FOLDER";
const UNBOUND: u64 = u64::MAX;

/// The part of another process: makes `result`, takes a while, and notes that it has.
#[test]
#[ignore = "a process of the other tests"]
fn maker() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let cache = Cache::new(&folder.join("cache"), UNBOUND);
    let make = |work: &Path| {
        fs::write(folder.join(format!("begun-{}", std::process::id())), "").unwrap();
        fs::write(work.join("half"), "").unwrap();
        while !folder.join("go").exists() {
            sleep(Duration::from_millis(5));
        }
        fs::write(work.join("whole"), "").unwrap();
        Ok(())
    };
    let entry = cache.entry("result", || (), make).unwrap();
    assert!(entry.folder.join("whole").exists());
}

fn start(folder: &Path) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "maker", "--ignored"]).env(FOLDER, folder).stdout(Stdio::null());
    command.spawn().unwrap()
}

fn begun(folder: &Path) -> usize {
    let listed = fs::read_dir(folder).unwrap();
    listed.filter(|f| f.as_ref().unwrap().file_name().to_string_lossy().contains("begun")).count()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(60), "never: {what}");
        sleep(Duration::from_millis(5));
    }
}

fn names(root: &Path) -> Vec<String> {
    let name = |file: fs::DirEntry| file.file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(root).unwrap().map(|file| name(file.unwrap())).collect();
    names.sort();
    names
}

#[test]
fn of_two_processes_one_makes_it_and_the_other_waits() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = start(folder.path());
    until("the first has begun", || begun(folder.path()) == 1);
    let mut second = start(folder.path());
    sleep(Duration::from_millis(300));
    assert!(second.try_wait().unwrap().is_none(), "it has not waited");
    fs::write(folder.path().join("go"), "").unwrap();
    assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
    assert_eq!(begun(folder.path()), 1, "it was made twice");
    assert_eq!(names(&folder.path().join("cache")), ["result"]);
}

#[test]
fn a_killed_maker_leaves_nothing_half_made() {
    let folder = tempfile::tempdir().unwrap();
    let mut maker = start(folder.path());
    until("it has begun", || begun(folder.path()) == 1);
    // A second process waits for the entry.
    let mut second = start(folder.path());
    sleep(Duration::from_millis(200));
    maker.kill().unwrap();
    maker.wait().unwrap();
    until("the second has begun", || begun(folder.path()) == 2);
    fs::write(folder.path().join("go"), "").unwrap();
    assert!(second.wait().unwrap().success());
    let cache = folder.path().join("cache");
    assert_eq!(names(&cache), ["result"], "what the killed one left is removed");
    assert_eq!(names(&cache.join("result")), ["half", "used", "whole"]);
}

#[test]
fn a_maker_that_fails_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path(), UNBOUND);
    let fail = |work: &Path| {
        fs::write(work.join("half"), "").unwrap();
        Err(Error::NoVerilator)
    };
    assert!(matches!(cache.entry("a", || (), fail), Err(Error::NoVerilator)));
    assert_eq!(names(folder.path()), [""; 0]);
    cache.entry("a", || (), |_| Ok(())).unwrap();
}

/// A folder of `size` bytes that was used so many seconds ago.
fn put(cache: &Cache, name: &str, size: usize, ago: u64) {
    let make = |work: &Path| {
        fs::write(work.join("bytes"), vec![0; size]).unwrap();
        Ok(())
    };
    let entry = cache.entry(name, || (), make).unwrap();
    let used = fs::File::open(entry.folder.join("used")).unwrap();
    used.set_modified(SystemTime::now() - Duration::from_secs(ago)).unwrap();
}

#[test]
fn what_was_not_used_longest_goes_first_and_what_is_in_use_stays() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path(), 3500);
    put(&cache, "oldest-in-use", 1000, 400);
    let held = cache.find("oldest-in-use").unwrap().unwrap();
    held_since(&held.folder, 400);
    put(&cache, "older", 1000, 300);
    put(&cache, "old", 1000, 200);
    assert_eq!(names(folder.path()), ["old", "older", "oldest-in-use"]);
    put(&cache, "new", 1000, 0);
    assert_eq!(names(folder.path()), ["new", "old", "oldest-in-use"]);
    // Using an entry keeps it.
    drop(cache.find("old").unwrap().unwrap());
    held_since(&folder.path().join("new"), 100);
    put(&cache, "newest", 1000, 0);
    assert_eq!(names(folder.path()), ["newest", "old", "oldest-in-use"]);
    drop(held);
    put(&cache, "large", 3000, 0);
    assert_eq!(names(folder.path()), ["large"]);
    // An old entry is evicted, however small the cache is.
    put(&cache, "ancient", 1, 91 * 24 * 3600);
    put(&cache, "new", 1, 0);
    assert_eq!(names(folder.path()), ["large", "new"]);
    // An entry that alone exceeds the bound is there for its maker.
    put(&cache, "huge", 9000, 0);
    assert_eq!(names(folder.path()), ["huge"]);
}

fn held_since(folder: &Path, ago: u64) {
    let used = fs::File::open(folder.join("used")).unwrap();
    used.set_modified(SystemTime::now() - Duration::from_secs(ago)).unwrap();
}

#[test]
fn threads_are_as_processes() {
    let folder = tempfile::tempdir().unwrap();
    let cache = &Cache::new(folder.path(), UNBOUND);
    let made = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let make = |_: &Path| {
                    made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    sleep(Duration::from_millis(50));
                    Ok(())
                };
                cache.entry("a", || (), make).unwrap();
            });
        }
    });
    assert_eq!(made.into_inner(), 1);
}

/// Nobody, not even root, can make folders in sysfs.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_takes_nothing_is_told() {
    let error = Cache::new(Path::new("/sys/nitor"), UNBOUND).entry("a", || (), |_| Ok(()));
    assert!(error.unwrap_err().to_string().contains("/sys/nitor"));
}
