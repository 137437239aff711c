//! Finds and runs the test programs of the blocks.

use anyhow::{bail, Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A program of block tests.
pub struct Test {
    pub name: String,
    program: PathBuf,
    /// What can be changed in the blocks that it emits.
    pub sites: BTreeSet<String>,
    took: Duration,
}

pub enum Outcome {
    /// By this test.
    Noticed(String),
    /// No Verilog, or none that a tool takes.
    Illegal,
    /// Whether it made other Verilog.
    Survived { changed: bool },
}

/// What tools and the emitter say of changes that are no hardware.
const ILLEGAL: [&str; 5] =
    ["(a latch)", "is not driven", "does not fit", "verilator_bin failed", "must be wired without"];

/// Lint tests notice what reads oddly, proofs take too long: neither counts.
fn counts(name: &str) -> bool {
    !name.ends_with("_lint") && name != "proofs"
}

/// Builds the tests, runs each once as it is, and asks for its sites; the quickest first.
pub fn all() -> Result<Vec<Test>> {
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--package", "nitor-hdl", "--package", "nitor-board", "--tests"]);
    cargo.args(["--no-run", "--message-format=json"]);
    let output = cargo.stderr(Stdio::inherit()).output().context("cargo")?;
    if !output.status.success() {
        bail!("the tests do not build");
    }
    let mut tests = vec![];
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some((_, rest)) = line.split_once("\"executable\":\"") else { continue };
        let Some((program, _)) = rest.split_once('"') else { continue };
        let program = PathBuf::from(program);
        let file = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = file.rsplit_once('-').map_or(file.clone(), |(name, _)| name.to_string());
        if !counts(&name) || !line.contains("\"kind\":[\"test\"]") {
            continue;
        }
        tests.push(Test { name, program, sites: BTreeSet::new(), took: Duration::ZERO });
    }
    for test in &mut tests {
        test.find_sites()?;
        println!("{}: {} sites, {:.1} s", test.name, test.sites.len(), test.took.as_secs_f64());
    }
    tests.sort_by_key(|t| t.took);
    Ok(tests)
}

impl Test {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        // Elsewhere, so that no seeds are kept of what fails.
        command.current_dir(std::env::temp_dir()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.env("NITOR_CACHE", cache(&self.program));
        command
    }

    fn find_sites(&mut self) -> Result<()> {
        let file = std::env::temp_dir().join(format!("sites-{}", std::process::id()));
        let _ = fs::remove_file(&file);
        // Once more for the time that it takes with its models built.
        for _ in 0..2 {
            let begin = Instant::now();
            let output = self.command().env("NITOR_MUTANTS", &file).output();
            let output = output.with_context(|| self.program.display().to_string())?;
            if !output.status.success() {
                bail!("{} fails without a change", self.name);
            }
            self.took = begin.elapsed();
        }
        let text = fs::read_to_string(&file).unwrap_or_default();
        self.sites = text.lines().map(str::to_string).collect();
        let _ = fs::remove_file(&file);
        Ok(())
    }

    /// Runs the tests of a mutant until one of them fails.
    pub fn run(&self, site: &str) -> Result<Outcome> {
        let before = models(&self.program)?;
        let words = std::env::temp_dir().join(format!("words-{}", std::process::id()));
        let mut command = self.command();
        command.env("NITOR_MUTANT", site).env("RUST_BACKTRACE", "0");
        // What fails is no news to be made small.
        command.env("PROPTEST_MAX_SHRINK_ITERS", "0");
        command.arg("--nocapture").stderr(fs::File::create(&words)?);
        let mut child = command.spawn().with_context(|| self.program.display().to_string())?;
        // A mutant may hang; models are built on the way.
        let killer = Killer::new(child.id(), 10 * self.took + Duration::from_secs(120));
        let mut failed = None;
        let out = child.stdout.take().context("no output")?;
        for line in BufReader::new(out).lines() {
            let line = line.unwrap_or_default();
            if let Some(name) = line.strip_suffix(" ... FAILED") {
                failed = Some(name.rsplit(' ').next().unwrap_or(name).to_string());
                child.kill()?;
                break;
            }
        }
        let status = child.wait()?;
        let late = killer.stop();
        let said = String::from_utf8_lossy(&fs::read(&words)?).into_owned();
        let _ = fs::remove_file(&words);
        let new: Vec<PathBuf> = models(&self.program)?.difference(&before).cloned().collect();
        for folder in &new {
            let _ = fs::remove_dir_all(folder).or_else(|_| fs::remove_file(folder));
        }
        Ok(match failed {
            _ if ILLEGAL.iter().any(|words| said.contains(words)) => Outcome::Illegal,
            _ if late => Outcome::Noticed("(does not end)".to_string()),
            Some(name) => Outcome::Noticed(name),
            None if !status.success() => Outcome::Noticed("(ends)".to_string()),
            None => Outcome::Survived { changed: !new.is_empty() },
        })
    }
}

/// Keeps models of mutants out of the user's cache.
fn cache(program: &std::path::Path) -> PathBuf {
    program.ancestors().nth(3).unwrap_or(program).join("mutants-models")
}

/// The models that are kept.
fn models(program: &std::path::Path) -> Result<BTreeSet<PathBuf>> {
    let entries = fs::read_dir(cache(program).join("models"))?;
    Ok(entries.filter_map(|e| Some(e.ok()?.path())).collect())
}

/// Ends a process that takes too long.
struct Killer {
    stop: std::sync::mpsc::Sender<()>,
    thread: std::thread::JoinHandle<bool>,
}

impl Killer {
    fn new(pid: u32, limit: Duration) -> Killer {
        let (stop, stopped) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let late = stopped.recv_timeout(limit).is_err();
            if late {
                let _ = Command::new("kill").arg("-9").arg(pid.to_string()).status();
            }
            late
        });
        Killer { stop, thread }
    }

    /// Whether it was too late.
    fn stop(self) -> bool {
        let _ = self.stop.send(());
        self.thread.join().unwrap_or(false)
    }
}
