//! The form of the command line beyond what its types express: ranges in the help, completions for
//! shells, and help whose write errors are reported.

use crate::report::{self, grouped};
use crate::Outcome;
use clap::{Arg, Command};
use clap_complete::Shell;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    nitor completions bash >~/.local/share/bash-completion/completions/nitor\n  \
    nitor completions zsh >~/.zfunc/_nitor    # with ~/.zfunc in $fpath\n  \
    nitor completions fish >~/.config/fish/completions/nitor.fish")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

/// Prints the completions of `command` for a shell.
pub fn completions(args: &Completions, mut command: Command) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "nitor", &mut script);
    report::print(&String::from_utf8_lossy(&script));
    Ok(())
}

/// The same command, whose help tells the range of each number as the parser of its values has it.
pub fn with_ranges(command: Command) -> Command {
    command.mut_subcommands(with_ranges).mut_args(|arg| match range(&arg) {
        None => arg,
        Some(range) => {
            let help = arg.get_help().map(|help| format!("{help} ")).unwrap_or_default();
            arg.help(format!("{help}[{range}]"))
        }
    })
}

/// What a parser of numbers says of those it refuses.
fn range(arg: &Arg) -> Option<String> {
    if !arg.get_action().takes_values() {
        return None;
    }
    let probe = Arg::new("probe").long("probe").value_parser(arg.get_value_parser().clone());
    let probe = Command::new("probe").no_binary_name(true).arg(probe);
    let refused = probe.try_get_matches_from([format!("--probe={}", i64::MAX)]).err()?.to_string();
    let (_, range) = refused.split_once(" is not in ")?;
    let (least, most) = range.lines().next()?.trim().split_once("..=")?;
    let number = |text: &str| text.parse().map_or(text.to_string(), grouped);
    Some(format!("{} to {}", number(least), number(most)))
}

/// Prints help or the version where it was asked for.
pub fn show(error: &clap::Error) -> ! {
    use std::io::IsTerminal;
    if error.use_stderr() {
        error.exit();
    }
    let text = error.render();
    match std::io::stdout().is_terminal() {
        true => report::print(&text.ansi().to_string()),
        false => report::print(&text.to_string()),
    }
    std::process::exit(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn all(command: &Command, check: &mut impl FnMut(&Command, &Arg)) {
        command.get_arguments().for_each(|arg| check(command, arg));
        command.get_subcommands().for_each(|command| all(command, check));
    }

    #[test]
    fn ranges_in_the_help_are_those_of_the_parsers() {
        let mut told = 0;
        all(&with_ranges(crate::Cli::command()), &mut |command, arg| {
            let Some(range) = range(arg) else { return };
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(
                help.ends_with(&format!("[{range}]")),
                "{} {}",
                command.get_name(),
                arg.get_id()
            );
            told += 1;
        });
        assert!(told > 10, "{told}");
        let is = |range_of: std::ops::RangeInclusive<u64>| {
            range(&Arg::new("x").long("x").value_parser(clap::value_parser!(u64).range(range_of)))
        };
        assert_eq!(is(16..=10_000_000).as_deref(), Some("16 to 10,000,000"));
        assert_eq!(is(0..=u64::MAX), None);
    }

    #[test]
    fn every_shell_gets_completions_of_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut crate::Cli::command(), "nitor", &mut script);
            let script = String::from_utf8(script).unwrap();
            for command in crate::Cli::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
            }
        }
    }
}
