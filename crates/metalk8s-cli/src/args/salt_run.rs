//! `salt-run`, with Salt's own options.

use clap::Args;

use super::{LogLevel, salt_output::SaltOutput};

const EXAMPLES: &str = "\
Functions:
  state.orchestrate NAME   carry out a procedure over many nodes, or apply formulas to the Bootstrap node; also
                           state.orch, state.sls
  state.orchestrate_single FUN NAME
                           apply one state to the Bootstrap node, its arguments written as NAME=VALUE
  manage.versions          versions of minions beside the master's
  manage.status            which minions answer; also manage.up, manage.down, manage.present,
                           manage.not_present
  jobs.list_jobs           jobs that are kept; also jobs.list_job, jobs.print_job, jobs.last_run
  jobs.lookup_jid JID      what the minions of a job returned; jobs.active: jobs that run
  saltutil.sync_all        sync the master; also saltutil.sync_roster, metalk8s_saltutil.sync_auth
  metalk8s_saltutil.wait_minions
                           wait until minions answer and run nothing
  doc.runner [NAME]        what these functions do; test.arg: the words as they are read

Examples:
  salt-run manage.versions
  salt-run state.sls metalk8s.deployed saltenv=metalk8s-2.5.1
  salt-run state.orchestrate metalk8s.orchestrate.deploy_node saltenv=metalk8s-2.5.1 \\
      pillar='{\"orchestrate\": {\"node_name\": \"node-1\"}}'";

/// Call a function of the master
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, override_usage = "salt-run [OPTIONS] <FUNCTION> [ARGUMENTS]...")]
pub struct SaltRun {
    /// Such as `state.orchestrate` or `manage.versions`
    #[arg(required_unless_present = "doc")]
    pub function: Option<String>,
    /// What the function takes: words, and `name=value` in YAML
    pub arguments: Vec<String>,
    /// Say what the functions do
    #[arg(short, long, alias = "documentation")]
    pub doc: bool,
    /// Say the id of the job, and do not wait for it
    #[arg(long = "async")]
    pub is_async: bool,
    /// Say the id of the job
    #[arg(long)]
    pub show_jid: bool,
    /// Seconds until minions that do not answer are given up
    #[arg(short, long, value_name = "SECONDS", default_value = "5")]
    pub timeout: u64,
    /// Which log lines are shown on stderr: quiet, critical, error, warning, info, debug, trace, all
    #[arg(short, long, value_name = "LEVEL", default_value = "warning")]
    pub log_level: LogLevel,
    /// How results are printed.
    #[command(flatten)]
    pub output: SaltOutput,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        run: SaltRun,
    }

    fn read(words: &[&str]) -> Option<SaltRun> {
        Alone::try_parse_from([&["salt-run"], words].concat()).ok().map(|read| read.run)
    }

    #[test]
    fn the_command_line_is_sound() {
        Alone::command().debug_assert();
        let about = "Call a function of the master";
        assert_eq!(Alone::command().get_about().map(ToString::to_string).as_deref(), Some(about));
    }

    #[test]
    fn the_documented_calls_are_read() {
        let pillar = r#"pillar={"orchestrate": {"node_name": "node-1"}}"#;
        let name = "metalk8s.orchestrate.deploy_node";
        let call = read(&["state.orchestrate", name, "saltenv=metalk8s-2.5.1", pillar]).unwrap();
        assert_eq!(call.function.as_deref(), Some("state.orchestrate"));
        assert_eq!(call.arguments, [name, "saltenv=metalk8s-2.5.1", pillar]);
        assert!(read(&["manage.versions", "--out=json"]).is_some());
        assert!(read(&["-d"]).unwrap().doc);
        assert!(read(&[]).is_none());
    }

    #[test]
    fn the_help_names_every_function() {
        for function in metalk8s_saltcompat::runner::RUNNERS {
            assert!(EXAMPLES.contains(function.name), "{}", function.name);
        }
    }
}
