//! What can be typed.

mod archive;
mod authority;
mod backup;
mod certificates;
mod doctor;
mod fleet;
mod join;
mod node;
mod plan;
mod reset;
mod run;
mod salt;
mod salt_call;
mod salt_key;
mod salt_output;
mod salt_run;
mod salt_ssh;
mod telling;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use clap::{Args as ClapArgs, Parser, Subcommand};
use metalk8s_types::paths;

pub use archive::{Archive, ArchiveAdd, ArchiveCommand, ArchiveVerify};
pub use authority::{Authority, AuthorityCommand, Keys};
pub use backup::Backup;
pub use certificates::Certificates;
pub use doctor::Doctor;
pub use fleet::{Agent, Conductor, Job, Look, SaltApi};
pub use join::{Join, JoinCommand};
pub use node::{Node, NodeCommand, NodeDeploy, NodeRemove};
pub use plan::{Apply, Asking, Drift, Plan};
pub use reset::Reset;
pub use run::{Journals, Run, RunCommand};
pub use salt::Salt;
pub use salt_call::{LogLevel, SaltCall};
pub use salt_key::SaltKey;
pub use salt_output::SaltOutput;
pub use salt_run::SaltRun;
pub use salt_ssh::SaltSsh;
pub use telling::Telling;

/// Kubernetes for a company's own machines, from one archive.
#[derive(Debug, Parser)]
#[command(name = "metalk8s", version, propagate_version = true)]
pub struct Args {
    /// Say nothing but errors and data
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "each command is documented at the arguments it holds")]
pub enum Command {
    Bootstrap(Bootstrap),
    Archive(Archive),
    Backup(Backup),
    Node(Node),
    Certificates(Certificates),
    Authority(Authority),
    Doctor(Doctor),
    Reset(Reset),
    Run(Run),
    Plan(Plan),
    Apply(Apply),
    Drift(Drift),
    Explain(Explain),
    Repositories(Repositories),
    ApiserverProxy(ApiserverProxy),
    Agent(Agent),
    Job(Job),
    Look(Look),
    Join(Join),
    Conductor(Conductor),
    Salt(Box<Salt>),
    SaltApi(SaltApi),
    SaltCall(SaltCall),
    SaltKey(SaltKey),
    SaltRun(SaltRun),
    SaltSsh(SaltSsh),
}

/// Turn this machine into a Bootstrap node
///
/// Reads /etc/metalk8s/bootstrap.yaml, checks the machine, and installs everything from the archive, with no
/// network. Can be run again at any moment: what is done already is left alone, what was interrupted goes on.
#[derive(Debug, ClapArgs)]
pub struct Bootstrap {
    /// Where the archive of this version is mounted
    #[arg(long, value_name = "DIRECTORY")]
    pub archive: PathBuf,
    /// The BootstrapConfiguration
    #[arg(long, value_name = "FILE", default_value = paths::BOOTSTRAP_CONFIG)]
    pub config: PathBuf,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: exit with 3 when something would change
    #[arg(long, requires = "dry_run")]
    pub exit_code: bool,
    /// How it is told what happens.
    #[command(flatten)]
    pub telling: Telling,
    /// Where everything is written down
    #[arg(short, long, value_name = "FILE", default_value = "/var/log/metalk8s/bootstrap.log")]
    pub log_file: PathBuf,
}

/// Say what an error code means and what to do about it
#[derive(Debug, ClapArgs)]
pub struct Explain {
    /// Such as MK1101; without one, all codes are listed
    pub code: Option<String>,
}

/// Serve the packages and images of mounted archives
#[derive(Debug, ClapArgs)]
pub struct Repositories {
    /// The folder in which archives are mounted
    #[arg(long, value_name = "DIRECTORY", default_value = paths::ARCHIVES)]
    pub root: PathBuf,
    /// Address and port
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// Certificate chain, PEM; without one it speaks plain HTTP
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// Private key of the certificate, PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
}

/// Balance connections over the API servers
#[derive(Debug, ClapArgs)]
pub struct ApiserverProxy {
    /// Where clients connect
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7443")]
    pub listen: SocketAddr,
    /// Where health and metrics are answered
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7080")]
    pub health: SocketAddr,
    /// A file with one API server (address:port) per line, read again when it changes
    #[arg(long, value_name = "FILE")]
    pub backends_file: PathBuf,
    /// Address of the API server on this machine, which is preferred
    #[arg(long, value_name = "ADDRESS")]
    pub local: Option<IpAddr>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn options_of_salt_call_stand_before_and_after_the_function() {
        for words in [
            &["--local", "--out", "json", "pillar.get", "metalk8s"][..],
            &["pillar.get", "metalk8s", "--out", "json", "--local"],
            &["pillar.get", "--out=json", "metalk8s", "--local", "-l", "quiet", "--state_output=mixed"],
        ] {
            let args = Args::try_parse_from(["metalk8s", "salt-call"].iter().chain(words)).unwrap();
            let Command::SaltCall(call) = args.command else { panic!("{words:?}") };
            assert_eq!(call.function.as_deref(), Some("pillar.get"));
            assert_eq!(call.arguments, ["metalk8s"]);
            assert_eq!(call.output.out, metalk8s_saltcompat::output::Out::Json);
            assert!(call.local);
        }
    }

    #[test]
    fn options_of_salt_call_that_scripts_use_are_read() {
        let read = |words: &[&str]| {
            let args = Args::try_parse_from([&["metalk8s", "salt-call"], words].concat());
            args.map(|args| match args.command {
                Command::SaltCall(call) => call,
                _ => panic!("{words:?}"),
            })
        };
        let call = read(&["-t", "5", "test.ping", "--out=json", "--out-indent=-1", "--refresh-grains-cache"]);
        let call = call.unwrap();
        assert_eq!((call.timeout, call.output.out_indent), (5, Some(-1)));
        assert_eq!(read(&["test.ping"]).unwrap().timeout, 60);
        assert!(read(&["-g"]).unwrap().grains && read(&["--grains", "--out", "json"]).unwrap().grains);
        assert!(read(&["-g", "test.ping"]).is_err());
        for (option, why) in
            [("--return=redis", "jobs.lookup_jid"), ("--pillar-root=/srv/pillar", "`pillar=`")]
        {
            let refused = read(&["test.ping", option]).unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
    }

    #[test]
    fn forms_that_do_not_exist_are_refused() {
        for option in ["--out=xml", "--state-output=loud", "--log-level=shout", "--nonesuch"] {
            let words = ["metalk8s", "salt-call", "test.ping", option];
            assert!(Args::try_parse_from(words).is_err(), "{option}");
        }
    }

    #[test]
    fn the_documented_options_of_bootstrap_are_accepted() {
        for words in
            [&["-v"][..], &["--verbose"], &["-l", "/tmp/x"], &["--log-file", "/tmp/x"], &["--dry-run"]]
        {
            let words = ["metalk8s", "bootstrap", "--archive", "/x"].iter().chain(words);
            Args::try_parse_from(words).unwrap();
        }
    }

    #[test]
    fn the_documented_options_of_iso_manager_are_accepted() {
        for words in [
            &[][..],
            &["-a", "/a.iso"],
            &["--archive", "/a.iso", "-a", "b.iso", "-d", "-v"],
            &["--dry-run", "--verbose", "-l", "/tmp/x"],
            &["--log-file", "/tmp/x", "--output", "json", "--no-progress"],
        ] {
            Args::try_parse_from(["metalk8s", "archive", "add"].iter().chain(words)).unwrap();
        }
    }

    #[test]
    fn the_documented_options_of_backup_are_accepted() {
        for words in [&[][..], &["-b", "/a.tar.gz", "-l", "/tmp/x", "-v"], &["--backup-file=b", "--verbose"]]
        {
            Args::try_parse_from(["metalk8s", "backup"].iter().chain(words)).unwrap();
        }
    }

    #[test]
    fn what_names_no_run_is_refused() {
        Args::try_parse_from(["metalk8s", "run", "show", "20260112071130203596"]).unwrap();
        let err = Args::try_parse_from(["metalk8s", "run", "show", "../etc/passwd"]).unwrap_err();
        assert!(err.to_string().contains("is not the name of a run"), "{err}");
    }
}
