//! Shows how far the making of a model is: on a terminal in a line that changes, else in plain
//! lines.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::{stderr, IsTerminal, Write};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Models that are made at the same time share the terminal.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// See the module. Everything goes to standard error.
pub(crate) struct Progress {
    /// The name of the model. Without a name nothing is shown.
    name: Option<String>,
    bar: Option<ProgressBar>,
    begin: Instant,
}

impl Progress {
    /// Begins to show that the model called `name` is being made; shows nothing without a name.
    pub fn new(name: Option<&str>) -> Progress {
        let name = name.map(str::to_owned);
        let shown = name.is_some() && stderr().is_terminal();
        let bar = shown.then(|| BARS.add(ProgressBar::new_spinner()));
        if let Some(bar) = &bar {
            let style = ProgressStyle::with_template("  {spinner} {elapsed_precise} {wide_msg}");
            style.into_iter().for_each(|style| bar.set_style(style));
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Progress { name, bar, begin: Instant::now() }
    }

    /// Shows the current stage, if there is a terminal.
    pub fn stage(&self, now: &str) {
        if let (Some(bar), Some(name)) = (&self.bar, &self.name) {
            bar.set_message(format!("making the model of {name}: {now}"));
        }
    }

    /// Prints a line, if there is no terminal.
    pub fn line(&self, text: &str) {
        if let (None, Some(name)) = (&self.bar, &self.name) {
            say(&format!("making the model of {name}: {text}"));
        }
    }

    pub fn seconds(&self) -> u64 {
        self.begin.elapsed().as_secs()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Prints a line on standard error, and ignores a failure to.
pub(crate) fn say(text: &str) {
    let _ = writeln!(stderr(), "nitor: {text}");
}
