//! Makes text of guests and tools safe for a terminal: it could clear the terminal, rename it or
//! make it answer.

use std::borrow::Cow;

/// The text without escape sequences and control characters; lines and tabs stay.
pub fn plain(text: &str) -> Cow<'_, str> {
    let harmless = |c: char| !c.is_control() || c == '\n' || c == '\t';
    if text.chars().all(harmless) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' => match rest.next() {
                Some('[') => skip_control(&mut rest),
                // A string for the terminal: its title, its clipboard.
                Some(']' | 'P' | 'X' | '^' | '_') => skip_string(&mut rest),
                Some(' '..='/') => _ = rest.find(|c| !(' '..='/').contains(c)),
                _ => {}
            },
            '\u{9b}' => skip_control(&mut rest),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => skip_string(&mut rest),
            c if harmless(c) => out.push(c),
            _ => {}
        }
    }
    out.into()
}

/// Parameters and a last letter; what is neither has cut the sequence off.
fn skip_control(rest: &mut std::str::Chars) {
    let mut ahead = rest.clone();
    while let Some(c) = ahead.next() {
        if !(' '..='~').contains(&c) {
            return;
        }
        *rest = ahead.clone();
        if ('@'..='~').contains(&c) {
            return;
        }
    }
}

/// Up to its end, or that of the line: a string that nobody ends hides no more.
fn skip_string(rest: &mut std::str::Chars) {
    let mut ahead = rest.clone();
    while let Some(c) = ahead.next() {
        if c == '\n' {
            return;
        }
        *rest = ahead.clone();
        if c == '\x07' || c == '\u{9c}' {
            return;
        }
        if c == '\x1b' {
            if ahead.next() == Some('\\') {
                *rest = ahead;
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        for (raw, text) in [
            ("plain\ttext\n", "plain\ttext\n"),
            ("\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS (version 1.16)\r\n", "SeaBIOS (version 1.16)\n"),
            ("a\x1b[31;1mred\x1b[0m", "ared"),
            ("\x1b]0;a title\x07b\x1b]52;c;eA==\x1b\\c", "bc"),
            ("\x1b(B\x1b#8d", "d"),
            ("\u{9b}2Je\u{9d}title\u{9c}f\x08\x7f\0", "ef"),
            ("cut off \x1b[12", "cut off "),
            ("cut off \x1b", "cut off "),
            ("never ended \x1b]0;title\nthe next line", "never ended \nthe next line"),
            ("wrong \x1b[1\x1b[2Jend", "wrong end"),
            ("Zürich, 100 µs – fine", "Zürich, 100 µs – fine"),
        ] {
            assert_eq!(plain(raw), text, "{raw:?}");
        }
    }

    #[test]
    fn whatever_it_is_no_control_character_is_left() {
        let mut state = 7u64;
        for _ in 0..2000 {
            let mut raw = String::new();
            for _ in 0..40 {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let some =
                    ['\x1b', '[', ']', '\\', 'm', '2', ';', '\x07', '\u{9b}', '\r', 'é', '\n'];
                raw.push(some[(state >> 33) as usize % some.len()]);
            }
            let text = plain(&raw);
            assert!(text.chars().all(|c| !c.is_control() || c == '\n'), "{raw:?}: {text:?}");
            assert_eq!(plain(&text), text);
        }
    }
}
