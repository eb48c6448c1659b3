//! The machine this program runs on.

use std::{
    collections::BTreeMap,
    error::Error,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use metalk8s_agent::Spool;
use metalk8s_diagnostics::{DiagnoseExt, sentence};
use metalk8s_engine::{Chain, Change, Graph, Hands, State, StateError};
use metalk8s_formulas::{CONTROL_PLANE, Stage, as_one};
use metalk8s_host::Host;
use metalk8s_kube::{Cluster, Fleet};
use metalk8s_orchestrator::{
    ConfigurationError, ConfigurationFile, Requests, RunLock,
    archives::{self, ArchivesOptions},
    bootstrap::{self, BootstrapOptions},
    certificates, doctor, lock_within,
};
use metalk8s_saltcompat::{About, FileRoots, Formula, Minion, RunningJob, grains_tree, pillar_tree};
use metalk8s_types::{
    BootstrapConfiguration, Grains, Pillar, VERSION, environment,
    fleet::Job,
    paths,
    pillar::{ClusterPillar, NodeWish},
};
use serde_json::{Value, json};

use super::roots::Folders;
use crate::commands::procedure::must_be_root;

type BoxError = Box<dyn Error + Send + Sync>;

/// How long a run is waited for with `queue=True`.
const FORMER_RUN: Duration = Duration::from_secs(1800);

/// This machine, with its file roots and its settings.
pub(crate) struct Here {
    host: Host,
    cluster: Cluster,
    roots: Folders,
    config: PathBuf,
    /// What the API tells a node that has no configuration of its own.
    member: Option<Member>,
    /// What the API tells the Bootstrap node of the others, or why it does not.
    known: Result<Option<ClusterPillar>, String>,
    /// Held to the end of the program, once a formula is going to be applied.
    lock: Mutex<Option<RunLock>>,
}

/// What a node of a fleet is told.
struct Member {
    settings: ClusterPillar,
    wish: NodeWish,
}

impl Here {
    pub(crate) fn new(roots: Folders, config_dir: PathBuf) -> Self {
        let name = Path::new(paths::BOOTSTRAP_CONFIG).file_name().unwrap_or_default();
        Self {
            host: Host::new(),
            cluster: Cluster::lazy(paths::ADMIN_KUBECONFIG),
            roots,
            config: config_dir.join(name),
            member: None,
            known: Ok(None),
            lock: Mutex::default(),
        }
    }

    /// This machine as the node of a fleet, with the settings that the API has for it.
    async fn in_fleet(roots: Folders, kubeconfig: &Path, node: &str) -> Result<Self, BoxError> {
        let mut here = Self::new(roots, paths::CONFIG_DIR.into());
        let fleet = Fleet::lazy(kubeconfig);
        if here.config.exists() {
            here.known = fleet.settings().await.map_err(|error| sentence(&error));
            return Ok(here);
        }
        let agent = fleet.agent(node).await?.ok_or_else(|| format!("`{node}` is no node of the fleet"))?;
        let settings = fleet.settings().await?.ok_or("the conductor has not written any settings yet")?;
        here.member = Some(Member { settings, wish: agent.spec.wish() });
        here.host = here.host.with_signatures(Requests::new(fleet, node));
        Ok(here)
    }

    /// The same with the file roots that an agent has.
    pub(crate) async fn of_agent(kubeconfig: &Path, node: &str) -> Result<Self, BoxError> {
        Self::in_fleet(Folders::new(vec!["/srv/salt".into()])?, kubeconfig, node).await
    }

    /// What the API tells of the cluster, where it tells anything.
    pub(crate) fn settings_of_cluster(&self) -> Option<&ClusterPillar> {
        let known = || self.known.as_ref().ok().and_then(Option::as_ref);
        self.member.as_ref().map(|member| &member.settings).or_else(known)
    }

    fn chain(&self) -> Chain<'_> {
        Chain::new(vec![&self.host, &self.cluster])
    }

    /// The settings that formulas read.
    fn settings(&self, grains: &Grains) -> Result<Pillar, BoxError> {
        match &self.member {
            Some(Member { settings, wish }) => Ok(settings.of_node(wish, &grains.package_repository())?),
            None => Ok(bootstrap::decide(&self.options(), grains, self.others()?)?.pillar),
        }
    }

    /// All that the roles of this machine ask for, in stages.
    fn stages(&self, grains: &Grains) -> Result<Vec<Stage>, BoxError> {
        Ok(match &self.member {
            Some(_) => metalk8s_formulas::node(grains, &self.settings(grains)?)?,
            None => bootstrap::decide(&self.options(), grains, self.others()?).diagnose()?.stages,
        })
    }

    /// What the API tells the Bootstrap node of the others: without it a formula would forget them.
    fn others(&self) -> Result<Option<&ClusterPillar>, BoxError> {
        match &self.known {
            Ok(known) => Ok(known.as_ref()),
            Err(why) => Err(why.clone().into()),
        }
    }

    /// The settings that certificates are made from. On the Bootstrap node they need no API, which may have gone
    /// because of a certificate.
    fn settings_of_certificates(&self, grains: &Grains) -> Result<Pillar, BoxError> {
        match &self.member {
            Some(_) => self.settings(grains),
            None => Ok(bootstrap::decide(&self.options(), grains, self.settings_of_cluster())?.pillar),
        }
    }

    fn options(&self) -> BootstrapOptions {
        BootstrapOptions {
            archive: Path::new(paths::ARCHIVES).join(environment(VERSION)),
            config: self.config.clone(),
            dry_run: true,
        }
    }

    /// The BootstrapConfiguration; `None` on a machine that has none.
    fn configuration(&self) -> Result<Option<BootstrapConfiguration>, BoxError> {
        match ConfigurationFile::read(&self.config) {
            Ok(file) => Ok(Some(file.configuration)),
            Err(ConfigurationError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            Err(err) => Err(err.into()),
        }
    }
}

#[async_trait]
impl Minion for Here {
    fn hands(&self) -> &dyn Hands {
        self
    }

    fn roots(&self) -> &dyn FileRoots {
        &self.roots
    }

    fn grains(&self) -> Result<Value, BoxError> {
        let grains = self.host.collect_grains()?;
        // Most facts need no configuration: a mistake in it must not hide them.
        let configuration = self.configuration().unwrap_or_else(|err| {
            tracing::warn!(error = %err, "there is no grain `metalk8s`; `salt-call pillar.items` tells more");
            None
        });
        let networks = match (&self.member, &configuration) {
            (Some(member), _) => Some(&member.settings.networks),
            (None, Some(configuration)) => Some(&configuration.networks),
            (None, None) => None,
        };
        Ok(grains_tree(&grains, networks))
    }

    fn pillar(&self) -> Result<Value, BoxError> {
        if let Some(member) = &self.member {
            return Ok(member.settings.tree.clone());
        }
        Ok(self.configuration()?.map_or_else(|| json!({}), |configuration| pillar_tree(&configuration)))
    }

    fn running(&self) -> Result<Vec<RunningJob>, BoxError> {
        let own = std::process::id();
        let running =
            Spool::open(paths::AGENT_JOBS)?.running()?.into_iter().filter(|(_, _, pid)| *pid != own);
        let told = |(jid, job, pid): (String, Job, u32)| RunningJob {
            jid,
            function: job.function,
            arguments: job.arguments,
            pid,
        };
        Ok(running.map(told).collect())
    }

    fn end_job(&self, jid: &str, hard: bool) -> Result<Option<u32>, BoxError> {
        Ok(Spool::open(paths::AGENT_JOBS)?.end(jid, hard)?)
    }

    async fn tell(&self, what: About) -> Result<Value, BoxError> {
        let node = self.host.collect_grains()?.hostname;
        Ok(match what {
            About::Certificates => serde_json::to_value(certificates::here(&self.host, &node))?,
            About::Health => serde_json::to_value(doctor::MachineHealth::of(&self.host).await?)?,
        })
    }

    async fn packages(&self) -> Result<BTreeMap<String, String>, BoxError> {
        Ok(self.host.packages().await?)
    }

    fn formula(&self, formula: Formula, test: bool) -> Result<Graph, BoxError> {
        let grains = || self.host.collect_grains();
        match formula {
            Formula::ArchivesMounted => {
                Ok(archives::mounted(&ArchivesOptions::new(&self.config, Vec::new(), test)).diagnose()?)
            }
            Formula::Highstate => Ok(as_one(self.stages(&grains()?)?)),
            Formula::Etcd => {
                let stages = self.stages(&grains()?)?.into_iter();
                Ok(as_one(stages.take_while(|stage| stage.name != CONTROL_PLANE).collect()))
            }
            Formula::Repository => {
                let grains = grains()?;
                Ok(metalk8s_formulas::repository(&grains, &self.settings(&grains)?))
            }
            Formula::CertificatesRenewed => {
                let grains = grains()?;
                Ok(metalk8s_formulas::renewed(&grains, &self.settings_of_certificates(&grains)?)?)
            }
            Formula::ApiserverProxy => Ok(metalk8s_formulas::apiserver_proxy(&self.settings(&grains()?)?)?),
        }
    }

    /// Formulas change what runs change: one at a time.
    async fn claim(&self, waits: bool) -> Result<(), BoxError> {
        must_be_root()?;
        let patience = if waits { FORMER_RUN } else { Duration::ZERO };
        let taken = lock_within(Path::new(paths::RUN_LOCK), "salt-call", patience).await.diagnose()?;
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken);
        Ok(())
    }

    fn environments(&self) -> Vec<String> {
        archives::installed(Path::new(paths::ARCHIVES))
    }
}

/// The hands of the machine, and those in its cluster.
#[async_trait]
impl Hands for Here {
    fn takes(&self, state: &State) -> bool {
        self.chain().takes(state)
    }

    async fn check(&self, state: &State) -> Result<Option<Change>, StateError> {
        self.chain().check(state).await
    }

    async fn apply(&self, state: &State, change: &Change) -> Result<Change, StateError> {
        self.chain().apply(state, change).await
    }

    async fn react(&self, state: &State) -> Result<Option<Change>, StateError> {
        self.chain().react(state).await
    }
}
