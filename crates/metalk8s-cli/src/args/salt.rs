//! `salt`, with Salt's own options: they may stand before and after the function.

use clap::Args;
use metalk8s_diagnostics::Problems;
use metalk8s_saltcompat::{Target, TargetKind, batch::BatchSize};

use super::{LogLevel, salt_output::SaltOutput};

const EXAMPLES: &str = "\
Examples:
  salt '*' test.ping
  salt -L node-1,node-2 state.sls metalk8s.archives.mounted
  salt -C 'G@os:Debian and not node-1' pkg.version kubelet --out=json --static
  salt '*' state.apply web test=True --timeout=200

The status is 1 when a function failed or a minion did not return, and 2 when the target means nobody.";

/// Call a function of the configuration engine on many machines
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, override_usage = "salt [OPTIONS] <TARGET> <FUNCTION> [ARGUMENTS]...")]
pub struct Salt {
    /// Which minions: a pattern of names such as `node-*`, or as -L, -E, -G or -C say
    #[arg(required_unless_present = "doc")]
    pub target: Option<String>,
    /// Such as `test.ping`
    #[arg(required_unless_present_any = ["doc", "preview_target"])]
    pub function: Option<String>,
    /// What the function takes: words, and `name=value` in YAML
    pub arguments: Vec<String>,
    /// Which minions the target means.
    #[command(flatten)]
    pub kind: SaltTarget,
    /// Seconds until minions that do not answer are given up
    #[arg(short, long, value_name = "SECONDS", default_value = "5")]
    pub timeout: u64,
    /// Say the id of the job, and do not wait for it
    #[arg(long = "async")]
    pub is_async: bool,
    /// Print all answers together once all are there
    #[arg(short = 's', long = "static")]
    pub is_static: bool,
    /// Give the job to some minions at a time: a number, or a part of all such as 25%
    #[arg(short, long = "batch-size", alias = "batch", value_name = "NUMBER|PART%", conflicts_with_all = ["is_async", "is_static"])]
    pub batch_size: Option<BatchSize>,
    /// With --batch-size: begin with no other minion after one failed
    #[arg(long)]
    pub failhard: bool,
    /// Only so many of the minions, by chance
    #[arg(long, value_name = "NUMBER")]
    pub subset: Option<usize>,
    /// Say the id of the job, and who did not answer in the summary
    #[arg(short, long)]
    pub verbose: bool,
    /// Say the id of the job
    #[arg(long)]
    pub show_jid: bool,
    /// Do not print who did not answer
    #[arg(long)]
    pub hide_timeout: bool,
    /// Print how many minions answered
    #[arg(long)]
    pub summary: bool,
    /// Show the minions that the target means, and do nothing
    #[arg(long)]
    pub preview_target: bool,
    /// Say what the functions do
    #[arg(short, long, alias = "documentation")]
    pub doc: bool,
    /// Show how many minions answered while they do
    #[arg(short, long)]
    pub progress: bool,
    /// Not offered: results are kept in the cluster
    #[arg(long = "return", value_name = "RETURNER", hide = true, value_parser = no_returner)]
    pub returner: Option<String>,
    /// Which log lines are shown on stderr: quiet, critical, error, warning, info, debug, trace, all
    #[arg(short, long, value_name = "LEVEL", default_value = "warning")]
    pub log_level: LogLevel,
    /// How results are printed.
    #[command(flatten)]
    pub output: SaltOutput,
}

/// How a target is written; without any of these it is a pattern of names
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct SaltTarget {
    /// The target is a list of names: node-1,node-2
    #[arg(short = 'L', long)]
    pub list: bool,
    /// The target is a regular expression that names begin with
    #[arg(short = 'E', long)]
    pub pcre: bool,
    /// The target is a fact and a pattern of its value: os:Debian
    #[arg(short = 'G', long)]
    pub grain: bool,
    /// The target joins others with and, or, not: G@os:Debian and not L@node-1,node-2
    #[arg(short = 'C', long)]
    pub compound: bool,
}

impl SaltTarget {
    /// How it is written.
    pub fn kind(&self) -> TargetKind {
        let Self { list, pcre, grain, compound } = self;
        match (list, pcre, grain, compound) {
            (true, _, _, _) => TargetKind::List,
            (_, true, _, _) => TargetKind::Pcre,
            (_, _, true, _) => TargetKind::Grain,
            (_, _, _, true) => TargetKind::Compound,
            (false, false, false, false) => TargetKind::Glob,
        }
    }

    /// The minions that are meant by the word.
    ///
    /// # Errors
    /// All mistakes in it.
    pub fn target(&self, word: &str) -> Result<Target, Problems> {
        Target::parse(self.kind(), word)
    }
}

/// Why results are sent nowhere.
pub(super) fn no_returner(returner: &str) -> Result<String, String> {
    Err(format!(
        "results are not sent to `{returner}`: they are kept in the cluster, and `salt-run jobs.lookup_jid` shows them"
    ))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        salt: Salt,
    }

    fn read(words: &[&str]) -> Result<Salt, String> {
        let read = Alone::try_parse_from([&["salt"], words].concat());
        read.map(|read| read.salt).map_err(|err| err.to_string())
    }

    #[test]
    fn the_command_line_is_sound() {
        Alone::command().debug_assert();
        let about = "Call a function of the configuration engine on many machines";
        assert_eq!(Alone::command().get_about().map(ToString::to_string).as_deref(), Some(about));
    }

    #[test]
    fn the_documented_calls_are_read() {
        let call = read(&["*", "saltutil.sync_all", "saltenv=metalk8s-2.5.1"]).unwrap();
        assert_eq!(call.target.as_deref(), Some("*"));
        assert_eq!(call.function.as_deref(), Some("saltutil.sync_all"));
        assert_eq!(call.arguments, ["saltenv=metalk8s-2.5.1"]);
        assert_eq!(call.timeout, 5);
        let pkgs = "pkgs=[{'salt-minion': '2018.3.4'}, {'salt': '2018.3.4'}]";
        let call = read(&["*", "state.single", "pkg.installed", "salt", pkgs, "hold=True", "--timeout=200"])
            .unwrap();
        assert_eq!(call.arguments, ["pkg.installed", "salt", pkgs, "hold=True"]);
        assert_eq!(call.timeout, 200);
    }

    #[test]
    fn targets_are_written_in_one_way() {
        let kind = |option: &str| read(&[option, "a:b", "test.ping"]).unwrap().kind.kind();
        assert_eq!(read(&["a", "test.ping"]).unwrap().kind.kind(), TargetKind::Glob);
        for (option, expect) in [
            ("-L", TargetKind::List),
            ("--list", TargetKind::List),
            ("-E", TargetKind::Pcre),
            ("--pcre", TargetKind::Pcre),
            ("-G", TargetKind::Grain),
            ("--grain", TargetKind::Grain),
            ("-C", TargetKind::Compound),
            ("--compound", TargetKind::Compound),
        ] {
            assert_eq!(kind(option), expect, "{option}");
        }
        assert!(read(&["-L", "-E", "a", "test.ping"]).unwrap_err().contains("cannot be used with"));
        assert!(read(&["-G", "os", "test.ping"]).unwrap().kind.target("os").is_err());
    }

    #[test]
    fn a_function_is_needed_unless_something_is_shown() {
        assert!(read(&["*"]).is_err());
        assert!(read(&[]).is_err());
        for words in [&["*", "--preview-target"][..], &["-d"], &["*", "--doc", "test.ping"]] {
            assert!(read(words).is_ok(), "{words:?}");
        }
    }

    #[test]
    fn returners_are_refused_with_the_reason() {
        let message = read(&["*", "test.ping", "--return", "redis"]).unwrap_err();
        assert!(message.contains("salt-run jobs.lookup_jid"), "{message}");
    }

    #[test]
    fn options_stand_before_and_after_the_function() {
        for words in [
            &[
                "-t",
                "9",
                "-b",
                "25%",
                "--failhard",
                "*",
                "test.ping",
                "-v",
                "--subset",
                "3",
                "-p",
                "-l",
                "quiet",
            ][..],
            &[
                "*",
                "test.ping",
                "--batch=25%",
                "--failhard",
                "--timeout",
                "9",
                "--verbose",
                "--subset=3",
                "-p",
            ],
        ] {
            let call = read(words).unwrap();
            assert_eq!(call.batch_size, Some(BatchSize::Percent(25.0)));
            assert_eq!((call.timeout, call.subset), (9, Some(3)));
            assert!(call.failhard && call.verbose && call.progress);
        }
        let call =
            read(&["*", "test.ping", "-s", "--summary", "--hide-timeout", "--show-jid", "--async"]).unwrap();
        assert!(call.is_static && call.summary && call.hide_timeout && call.show_jid && call.is_async);
        assert!(read(&["*", "test.ping", "-b", "0"]).is_err());
        assert!(read(&["*", "test.ping", "-b", "1", "--async"]).is_err());
    }
}
