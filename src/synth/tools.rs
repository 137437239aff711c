//! Finds Yosys, nextpnr and ecppack, sets them up if they are missing, and runs them with their
//! output in a log.

use crate::progress::{self, Progress};
use crate::report::{grouped, Failure};
use std::borrow::Cow;
use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

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
        let (lines, status) = progress::script(Command::new("bash").arg(&setup).arg("--synth"))?;
        if let (true, Some(bin)) = (status.success(), there()) {
            return Ok(bin);
        }
        let said: Vec<_> = lines.iter().filter(|line| !line.trim().is_empty()).collect();
        let last = said[said.len().saturating_sub(3)..].iter().map(|line| line.trim());
        let last = last.collect::<Vec<_>>().join("; ");
        return Err(Failure::Environment(format!(
            "no Yosys and nextpnr: {} --synth failed: {last}",
            setup.display()
        )));
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
    /// Runs it; `progress` says what phase it is in. Its first error, if it fails.
    pub fn run(&self, progress: &mut Option<Progress>) -> Result<(), Failure> {
        let log = self.folder.join(self.log);
        let cannot = |e: std::io::Error| {
            Failure::Environment(format!(
                "cannot run {} or write {}: {e}",
                self.tool,
                log.display()
            ))
        };
        let mut file = File::create(&log).map_err(cannot)?;
        let mut command = Command::new(self.bin.join(self.tool));
        command.args(&self.args).current_dir(self.folder);
        let mut error = None;
        let each = |line: &str| {
            file.write_all(line.as_bytes()).and_then(|()| file.write_all(b"\n"))?;
            if let (Some(phase), Some(progress)) = (phase(line), progress.as_mut()) {
                progress.say(self.tool, &phase);
            }
            if error.is_none() && line.contains("ERROR:") {
                error = Some(line.split("ERROR:").nth(1).unwrap_or_default().trim().to_string());
            }
            Ok(())
        };
        match progress::run(&mut command, each, || ())?.success() {
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
    // Yosys numbers its passes. Those of the second level are shown as progress.
    if let Some((number, text)) = line.split_once(". Executing ") {
        return (number.matches('.').count() <= 1).then_some(text.into());
    }
    let text = line.strip_prefix("Info: ")?;
    // The fourth column of the router's table is the number of wires left.
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
