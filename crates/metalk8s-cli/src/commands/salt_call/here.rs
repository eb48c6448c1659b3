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
use metalk8s_formulas::{CONTAINERD, CONTROL_PLANE, DEPLOYED, PACKAGES, Stage, as_one};
use metalk8s_host::Host;
use metalk8s_kube::{Cluster, Fleet, fleet::FleetError};
use metalk8s_orchestrator::{
    ConfigurationError, ConfigurationFile, LockError, Requests, RunLock, api_servers,
    archives::{self, ArchivesOptions},
    bootstrap::{self, Bootstrap, BootstrapOptions},
    certificates, doctor, lock_within,
    precheck::given_problems,
};
use metalk8s_saltcompat::{
    About, FileRoots, Formula, Minion, RunningJob, given_settings, grains_tree, pillar_tree, take_fleet,
};
use metalk8s_types::{
    BootstrapConfiguration, Grains, Pillar, Role, VERSION,
    bootstrap_config::GivenSettings,
    environment,
    fleet::Job,
    paths,
    pillar::{ClusterPillar, NodeWish},
};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use super::roots::Folders;
use crate::commands::procedure::must_be_root;

type BoxError = Box<dyn Error + Send + Sync>;

/// How long a run is waited for with `queue=True`.
const FORMER_RUN: Duration = Duration::from_secs(1800);
/// How long an API server may take to hear of new rights, or be busy, in all; and the time between two questions.
const HEARSAY: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_millis(500);

/// This machine, with its file roots and its settings.
pub(crate) struct Here {
    host: Host,
    cluster: Cluster,
    roots: Folders,
    config: PathBuf,
    /// Who tells what [`Told`] holds; nobody where this machine is asked alone.
    fleet: Option<(Fleet, String)>,
    /// How long they have for it.
    patience: Duration,
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
    async fn of(
        fleet: &Fleet,
        node: &str,
        has_configuration: bool,
        patience: Duration,
    ) -> Result<Self, BoxError> {
        let end = Instant::now() + patience;
        if has_configuration {
            let known = until(end, fleet.settings()).await.and_then(|known| Ok(known.diagnose()?));
            return Ok(Self { member: None, known: known.map_err(|error| Untold::because(&*error)) });
        }
        let agent = patiently(end, || fleet.agent(node)).await?.ok_or_else(|| {
            Diagnosed::with_code(explain::NODE_UNKNOWN, format!("`{node}` is no node of the fleet"))
        })?;
        let settings = patiently(end, || fleet.settings()).await?.ok_or_else(|| {
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
    pub(in crate::commands) fn others(&self) -> Result<Option<&ClusterPillar>, BoxError> {
        match &self.known {
            Ok(known) => Ok(known.as_ref()),
            Err(Untold { code, why }) => Err(Diagnosed::with_code(*code, why.clone()).into()),
        }
    }
}

/// Asks again for a while when an API server is busy, or has not heard yet what a new agent may do.
async fn patiently<T, F>(end: Instant, ask: impl Fn() -> F) -> Result<T, BoxError>
where
    F: Future<Output = Result<T, FleetError>>,
{
    loop {
        match until(end, ask()).await? {
            Err(error) if (error.is_forbidden() || error.is_retryable()) && Instant::now() + AGAIN < end => {
                tracing::warn!(error = sentence(&error), "trying again");
                sleep(AGAIN).await;
            }
            answer => return Ok(answer.diagnose()?),
        }
    }
}

/// What comes before this moment.
async fn until<T>(end: Instant, answer: impl Future<Output = T>) -> Result<T, BoxError> {
    timeout_at(end, answer).await.map_err(|_| {
        let late = "the API did not answer within the time that it was given";
        Diagnosed::with_code(explain::API_UNREACHABLE, late).into()
    })
}

/// A formula that another machine has.
fn not_here(why: String) -> BoxError {
    Diagnosed::with_code(explain::FORMULA_NOT_HERE, why).into()
}

impl Here {
    pub(crate) fn new(roots: Folders, config_dir: PathBuf) -> Self {
        let name = Path::new(paths::BOOTSTRAP_CONFIG).file_name().unwrap_or_default();
        // What brings the own API server back must not wait for it.
        let servers = api_servers::listed().unwrap_or_default();
        Self {
            host: Host::new().with_fingerprints(paths::PLAN_KEY),
            cluster: Cluster::lazy_or_at(paths::ADMIN_KUBECONFIG, &servers),
            roots,
            config: config_dir.join(name),
            fleet: None,
            patience: HEARSAY,
            told: Mutex::new(Arc::new(Told { member: None, known: Ok(None) })),
            lock: Mutex::default(),
        }
    }

    /// This machine as the node of a fleet, with the settings that the API has for it.
    async fn in_fleet(mut self, kubeconfig: &Path, node: &str) -> Result<Self, (Self, BoxError)> {
        let fleet = Fleet::lazy(kubeconfig);
        let told = match Told::of(&fleet, node, self.config.exists(), self.patience).await {
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
    /// mistake before something needs it, and neither is who does not answer within the time of `patience`.
    pub(crate) async fn of_machine(roots: Folders, config_dir: PathBuf, patience: Duration) -> Self {
        let here = Self { patience, ..Self::new(roots, config_dir) };
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
            let told = Told::of(fleet, node, self.config.exists(), self.patience).await?;
            *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(told);
        }
        Ok(())
    }

    fn chain(&self) -> Chain<'_> {
        Chain::new(vec![&self.host, &self.cluster])
    }

    /// What was given for one call, as formulas read it.
    fn given(&self, given: &Map<String, Value>) -> Result<GivenSettings, BoxError> {
        if given.is_empty() {
            return Ok(GivenSettings::default());
        }
        given_settings(self.pillar()?, given).map_err(|mistakes| given_problems(mistakes).into())
    }

    /// The settings that formulas read.
    fn settings(&self, grains: &Grains, given: &GivenSettings) -> Result<Pillar, BoxError> {
        let told = self.told();
        match &told.member {
            Some(Member { settings, wish }) => {
                let mut pillar = settings.of_node(wish, &grains.package_repository())?;
                given.change_pillar(&mut pillar);
                Ok(pillar)
            }
            None => Ok(bootstrap::decide(&self.options(), grains, told.others()?, given).diagnose()?.pillar),
        }
    }

    /// All that the roles of this machine ask for, in stages, with the settings that they were made from.
    fn highstate(&self, grains: &Grains, given: &GivenSettings) -> Result<(Pillar, Vec<Stage>), BoxError> {
        let told = self.told();
        Ok(match &told.member {
            Some(_) => {
                let pillar = self.settings(grains, given)?;
                let stages = metalk8s_formulas::node(grains, &pillar)?;
                (pillar, stages)
            }
            None => {
                let decided = bootstrap::decide(&self.options(), grains, told.others()?, given);
                let Bootstrap { pillar, stages } = decided.diagnose()?;
                (pillar, stages)
            }
        })
    }

    /// The same without the settings.
    fn stages(&self, grains: &Grains, given: &GivenSettings) -> Result<Vec<Stage>, BoxError> {
        self.highstate(grains, given).map(|(_, stages)| stages)
    }

    /// Some of these stages; without states where the roles of this machine bring none.
    fn only(&self, names: &[&str], grains: &Grains, given: &GivenSettings) -> Result<Graph, BoxError> {
        let stages = self.stages(grains, given)?.into_iter();
        Ok(as_one(stages.filter(|stage| names.contains(&stage.name)).collect()))
    }

    /// What one of the roles of this machine asks for.
    fn of_role(&self, role: Role, grains: &Grains, given: &GivenSettings) -> Result<Graph, BoxError> {
        let (pillar, stages) = self.highstate(grains, given)?;
        if !pillar.roles.contains(&role) {
            let has: Vec<&str> = pillar.roles.iter().map(|role| role.name()).collect();
            let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
            return Err(not_here(format!("this machine does not have the role `{role}`; it has: {has}")));
        }
        Ok(as_one(metalk8s_formulas::of_role(role, stages, grains, &pillar)?))
    }

    /// Refuses what only the Bootstrap node has.
    fn must_be_bootstrap(&self, what: &'static str) -> Result<(), BoxError> {
        match self.told().member {
            Some(_) => Err(not_here(format!("{what}, and this machine is another"))),
            None => Ok(()),
        }
    }

    /// The settings that certificates are made from. On the Bootstrap node they need no API, which may have gone
    /// because of a certificate.
    fn settings_of_certificates(&self, grains: &Grains, given: &GivenSettings) -> Result<Pillar, BoxError> {
        let told = self.told();
        match &told.member {
            Some(_) => self.settings(grains, given),
            None => {
                let known = told.settings_of_cluster();
                Ok(bootstrap::decide(&self.options(), grains, known, given).diagnose()?.pillar)
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

    fn formula(&self, formula: Formula, test: bool, given: &Map<String, Value>) -> Result<Graph, BoxError> {
        let given = &self.given(given)?;
        let grains = || self.host.collect_grains();
        match formula {
            Formula::ArchivesMounted => {
                let options = ArchivesOptions::new(&self.config, Vec::new(), test);
                Ok(archives::mounted(&options, given).diagnose()?)
            }
            Formula::Highstate => Ok(as_one(self.stages(&grains()?, given)?)),
            Formula::Role(role) => self.of_role(role, &grains()?, given),
            Formula::Minion => {
                let mut graph = self.only(&[PACKAGES], &grains()?, given)?;
                graph.then(metalk8s_formulas::agent_running());
                Ok(graph)
            }
            // They are collected anew for each call, and nobody can set them.
            Formula::NodeGrains => Ok(Graph::default()),
            Formula::Deployed => {
                self.must_be_bootstrap("what runs in the cluster is deployed by the Bootstrap node")?;
                self.only(&DEPLOYED, &grains()?, given)
            }
            Formula::Etcd => {
                let stages = self.stages(&grains()?, given)?.into_iter();
                Ok(as_one(stages.take_while(|stage| stage.name != CONTROL_PLANE).collect()))
            }
            Formula::ContainerEngine => self.only(&[CONTAINERD], &grains()?, given),
            Formula::ControlPlane => self.only(&[CONTROL_PLANE], &grains()?, given),
            Formula::Repository => {
                let grains = grains()?;
                Ok(metalk8s_formulas::repository(&grains, &self.settings(&grains, given)?))
            }
            Formula::RepositoryServer => {
                self.must_be_bootstrap("only the Bootstrap node serves repositories")?;
                Ok(metalk8s_formulas::repositories_server(&self.settings(&grains()?, given)?)?)
            }
            Formula::CertificatesRenewed => {
                let grains = grains()?;
                Ok(metalk8s_formulas::renewed(&grains, &self.settings_of_certificates(&grains, given)?)?)
            }
            Formula::Neighbours => {
                let grains = grains()?;
                Ok(metalk8s_formulas::neighbours(&grains, &self.settings(&grains, given)?)?)
            }
            Formula::ApiserverProxy => {
                Ok(metalk8s_formulas::apiserver_proxy(&self.settings(&grains()?, given)?)?)
            }
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
