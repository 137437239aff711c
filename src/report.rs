//! What a person or a script reads: tables, JSON, failures with their exit code.

use serde::Serialize;
use std::fmt::Arguments;
use std::io::{stdout, Write};
use std::process::{exit, ExitCode};

/// Prints a line to standard output.
macro_rules! say {
    ($($text:tt)*) => { $crate::report::say(format_args!($($text)*)) };
}

pub fn say(text: Arguments<'_>) {
    let mut out = stdout().lock();
    if let Err(error) = out.write_fmt(text).and_then(|()| out.write_all(b"\n")) {
        eprintln!("nitor: cannot write to standard output: {error}");
        exit(3);
    }
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
}

impl Failure {
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Check(_) => 1,
            Failure::Input(_) => 2,
            Failure::Environment(_) => 3,
        })
    }

    fn text(&self) -> &str {
        match self {
            Failure::Check(t) | Failure::Input(t) | Failure::Environment(t) => t,
        }
    }

    /// One line on standard error, or a JSON object on standard output.
    pub fn print(&self, json: bool) {
        if json {
            let kind = match self {
                Failure::Check(_) => "check",
                Failure::Input(_) => "input",
                Failure::Environment(_) => "environment",
            };
            say!(
                "{}",
                serde_json::json!({"schema": SCHEMA, "error": {"kind": kind, "message": self.text()}})
            );
        }
        eprintln!("nitor: {}", self.text());
    }
}

/// Input errors carry their whole chain of causes on one line.
pub fn input(error: anyhow::Error) -> Failure {
    Failure::Input(format!("{error:#}"))
}

pub fn environment(error: anyhow::Error) -> Failure {
    Failure::Environment(format!("{error:#}"))
}

/// Prints a serialisable result with the schema's version in front.
pub fn json(value: &impl Serialize) {
    let mut object = serde_json::json!({ "schema": SCHEMA });
    if let (Some(into), Ok(serde_json::Value::Object(from))) =
        (object.as_object_mut(), serde_json::to_value(value))
    {
        into.extend(from);
    }
    say!("{object:#}");
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
