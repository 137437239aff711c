//! Reports for a person or a script: tables, JSON, and failures with their exit codes.

use crate::signals::Signal;
use crate::text::plain;
use crate::Outcome;
use serde::Serialize;
use serde_json::{json, Value};
use signal_hook::consts::SIGPIPE;
use signal_hook::low_level::emulate_default_handler;
use std::fmt::Arguments;
use std::io::{self, stderr, stdout, Write};
use std::panic::resume_unwind;
use std::process::ExitCode;

/// Prints a line to standard output.
macro_rules! say {
    ($($text:tt)*) => { $crate::report::say(format_args!($($text)*)) };
}

pub fn say(text: Arguments<'_>) {
    // Some of the text may come from a guest or a tool.
    print(&format!("{}\n", plain(&text.to_string())));
}

/// Writes to standard output, as it is.
pub fn print(text: &str) {
    write(text.as_bytes());
}

/// Writes bytes to standard output. If it takes none, the run ends: destructors close its files and end its children.
pub fn write(bytes: &[u8]) {
    let mut out = stdout().lock();
    if let Err(error) = out.write_all(bytes).and_then(|()| out.flush()) {
        resume_unwind(Box::new(Unheard(error)));
    }
}

/// Why standard output takes no more. Thrown where it is found; `main` catches it.
#[derive(Debug)]
pub struct Unheard(io::Error);

impl Unheard {
    /// A reader that closes our standard output (`| head`) is no failure of ours: we end as tools do that a closed pipe ends.
    pub fn end(&self) -> ExitCode {
        if self.0.kind() == io::ErrorKind::BrokenPipe {
            let _ = emulate_default_handler(SIGPIPE);
        }
        complain(format_args!("cannot write to standard output: {}", self.0));
        ExitCode::from(3)
    }
}

/// Prints a line to standard error, which may have gone with its terminal. What others have named or said, and a terminal
/// would obey, is spelt out.
pub fn complain(text: Arguments<'_>) {
    let mut line = String::new();
    for c in text.to_string().chars() {
        match c {
            '\t' => line.push(' '),
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    let _ = writeln!(stderr(), "nitor: {line}");
}

/// The version of every JSON object's layout; it changes when a key changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// Why a command did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// A check or a test failed.
    Check(String),
    /// The arguments or an input file are wrong.
    Input(String),
    /// Something outside is missing or refuses: a tool, the disk.
    Environment(String),
    /// A signal ended the run; how far it came.
    Stopped(Signal, String),
    /// A failure that leaves something to report, as an object.
    Reported(Box<Failure>, Value),
}

impl Failure {
    /// The same with what there is to report nevertheless: with `--json` it is part of the one object.
    pub fn with(self, report: &impl Serialize) -> Self {
        Failure::Reported(self.into(), object(report))
    }

    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.number())
    }

    fn number(&self) -> u8 {
        match self {
            Failure::Check(_) => 1,
            Failure::Input(_) => 2,
            Failure::Environment(_) => 3,
            Failure::Stopped(signal, _) => signal.code(),
            Failure::Reported(failure, _) => failure.number(),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Failure::Check(_) => "check",
            Failure::Input(_) => "input",
            Failure::Environment(_) => "environment",
            Failure::Stopped(..) => "stopped",
            Failure::Reported(failure, _) => failure.kind(),
        }
    }

    fn text(&self) -> String {
        match self {
            Failure::Check(text) | Failure::Input(text) | Failure::Environment(text) => {
                text.clone()
            }
            Failure::Stopped(signal, far) => format!("stopped by {signal}: {far}"),
            Failure::Reported(failure, _) => failure.text(),
        }
    }

    fn object(&self) -> Value {
        let mut whole = match self {
            Failure::Reported(_, report) => report.clone(),
            _ => object(&json!({})),
        };
        whole["error"] = json!({"kind": self.kind(), "message": self.text()});
        whole
    }

    /// One line on standard error; with `json` the run's one object on standard output, too.
    pub fn print(&self, json: bool) {
        if json {
            say!("{:#}", self.object());
        }
        complain(format_args!("{}", self.text()));
    }
}

/// Input errors carry their whole chain of causes on one line.
pub fn input(error: anyhow::Error) -> Failure {
    Failure::Input(format!("{error:#}"))
}

pub fn environment(error: anyhow::Error) -> Failure {
    Failure::Environment(format!("{error:#}"))
}

/// A serialisable result as an object, with the schema's version in front.
fn object(value: &impl Serialize) -> Value {
    let mut object = json!({ "schema": SCHEMA });
    if let (Some(into), Ok(Value::Object(from))) =
        (object.as_object_mut(), serde_json::to_value(value))
    {
        into.extend(from);
    }
    object
}

/// Prints a serialisable result.
pub fn json(value: &impl Serialize) {
    say!("{:#}", object(value));
}

/// Prints a result, for a person by `print`; then there is what is wrong with it.
pub fn conclude<T: Serialize>(
    as_json: bool,
    result: &T,
    print: impl FnOnce(&T),
    failure: Option<Failure>,
) -> Outcome {
    match failure {
        Some(failure) if as_json => return Err(failure.with(result)),
        None if as_json => json(result),
        _ => print(result),
    }
    failure.map_or(Ok(()), Err)
}

/// A two-column table: a name, a figure; groups are set off by a heading.
#[derive(Default)]
pub struct Table {
    lines: Vec<(String, Option<String>)>,
}

impl Table {
    pub fn heading(&mut self, text: impl Into<String>) -> &mut Self {
        self.lines.push((text.into(), None));
        self
    }

    pub fn row(&mut self, name: impl Into<String>, value: impl ToString) -> &mut Self {
        self.lines.push((name.into(), Some(value.to_string())));
        self
    }

    pub fn print(&self) {
        let name = self.lines.iter().filter(|l| l.1.is_some()).map(|l| l.0.chars().count()).max();
        let value = self.lines.iter().filter_map(|l| l.1.as_ref()).map(|v| v.chars().count()).max();
        let (name, value) = (name.unwrap_or(0), value.unwrap_or(0));
        for (label, figure) in &self.lines {
            match figure {
                Some(figure) => say!("  {label:<name$}  {figure:>value$}"),
                None => say!("\n{label}"),
            }
        }
    }
}

/// 1234567 -> 1,234,567
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_and_its_figures_are_one_object() {
        let figures = json!({"lost": 2, "rows": [1]});
        let plain = Failure::Check("2 were lost".into());
        let said = json!({"kind": "check", "message": "2 were lost"});
        assert_eq!(plain.object(), json!({"schema": 1, "error": said}));
        let whole = plain.with(&figures);
        assert_eq!((whole.number(), whole.text().as_str()), (1, "2 were lost"));
        let expected = json!({"schema": 1, "lost": 2, "rows": [1], "error": said});
        assert_eq!(whole.object(), expected);
    }
}
