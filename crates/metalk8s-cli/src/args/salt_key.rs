//! `salt-key`, with Salt's own options.

use clap::Args;
use metalk8s_saltcompat::keys::{KeyAction, KeyChange, Listed};

use super::{LogLevel, salt_output::SaltOutput};

/// Every name.
const ALL: &str = "*";
const EXAMPLES: &str = "\
Examples:
  salt-key
  salt-key -A -y
  salt-key -d node-1

Several patterns are parted by commas.";

/// List, accept, reject and delete the keys of minions
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, override_usage = "salt-key [OPTIONS]")]
pub struct SaltKey {
    /// What is done; without any of these all keys are listed.
    #[command(flatten)]
    pub action: SaltKeyAction,
    /// With -a or -A: refused keys too
    #[arg(long)]
    pub include_rejected: bool,
    /// With -r or -R: accepted keys too
    #[arg(long)]
    pub include_accepted: bool,
    /// With -a, -A, -r or -R: denied keys too
    #[arg(long)]
    pub include_denied: bool,
    /// Answer all questions with yes
    #[arg(short, long)]
    pub yes: bool,
    /// Which log lines are shown on stderr: quiet, critical, error, warning, info, debug, trace, all
    #[arg(long, value_name = "LEVEL", default_value = "warning")]
    pub log_level: LogLevel,
    /// How keys are printed.
    #[command(flatten)]
    pub output: SaltOutput,
}

/// What is done with keys
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct SaltKeyAction {
    /// List keys: acc, pre (or un), rej, den, all
    #[arg(short, long, value_name = "STATE")]
    pub list: Option<Listed>,
    /// List all keys
    #[arg(short = 'L', long)]
    pub list_all: bool,
    /// Accept keys that wait
    #[arg(short, long, value_name = "PATTERN")]
    pub accept: Option<String>,
    /// Accept all keys that wait
    #[arg(short = 'A', long)]
    pub accept_all: bool,
    /// Reject keys that wait
    #[arg(short, long, value_name = "PATTERN")]
    pub reject: Option<String>,
    /// Reject all keys that wait
    #[arg(short = 'R', long)]
    pub reject_all: bool,
    /// Delete keys
    #[arg(short, long, value_name = "PATTERN")]
    pub delete: Option<String>,
    /// Delete all keys
    #[arg(short = 'D', long)]
    pub delete_all: bool,
    /// Print keys
    #[arg(short, long, value_name = "PATTERN")]
    pub print: Option<String>,
    /// Print all keys
    #[arg(short = 'P', long)]
    pub print_all: bool,
    /// Print fingerprints of keys
    #[arg(short, long, value_name = "PATTERN")]
    pub finger: Option<String>,
    /// Print fingerprints of all keys
    #[arg(short = 'F', long)]
    pub finger_all: bool,
}

impl SaltKey {
    /// What is asked for.
    pub fn action(&self) -> KeyAction {
        let Self {
            action,
            include_rejected,
            include_accepted,
            include_denied,
            yes: _,
            log_level: _,
            output: _,
        } = self;
        let accept = KeyChange::Accept { rejected: *include_rejected, denied: *include_denied };
        let reject = KeyChange::Reject { accepted: *include_accepted, denied: *include_denied };
        let asked = |pattern: &Option<String>, all: bool| pattern.clone().or(all.then(|| ALL.to_owned()));
        let change = |change: KeyChange, pattern: &Option<String>, all: bool| {
            asked(pattern, all).map(|pattern| KeyAction::Change(change, pattern))
        };
        change(accept, &action.accept, action.accept_all)
            .or_else(|| change(reject, &action.reject, action.reject_all))
            .or_else(|| change(KeyChange::Delete, &action.delete, action.delete_all))
            .or_else(|| asked(&action.print, action.print_all).map(KeyAction::Print))
            .or_else(|| asked(&action.finger, action.finger_all).map(KeyAction::Finger))
            .unwrap_or_else(|| KeyAction::List(action.list.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};
    use metalk8s_saltcompat::keys::KeyStatus;

    use super::*;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        key: SaltKey,
    }

    fn read(words: &[&str]) -> Result<SaltKey, clap::Error> {
        Alone::try_parse_from([&["salt-key"], words].concat()).map(|read| read.key)
    }

    #[test]
    fn the_command_line_is_sound() {
        Alone::command().debug_assert();
        let about = "List, accept, reject and delete the keys of minions";
        assert_eq!(Alone::command().get_about().map(ToString::to_string).as_deref(), Some(about));
    }

    #[test]
    fn every_action_is_read() {
        let accept = KeyChange::Accept { rejected: false, denied: false };
        let reject = KeyChange::Reject { accepted: true, denied: true };
        let change = |change: KeyChange, pattern: &str| KeyAction::Change(change, pattern.to_owned());
        for (words, expect) in [
            (&[][..], KeyAction::List(Listed::All)),
            (&["-L"], KeyAction::List(Listed::All)),
            (&["-l", "pre"], KeyAction::List(Listed::Only(KeyStatus::Unaccepted))),
            (&["--list=all"], KeyAction::List(Listed::All)),
            (&["-a", "node-*"], change(accept, "node-*")),
            (&["-A", "-y"], change(accept, "*")),
            (&["-r", "x", "--include-accepted", "--include-denied"], change(reject, "x")),
            (&["-R", "--include-accepted", "--include-denied"], change(reject, "*")),
            (&["-d", "node-1"], change(KeyChange::Delete, "node-1")),
            (&["-D"], change(KeyChange::Delete, "*")),
            (&["-p", "x"], KeyAction::Print("x".into())),
            (&["-P"], KeyAction::Print("*".into())),
            (&["-f", "x"], KeyAction::Finger("x".into())),
            (&["-F"], KeyAction::Finger("*".into())),
        ] {
            assert_eq!(read(words).unwrap().action(), expect, "{words:?}");
        }
    }

    #[test]
    fn actions_exclude_one_another() {
        assert!(read(&["-d", "x", "-A"]).is_err());
        assert!(read(&["-l", "nope"]).is_err());
        assert!(read(&["-D", "x"]).is_err());
    }
}
