//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use metalk8s_diagnostics::Output;

use metalk8s_lab::{LabName, lab::MOST_MACHINES};

/// Boots machines on this computer, on networks of their own without any way out, and makes a cluster of them.
#[derive(Debug, Parser)]
#[command(
    name = "lab",
    bin_name = "./lab",
    version,
    max_term_width = 110,
    after_help = "\
Examples:
  ./lab up                          one machine, bootstrapped from _build/metalk8s.iso
  ./lab up --machines 3             and two bare ones, node1 and node2
  ./lab up --no-bootstrap           a bare machine, to install by hand
  ./lab ssh bootstrap               a shell on the machine
  ./lab ssh bootstrap -- kubectl get pods --all-namespaces
  eval $(./lab kubeconfig --path lab.conf)
                                    kubectl on this computer talks to the lab
  ./lab down                        everything is gone; the machine image stays in the cache

A lab is found by labels on its containers, volumes and networks. Its name comes from the folder of
the checkout, so two clones have two labs; --lab or METALK8S_LAB names another one."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command accepts.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Name of the lab [default: from the folder of the checkout]
    #[arg(long, global = true, env = "METALK8S_LAB", value_name = "NAME")]
    pub(crate) lab: Option<LabName>,
    /// Form of the answer on stdout: text, json or yaml
    #[arg(long, global = true, default_value = "text", value_name = "FORM")]
    pub(crate) output: Output,
    /// Say nothing but answers and errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Plain lines instead of moving ones
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the lab, or go on where a former `up` stopped
    Up(Up),
    /// Remove the machines, networks and volumes of the lab
    Down,
    /// Tell which machines there are and how to reach them
    Status,
    /// Tell the names of all labs of this computer
    List,
    /// Open a shell on a machine, or run a command there
    Ssh(Ssh),
    /// Print the administrator's kubeconfig for this computer, or write it to a file
    Kubeconfig(Kubeconfig),
    /// Show the journal of a machine
    Logs(Logs),
    /// Shut a machine down in order and start it again
    Reboot(One),
    /// Cut the power of a machine and start it again
    Kill(Kill),
    /// Keep all machines as they are, to go back to; they are shut down for it and started again
    Snapshot(Snapshot),
    /// Put all machines back to where they were when the snapshot was made
    Restore(Snapshot),
    /// Run an end-to-end suite on the lab
    Suite(Suite),
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// How many machines: bootstrap, node1, node2 ...
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=i64::from(MOST_MACHINES)))]
    pub(crate) machines: u8,
    /// The archive to install [default: _build/metalk8s.iso of the checkout]
    #[arg(long, value_name = "PATH")]
    pub(crate) iso: Option<PathBuf>,
    /// Stop before bootstrap.sh; without --iso, a missing archive is no mistake
    #[arg(long)]
    pub(crate) no_bootstrap: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Ssh {
    /// Which machine
    #[arg(default_value = "bootstrap")]
    pub(crate) machine: String,
    /// The command; a single word is a line for the shell
    #[arg(last = true)]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Kubeconfig {
    /// Write it there, for its owner only, and print the line that makes kubectl use it
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Which machine
    #[arg(default_value = "bootstrap")]
    pub(crate) machine: String,
    /// Go on with what comes
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only this unit
    #[arg(short, long)]
    pub(crate) unit: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct One {
    /// Which machine
    pub(crate) machine: String,
}

#[derive(Debug, Args)]
pub(crate) struct Kill {
    /// Which machine
    pub(crate) machine: String,
    /// Leave it off; `./lab up` starts it
    #[arg(long)]
    pub(crate) stay_off: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Snapshot {
    /// Its name
    #[arg(default_value = "snapshot", env = "METALK8S_SNAPSHOT")]
    pub(crate) name: LabName,
}

#[derive(Debug, Args)]
pub(crate) struct Suite {
    /// Which suite; without a name, all are listed
    pub(crate) name: Option<String>,
    /// How often something is killed [default: a few times]
    #[arg(long, value_name = "N", env = "METALK8S_SUITE_ROUNDS")]
    pub(crate) rounds: Option<u64>,
    /// What chance begins with, as a former run has printed it
    #[arg(long, value_name = "NUMBER", env = "METALK8S_SUITE_SEED")]
    pub(crate) seed: Option<u64>,
    /// Also what takes long
    #[arg(long)]
    pub(crate) full: bool,
    /// The archive, for suites with machines of their own [default: _build/metalk8s.iso of the checkout]
    #[arg(long, value_name = "PATH")]
    pub(crate) iso: Option<PathBuf>,
    /// The folder for suite-NAME.status and suite-NAME.xml, a JUnit file [default: _build/results of the checkout]
    #[arg(long, value_name = "PATH", env = "METALK8S_RESULTS")]
    pub(crate) results: Option<PathBuf>,
}
