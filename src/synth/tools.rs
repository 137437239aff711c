//! Yosys, nextpnr and ecppack: found, set up if they are missing, run with their output in a log.

use crate::report::{grouped, Failure};
use indicatif::ProgressBar;
use std::borrow::Cow;
use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folder with the pinned tools; `tools/setup --synth` makes it in the checkout we are in.
pub fn folder() -> Result<PathBuf, Failure> {
    let here = env::current_dir().unwrap_or_default();
    let starts = [here.as_path(), Path::new(env!("CARGO_MANIFEST_DIR"))];
    let roots = || starts.iter().flat_map(|start| start.ancestors());
    let there = || {
        roots()
            .map(|root| root.join(".tools/synth/bin"))
            .find(|bin| bin.join("nextpnr-ecp5").is_file())
    };
    if let Some(bin) = there() {
        return Ok(bin);
    }
    let setup = roots().map(|root| root.join("tools/setup")).find(|path| path.is_file());
    if let Some(setup) = setup {
        let done = Command::new("bash").arg(setup).arg("--synth").stdout(Stdio::null()).status();
        if let (Ok(true), Some(bin)) = (done.map(|status| status.success()), there()) {
            return Ok(bin);
        }
    }
    Err(Failure::Environment(
        "no Yosys and nextpnr: run tools/setup --synth in a checkout of Nitor".into(),
    ))
}

/// A step: a tool with its arguments, and where its output is kept.
pub struct Step<'a> {
    pub bin: &'a Path,
    pub tool: &'static str,
    pub args: Vec<String>,
    /// Where it runs: nextpnr, in its sandbox, sees only what is there.
    pub folder: &'a Path,
    pub log: &'static str,
}

impl Step<'_> {
    /// Runs it; `bar` shows the phases it goes through. Its last error, if it fails.
    pub fn run(&self, bar: &ProgressBar) -> Result<(), Failure> {
        let log = self.folder.join(self.log);
        let cannot = |e: std::io::Error| {
            Failure::Environment(format!(
                "cannot run {} or write {}: {e}",
                self.tool,
                log.display()
            ))
        };
        let mut file = File::create(&log).map_err(cannot)?;
        let (read, write) = std::io::pipe().map_err(cannot)?;
        let mut child = Command::new(self.bin.join(self.tool))
            .args(&self.args)
            .current_dir(self.folder)
            .stdout(write.try_clone().map_err(cannot)?)
            .stderr(write)
            .spawn()
            .map_err(cannot)?;
        let mut error = None;
        for line in BufReader::new(read).split(b'\n') {
            let line = line.map_err(cannot)?;
            file.write_all(&line).and_then(|()| file.write_all(b"\n")).map_err(cannot)?;
            let line = String::from_utf8_lossy(&line);
            if let Some(phase) = phase(&line) {
                bar.set_message(format!("{}: {phase}", self.tool));
            }
            if error.is_none() && line.contains("ERROR:") {
                error = Some(line.split("ERROR:").nth(1).unwrap_or_default().trim().to_string());
            }
            bar.tick();
        }
        match child.wait().map_err(cannot)?.success() {
            true => Ok(()),
            false => Err(Failure::Check(format!(
                "{} failed: {}; its log is {}",
                self.tool,
                error.unwrap_or_else(|| "it does not say why".into()),
                log.display()
            ))),
        }
    }
}

/// What a line of a tool's output says of where it is.
fn phase(line: &str) -> Option<Cow<'_, str>> {
    let line = line.trim();
    // Yosys numbers its passes: the second level is what a person can follow.
    if let Some((number, text)) = line.split_once(". Executing ") {
        return (number.matches('.').count() <= 1).then_some(text.into());
    }
    let text = line.strip_prefix("Info: ")?;
    // The router's table: the fourth column is what is left.
    let left = text.split('|').nth(3).and_then(|cell| cell.trim().parse::<u64>().ok());
    if let Some(left) = left {
        return Some(format!("routing, {} arcs left", grouped(left)).into());
    }
    ["Packing", "Running", "Routing", "Placing", "Initialising", "Promoting"]
        .iter()
        .any(|begin| text.starts_with(begin))
        .then_some(text.into())
}

pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text)
        .map_err(|e| Failure::Environment(format!("cannot write {}: {e}", path.display())))
}

pub fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|e| Failure::Environment(format!("cannot read {}: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_told() {
        let told = |line| phase(line).map(Cow::into_owned);
        let table = "Info:     123000 |    17608     105391 |  155   845 |    140336|       2.40     266.15|";
        assert_eq!(told(table).as_deref(), Some("routing, 140,336 arcs left"));
        assert_eq!(told("Info: Routing 206830 arcs.").as_deref(), Some("Routing 206830 arcs."));
        assert_eq!(told("27.14. Executing ABC9 pass.").as_deref(), Some("ABC9 pass."));
        assert_eq!(told("27.14.15.3. Executing XAIGER2 backend."), None);
        assert_eq!(told("Info:    IterCnt |  w/ripup   wo/ripup |  w/r  wo/r |      arcs|"), None);
    }
}
