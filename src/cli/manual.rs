//! Manual pages and what shells need to complete commands, both made of the arguments themselves.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Output};

/// What `trunkway completions --help` shows at its end.
const EXAMPLES: &str = "\
Examples:
  trunkway completions bash > /etc/bash_completion.d/trunkway
  trunkway completions zsh > /usr/local/share/zsh/site-functions/_trunkway
  trunkway completions fish > ~/.config/fish/completions/trunkway.fish";

/// Arguments of `trunkway completions`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompletionArguments {
    /// The shell.
    pub shell: Shell,
}

/// Arguments of `trunkway man`.
#[derive(Debug, Args)]
pub struct ManArguments {
    /// The directory that the pages are written to; it is made when it is not there.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Runs `trunkway completions`.
pub fn completions(arguments: &CompletionArguments) -> Output {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "trunkway", &mut text);
    Output::said(String::from_utf8_lossy(&text).into_owned())
}

/// Runs `trunkway man`.
pub fn man(arguments: &ManArguments) -> Output {
    match write_pages(&arguments.out) {
        Ok(count) => Output::said(format!("{count} pages in {}\n", arguments.out.display())),
        Err(error) => Output::fault(format!("error: cannot write to {}: {error}\n", arguments.out.display())),
    }
}

/// Writes a page for the program and one for each of its subcommands that people see; gives how many are there now.
fn write_pages(out: &Path) -> std::io::Result<usize> {
    std::fs::create_dir_all(out)?;
    clap_mangen::generate_to(Cli::command(), out)?;
    Ok(std::fs::read_dir(out)?.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subcommand_that_people_see_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("man1");
        let output = man(&ManArguments { out: out.clone() });
        assert_eq!((output.code, output.err.as_str()), (0, ""));
        let program = Cli::command();
        for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
            let page = out.join(format!("trunkway-{}.1", command.get_name()));
            assert!(page.exists(), "{}", page.display());
        }
        for (page, words) in [("trunkway.1", "drain"), ("trunkway-drain.1", "systemctl stop trunkway")] {
            let text = std::fs::read_to_string(out.join(page)).unwrap();
            assert!(text.starts_with(".") && text.contains(words), "{page}: {text}");
        }
        assert!(!out.join("trunkway-man.1").exists(), "it is for those who make packages");
    }

    #[test]
    fn every_shell_completes_every_subcommand() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let output = completions(&CompletionArguments { shell });
            for word in ["drain", "undrain", "check"] {
                assert!(output.out.contains(word), "{shell}: {word}");
            }
        }
    }
}
