//! Quotes commands so that a person can paste them into a shell.

use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A word as a shell reads it back.
pub fn quoted(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref();
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(b);
    match word.to_str() {
        Some(text) if !text.is_empty() && text.bytes().all(|b| plain(&b)) => text.to_string(),
        Some(text) if !text.chars().any(char::is_control) => {
            format!("'{}'", text.replace('\'', "'\\''"))
        }
        // Characters that a terminal would obey, or could not show.
        _ => {
            let mut quoted = "$'".to_string();
            for &byte in word.as_bytes() {
                let _ = match byte {
                    b'\'' | b'\\' => write!(quoted, "\\{}", byte as char),
                    b' '..=b'~' => write!(quoted, "{}", byte as char),
                    // Three digits, so that a digit that follows is not part of the escape.
                    _ => write!(quoted, "\\{byte:03o}"),
                };
            }
            quoted + "'"
        }
    }
}

/// A path, which a command must not take for an option.
pub fn path(path: &Path) -> String {
    match path.as_os_str().as_bytes().first() {
        Some(b'-') => quoted(Path::new(".").join(path)),
        _ => quoted(path),
    }
}

/// The command that is running, and with what it leaves to `defaults` said, too.
pub fn again(defaults: &[(&str, String)]) -> String {
    let given: Vec<_> = std::env::args_os().skip(1).collect();
    command(given.iter().map(|word| word.as_os_str()), defaults)
}

fn command<'a>(given: impl Iterator<Item = &'a OsStr>, defaults: &[(&str, String)]) -> String {
    let mut words = vec!["nitor".to_string()];
    let mut left: Vec<_> = defaults.iter().collect();
    for word in given {
        left.retain(|(option, _)| {
            let rest = word.as_bytes().strip_prefix(option.as_bytes());
            !rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'=')
        });
        words.push(quoted(word));
    }
    for (option, value) in left {
        words.extend([option.to_string(), quoted(value)]);
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    use std::process::Command;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for (word, shown) in [
            ("a.pcap", "a.pcap"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", "'it'\\''s'"),
            ("$HOME;`x`\"*?[a]~#!", "'$HOME;`x`\"*?[a]~#!'"),
            ("naïve", "'naïve'"),
            ("\x1b[2J\n1", "$'\\033[2J\\0121'"),
        ] {
            assert_eq!(quoted(word), shown);
        }
        let mut words: Vec<OsString> =
            vec!["a b".into(), "it's \\ $x".into(), "\t\n\x1b'\\7".into()];
        words.push(OsString::from_vec(vec![0xff, b'7', 0x80, b'\'', b' ']));
        for word in words {
            let script = format!("printf %s {}", quoted(&word));
            let read = Command::new("bash").args(["-c", &script]).output().unwrap().stdout;
            assert_eq!(OsString::from_vec(read), word, "{script}");
        }
    }

    #[test]
    fn a_path_is_no_option() {
        assert_eq!(path(Path::new("-v/x y")), "'./-v/x y'");
        assert_eq!(path(Path::new("build/verilog")), "build/verilog");
    }

    #[test]
    fn nothing_given_is_dropped_and_defaults_are_said_once() {
        let defaults = [("--card", "card-128".to_string()), ("--seed", "1".to_string())];
        let of = |given: &[&str]| command(given.iter().map(OsStr::new), &defaults);
        assert_eq!(of(&["demo"]), "nitor demo --card card-128 --seed 1");
        let given = ["demo", "--pcap", "my file", "--seed=7", "--file", "9"];
        assert_eq!(of(&given), "nitor demo --pcap 'my file' --seed=7 --file 9 --card card-128");
        assert_eq!(
            of(&["demo", "--card", "card-512", "--seed", "3"]),
            "nitor demo --card card-512 --seed 3"
        );
    }
}
