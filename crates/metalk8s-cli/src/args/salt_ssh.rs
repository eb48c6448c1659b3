//! `salt-ssh`, with Salt's own options.

use clap::Args;
use metalk8s_saltcompat::{Roster, TargetKind};

use super::{LogLevel, salt_output::SaltOutput};

const EXAMPLES: &str = "\
Examples:
  salt-ssh --roster kubernetes node-1 test.ping
  salt-ssh -L node-1,node-2 state.sls metalk8s.archives.mounted";

/// Call a function of the configuration engine on machines that have no agent, through SSH
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, override_usage = "salt-ssh [OPTIONS] <TARGET> <FUNCTION> [ARGUMENTS]...")]
pub struct SaltSsh {
    /// Which machines: a pattern of names such as `node-*`
    pub target: String,
    /// Such as `test.ping`
    pub function: String,
    /// What the function takes: words, and `name=value` in YAML
    pub arguments: Vec<String>,
    /// Where machines are found: in the Node objects
    #[arg(long, value_name = "ROSTER", default_value = "kubernetes")]
    pub roster: Roster,
    /// The target is a list of names: node-1,node-2
    #[arg(short = 'L', long)]
    pub list: bool,
    /// Trust the host keys of machines that are not known yet
    #[arg(short, long = "ignore-host-keys", visible_alias = "ignore_host_keys")]
    pub ignore_host_keys: bool,
    /// Seconds until a machine that does not answer is given up
    #[arg(short, long, value_name = "SECONDS", default_value = "60")]
    pub timeout: u64,
    /// Which log lines are shown on stderr: quiet, critical, error, warning, info, debug, trace, all
    #[arg(short, long, value_name = "LEVEL", default_value = "warning")]
    pub log_level: LogLevel,
    /// How results are printed.
    #[command(flatten)]
    pub output: SaltOutput,
}

impl SaltSsh {
    /// How the target is written.
    pub fn kind(&self) -> TargetKind {
        if self.list { TargetKind::List } else { TargetKind::Glob }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        ssh: SaltSsh,
    }

    fn read(words: &[&str]) -> Result<SaltSsh, String> {
        let read = Alone::try_parse_from([&["salt-ssh"], words].concat());
        read.map(|read| read.ssh).map_err(|err| err.to_string())
    }

    #[test]
    fn the_command_line_is_sound() {
        Alone::command().debug_assert();
        let about = "Call a function of the configuration engine on machines that have no agent, through SSH";
        assert_eq!(Alone::command().get_about().map(ToString::to_string).as_deref(), Some(about));
    }

    #[test]
    fn the_documented_call_is_read() {
        let call = read(&["--roster", "kubernetes", "node-1", "test.ping"]).unwrap();
        assert_eq!((call.target.as_str(), call.function.as_str()), ("node-1", "test.ping"));
        assert_eq!(call.kind(), TargetKind::Glob);
        let call = read(&["-L", "a,b", "state.sls", "x", "-i", "-t", "9", "--out=txt"]).unwrap();
        assert_eq!(call.kind(), TargetKind::List);
        assert_eq!((call.ignore_host_keys, call.timeout), (true, 9));
        assert_eq!(call.arguments, ["x"]);
    }

    #[test]
    fn other_rosters_are_refused_with_the_reason() {
        let message = read(&["--roster", "flat", "node-1", "test.ping"]).unwrap_err();
        assert!(message.contains("machines are found by their Node objects"), "{message}");
    }
}
