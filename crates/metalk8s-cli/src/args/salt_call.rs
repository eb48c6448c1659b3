//! `salt-call`, with Salt's own options: they may stand before and after the function.

use std::{path::PathBuf, str::FromStr};

use clap::Args;
use metalk8s_types::paths;

use super::{salt::no_returner, salt_output::SaltOutput};

const EXAMPLES: &str = "\
Functions:
  state.apply NAME         apply NAME.sls or NAME/init.sls of the file roots; also state.sls, state.test
  state.highstate          make this machine what its roles ask for; so does state.apply without a name
  state.single FUN NAME    apply one state, its arguments written as NAME=VALUE
  state.show_sls NAME      show what a file says, and change nothing
  grains.get PATH          facts of this machine; also grains.item, grains.items, grains.ls
  pillar.get PATH          settings of this machine; also pillar.item, pillar.items, pillar.ls, config.get
  cmd.run COMMAND          run a command; also cmd.run_all, cmd.run_stdout, cmd.run_stderr, cmd.retcode
  service.status NAME      whether a unit runs; also service.available, service.missing, service.enabled,
                           service.disabled, service.masked, service.show, service.get_all, service.get_enabled,
                           service.get_disabled, service.get_static, service.get_running, service.start,
                           service.stop, service.restart, service.reload, service.enable, service.disable,
                           service.mask, service.unmask
  pkg.list_pkgs            installed packages; also pkg.version
  network.ip_addrs         addresses of this machine; also network.ipaddrs, network.ip_addrs6, network.ipaddrs6,
                           network.interfaces, network.interface_ip, network.hw_addr
  disk.usage               how full its file systems are; also disk.dump
  metalk8s.certificates    its certificates, and when each is renewed; also metalk8s.health
  sys.doc [NAME]           what these functions do; also sys.list_functions, sys.list_modules
  sys.state_doc [NAME]     what states do; also sys.list_state_functions, sys.list_state_modules
  saltutil.sync_all        nothing, for all is part of this program; also saltutil.sync_modules,
                           saltutil.sync_states, saltutil.sync_grains, saltutil.refresh_pillar,
                           saltutil.refresh_grains, mine.update
  saltutil.running         jobs that the agent carries out; also saltutil.find_job, saltutil.term_job,
                           saltutil.kill_job
  test.ping, test.version  whether it answers, and its version; also test.echo, test.arg, test.kwarg, test.true,
                           test.false, test.fib, test.sleep, test.retcode

Examples:
  salt-call grains.get metalk8s:control_plane_ip
  salt-call pillar.get networks --out json
  salt-call state.sls metalk8s.archives.mounted
  salt-call state.highstate test=True pillar='{\"networks\": {\"pod\": \"10.234.0.0/16\"}}'
  salt-call --local --file-root ./states state.apply web test=True
  salt-call --local state.single file.managed /etc/motd contents='hello' mode=0644
  salt-call --local state.single pkg.installed nginx --state-output=changes

`test=True` shows what would change, and changes nothing. `pillar=` is merged over the settings, for this call
alone. The status is 1 when a state failed; with --retcode-passthrough it is 2. SLS files are plain YAML;
`metalk8s explain MK1803` says what to do about templates.";

/// Call a function of the configuration engine on this machine
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, override_usage = "salt-call [OPTIONS] <FUNCTION> [ARGUMENTS]...")]
pub struct SaltCall {
    /// Such as `state.apply` or `grains.get`
    #[arg(required_unless_present_any = ["doc", "grains"])]
    pub function: Option<String>,
    /// What the function takes: words, and `name=value` in YAML
    pub arguments: Vec<String>,
    /// Say what functions do: those that are named, or all
    #[arg(short, long, alias = "documentation")]
    pub doc: bool,
    /// Show all facts of this machine, as grains.items does
    #[arg(short, long, conflicts_with_all = ["doc", "function"])]
    pub grains: bool,
    /// Work without a master; every function does so today
    #[arg(long)]
    pub local: bool,
    /// A folder of SLS files and of the sources of files; can be given several times, the first that has a
    /// file counts
    #[arg(long, value_name = "DIRECTORY", default_value = "/srv/salt")]
    pub file_root: Vec<PathBuf>,
    /// Where bootstrap.yaml is, which holds the settings of this machine
    #[arg(short, long, value_name = "DIRECTORY", default_value = paths::CONFIG_DIR)]
    pub config_dir: PathBuf,
    /// Seconds until the API is given up, which has the settings of a node that joined
    #[arg(short, long, value_name = "SECONDS", default_value = "60")]
    pub timeout: u32,
    /// End with 2, as the function itself does, when a state failed
    #[arg(long)]
    pub retcode_passthrough: bool,
    /// Which log lines are shown on stderr: quiet, critical, error, warning, info, debug, trace, all
    #[arg(short, long, value_name = "LEVEL", default_value = "warning")]
    pub log_level: LogLevel,
    /// Say where the function is carried out
    #[arg(short, long)]
    pub verbose: bool,
    /// Facts are collected anew for each call
    #[arg(long, hide = true)]
    pub refresh_grains_cache: bool,
    /// Not offered: results are printed
    #[arg(long = "return", value_name = "RETURNER", hide = true, value_parser = no_returner)]
    pub returner: Option<String>,
    /// Not offered: there are no files of a pillar
    #[arg(long, value_name = "DIRECTORY", hide = true, value_parser = no_pillar_root)]
    pub pillar_root: Option<String>,
    /// How results are printed.
    #[command(flatten)]
    pub output: SaltOutput,
}

/// Why the pillar has no folder.
fn no_pillar_root(_: &str) -> Result<String, String> {
    Err("settings come from bootstrap.yaml or from the cluster; `--config-dir` names the folder of the file, and \
         `pillar=` gives others for one call"
        .to_owned())
}

/// Salt's levels, as far as we have as many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Nothing.
    Quiet,
    /// As many lines as this verbosity of [`metalk8s_diagnostics::logging::command`] shows.
    Verbosity(u8),
}

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "quiet" => Ok(Self::Quiet),
            "critical" | "error" | "warning" => Ok(Self::Verbosity(0)),
            "info" => Ok(Self::Verbosity(1)),
            "debug" | "profile" => Ok(Self::Verbosity(2)),
            "trace" | "garbage" | "all" => Ok(Self::Verbosity(3)),
            other => Err(format!(
                "`{other}` is none of `quiet`, `critical`, `error`, `warning`, `info`, `debug`, `trace`, `all`"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::EXAMPLES;

    #[test]
    fn the_help_names_every_function() {
        for function in metalk8s_saltcompat::FUNCTIONS {
            assert!(EXAMPLES.contains(function.name), "{}", function.name);
        }
    }
}
