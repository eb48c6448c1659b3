//! The machine this program runs on.

use std::{
    collections::BTreeMap,
    error::Error,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use metalk8s_agent::Spool;
use metalk8s_diagnostics::{Code, DiagnoseExt, Diagnosed, code_of, explain, sentence};
use metalk8s_engine::{Chain, Change, Graph, Hands, State, StateError};
use metalk8s_formulas::{CONTAINERD, CONTROL_PLANE, Stage, as_one};
use metalk8s_host::Host;
use metalk8s_kube::{Cluster, Fleet, fleet::FleetError};
use metalk8s_orchestrator::{
    ConfigurationError, ConfigurationFile, LockError, Requests, RunLock,
    archives::{self, ArchivesOptions},
    bootstrap::{self, BootstrapOptions},
    certificates, doctor, lock_within,
};
use metalk8s_saltcompat::{
    About, FileRoots, Formula, Minion, RunningJob, grains_tree, pillar_tree, take_fleet,
};
use metalk8s_types::{
    BootstrapConfiguration, Grains, Pillar, VERSION, environment,
    fleet::Job,
    paths,
    pillar::{ClusterPillar, NodeWish},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::roots::Folders;
use crate::commands::procedure::must_be_root;

type BoxError = Box<dyn Error + Send + Sync>;

/// How long a run is waited for with `queue=True`.
const FORMER_RUN: Duration = Duration::from_secs(1800);
/// How long an API server may take to hear of new rights, or be busy, and the time between two questions.
const HEARSAY: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(500);

/// This machine, with its file roots and its settings.
pub(crate) struct Here {
    host: Host,
    cluster: Cluster,
    roots: Folders,
    config: PathBuf,
    /// Who tells what [`Told`] holds; nobody where this machine is asked alone.
    fleet: Option<(Fleet, String)>,
    told: Mutex<Arc<Told>>,
    /// Held to the end of the program, once a formula is going to be applied.
    lock: Mutex<Option<RunLock>>,
}

/// What the API tells.
pub(crate) struct Told {
    /// A node that has no configuration of its own: all.
    member: Option<Member>,
    /// The Bootstrap node: what it must know of the others, or why it is not told.
    known: Result<Option<ClusterPillar>, Untold>,
}

/// Why nothing is told.
#[derive(Debug, Clone)]
struct Untold {
    code: Code,
    why: String,
}

impl Untold {
    fn because(error: &(dyn Error + 'static)) -> Self {
        Self { code: code_of(error), why: sentence(error) }
    }
}

/// What a node of a fleet is told.
struct Member {
    settings: ClusterPillar,
    wish: NodeWish,
}

impl Told {
    async fn of(fleet: &Fleet, node: &str, has_configuration: bool) -> Result<Self, BoxError> {
        if has_configuration {
            let known = fleet.settings().await.diagnose().map_err(|error| Untold::because(&error));
            return Ok(Self { member: None, known });
        }
        let agent = patiently(|| fleet.agent(node)).await.diagnose()?.ok_or_else(|| {
            Diagnosed::with_code(explain::NODE_UNKNOWN, format!("`{node}` is no node of the fleet"))
        })?;
        let settings = patiently(|| fleet.settings()).await.diagnose()?.ok_or_else(|| {
            let missing = "the conductor has not written any settings yet";
            Diagnosed::with_code(explain::SETTINGS_MISSING, missing)
        })?;
        Ok(Self { member: Some(Member { settings, wish: agent.spec.wish() }), known: Ok(None) })
    }

    /// What the API tells of the cluster, where it tells anything.
    pub(crate) fn settings_of_cluster(&self) -> Option<&ClusterPillar> {
        let known = || self.known.as_ref().ok().and_then(Option::as_ref);
        self.member.as_ref().map(|member| &member.settings).or_else(known)
    }

    /// What the API tells of the others: without it a formula would forget them.
    fn others(&self) -> Result<Option<&ClusterPillar>, BoxError> {
        match &self.known {
            Ok(known) => Ok(known.as_ref()),
            Err(Untold { code, why }) => Err(Diagnosed::with_code(*code, why.clone()).into()),
        }
    }
}

/// Asks again for a while when an API server is busy, or has not heard yet what a new agent may do.
async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, FleetError>
where
    F: Future<Output = Result<T, FleetError>>,
{
    let end = Instant::now() + HEARSAY;
    loop {
        match ask().await {
            Err(error) if (error.is_forbidden() || error.is_retryable()) && Instant::now() < end => {
                tracing::warn!(error = sentence(&error), "trying again");
                sleep(AGAIN).await;
            }
            answer => return answer,
        }
    }
}

impl Here {
    pub(crate) fn new(roots: Folders, config_dir: PathBuf) -> Self {
        let name = Path::new(paths::BOOTSTRAP_CONFIG).file_name().unwrap_or_default();
        Self {
            host: Host::new().with_fingerprints(paths::PLAN_KEY),
            cluster: Cluster::lazy(paths::ADMIN_KUBECONFIG),
            roots,
            config: config_dir.join(name),
            fleet: None,
            told: Mutex::new(Arc::new(Told { member: None, known: Ok(None) })),
            lock: Mutex::default(),
        }
    }

    /// This machine as the node of a fleet, with the settings that the API has for it.
    async fn in_fleet(mut self, kubeconfig: &Path, node: &str) -> Result<Self, (Self, BoxError)> {
        let fleet = Fleet::lazy(kubeconfig);
        let told = match Told::of(&fleet, node, self.config.exists()).await {
            Ok(told) => told,
            Err(error) => return Err((self, error)),
        };
        if told.member.is_some() {
            self.host = self.host.with_signatures(Requests::new(fleet.clone(), node));
        }
        self.told = Mutex::new(Arc::new(told));
        self.fleet = Some((fleet, node.to_owned()));
        Ok(self)
    }

    /// The same with the file roots that an agent has.
    pub(crate) async fn of_agent(kubeconfig: &Path, node: &str) -> Result<Self, BoxError> {
        let here = Self::new(Folders::new(vec!["/srv/salt".into()])?, paths::CONFIG_DIR.into());
        here.in_fleet(kubeconfig, node).await.map_err(|(_, error)| error)
    }

    /// This machine as whatever it is: where it has an agent, by that agent's kubeconfig. What cannot be asked is no
    /// mistake before something needs it.
    pub(crate) async fn of_machine(roots: Folders, config_dir: PathBuf) -> Self {
        let here = Self::new(roots, config_dir);
        let kubeconfig = Path::new(paths::AGENT_KUBECONFIG);
        let (mut here, why) = match std::fs::File::open(kubeconfig) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return here,
            Err(error) => {
                let why = format!("`{}` cannot be read: {error}", kubeconfig.display());
                (here, Untold { code: explain::KUBECONFIG_UNUSABLE, why })
            }
            Ok(_) => {
                let node = match here.host.collect_grains() {
                    Ok(grains) => grains.hostname,
                    // Whatever needs them tells it.
                    Err(_) => return here,
                };
                match here.in_fleet(kubeconfig, &node).await {
                    Ok(here) => return here,
                    Err((here, error)) => (here, Untold::because(&*error)),
                }
            }
        };
        here.told = Mutex::new(Arc::new(Told { member: None, known: Err(why) }));
        here
    }

    /// What the API told last.
    pub(crate) fn told(&self) -> Arc<Told> {
        Arc::clone(&self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks the API again.
    async fn learn(&self) -> Result<(), BoxError> {
        if let Some((fleet, node)) = &self.fleet {
            let told = Told::of(fleet, node, self.config.exists()).await?;
            *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(told);
        }
        Ok(())
    }

    fn chain(&self) -> Chain<'_> {
        Chain::new(vec![&self.host, &self.cluster])
    }

    /// The settings that formulas read.
    fn settings(&self, grains: &Grains) -> Result<Pillar, BoxError> {
        let told = self.told();
        match &told.member {
            Some(Member { settings, wish }) => Ok(settings.of_node(wish, &grains.package_repository())?),
            None => Ok(bootstrap::decide(&self.options(), grains, told.others()?).diagnose()?.pillar),
        }
    }

    /// All that the roles of this machine ask for, in stages.
    fn stages(&self, grains: &Grains) -> Result<Vec<Stage>, BoxError> {
        let told = self.told();
        Ok(match &told.member {
            Some(_) => metalk8s_formulas::node(grains, &self.settings(grains)?)?,
            None => bootstrap::decide(&self.options(), grains, told.others()?).diagnose()?.stages,
        })
    }

    /// One of these stages; without states where the roles of this machine bring none.
    fn only(&self, name: &str, grains: &Grains) -> Result<Graph, BoxError> {
        let stages = self.stages(grains)?.into_iter();
        Ok(as_one(stages.filter(|stage| stage.name == name).collect()))
    }

    /// The settings that certificates are made from. On the Bootstrap node they need no API, which may have gone
    /// because of a certificate.
    fn settings_of_certificates(&self, grains: &Grains) -> Result<Pillar, BoxError> {
        let told = self.told();
        match &told.member {
            Some(_) => self.settings(grains),
            None => {
                let known = told.settings_of_cluster();
                Ok(bootstrap::decide(&self.options(), grains, known).diagnose()?.pillar)
            }
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
            Err(err) => Err(Diagnosed::new(err).into()),
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
        let told = self.told();
        let networks = match (&told.member, &configuration) {
            (Some(member), _) => Some(&member.settings.networks),
            (None, Some(configuration)) => Some(&configuration.networks),
            (None, None) => None,
        };
        Ok(grains_tree(&grains, networks))
    }

    fn pillar(&self) -> Result<Value, BoxError> {
        if let Some(member) = &self.told().member {
            return Ok(member.settings.tree.clone());
        }
        match self.configuration()? {
            Some(configuration) => {
                let mut tree = pillar_tree(&configuration);
                // The configuration is read from its file: what others know of it may be older.
                if let Some(known) = self.told().settings_of_cluster() {
                    take_fleet(&mut tree, &known.tree);
                }
                Ok(tree)
            }
            None => self.told().others().map(|_| json!({})),
        }
    }

    fn running(&self) -> Result<Vec<RunningJob>, BoxError> {
        let own = std::process::id();
        let running = Spool::open(paths::AGENT_JOBS)
            .diagnose()?
            .running()
            .diagnose()?
            .into_iter()
            .filter(|(_, _, pid)| *pid != own);
        let told = |(jid, job, pid): (String, Job, u32)| RunningJob {
            jid,
            function: job.function,
            arguments: job.arguments,
            pid,
        };
        Ok(running.map(told).collect())
    }

    fn end_job(&self, jid: &str, hard: bool) -> Result<Option<u32>, BoxError> {
        Ok(Spool::open(paths::AGENT_JOBS).diagnose()?.end(jid, hard).diagnose()?)
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
            Formula::ContainerEngine => self.only(CONTAINERD, &grains()?),
            Formula::ControlPlane => self.only(CONTROL_PLANE, &grains()?),
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

    /// Formulas change what runs change: one at a time. What a run has changed that was waited for, the API tells.
    async fn claim(&self, waits: bool) -> Result<(), BoxError> {
        must_be_root()?;
        let take = |patience| lock_within(Path::new(paths::RUN_LOCK), "salt-call", patience);
        let taken = match take(Duration::ZERO).await {
            Err(LockError::Held { .. }) if waits => {
                let taken = take(FORMER_RUN).await.diagnose()?;
                self.learn().await?;
                taken
            }
            taken => taken.diagnose()?,
        };
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
