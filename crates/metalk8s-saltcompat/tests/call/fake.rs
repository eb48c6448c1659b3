//! A machine in memory.

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use jiff::tz::TimeZone;
use metalk8s_diagnostics::{Diagnose, Paint, explain};
use metalk8s_engine::{
    ApplyOptions, Graph, Hands, State,
    fake::{FakeClock, FakeHost},
    state::Mount,
};
use metalk8s_saltcompat::{
    About, CallError, FileRoots, Formula, Minion, Returned, RunningJob, call, given_settings, grains_tree,
    output::{Out, StateOutput},
    pillar_tree,
};
use metalk8s_types::{
    BootstrapConfiguration, Grains, VERSION, environment,
    fake::{address, grains},
};
use serde_json::{Map, Value, json};

pub(crate) const CONFIGURATION: &str = "\
apiVersion: metalk8s.scality.com/v1alpha2
kind: BootstrapConfiguration
networks:
  controlPlane: 10.200.1.0/28
  workloadPlane: 10.200.2.0/28
proxies:
  http: http://proxy.example:3128
ca:
  minion: bootstrap
archives:
  - /archives/metalk8s.iso
";

/// The job that the fake machine carries out.
pub(crate) const JOB: &str = "20260112071130203596";

pub(crate) struct Fake {
    pub(crate) host: FakeHost,
    pub(crate) roots: BTreeMap<String, Vec<u8>>,
    pub(crate) grains: Grains,
    pub(crate) configuration: Option<BootstrapConfiguration>,
    /// How it was claimed: whether another run would have been waited for.
    pub(crate) claims: Mutex<Vec<bool>>,
}

#[async_trait]
impl Minion for Fake {
    fn hands(&self) -> &dyn Hands {
        &self.host
    }

    fn roots(&self) -> &dyn FileRoots {
        &self.roots
    }

    fn grains(&self) -> Result<Value, Box<dyn Error + Send + Sync>> {
        Ok(grains_tree(
            &self.grains,
            self.configuration.as_ref().map(|configuration| &configuration.networks),
        ))
    }

    fn pillar(&self) -> Result<Value, Box<dyn Error + Send + Sync>> {
        Ok(self.configuration.as_ref().map_or(json!({}), pillar_tree))
    }

    fn formula(
        &self,
        formula: Formula,
        _test: bool,
        given: &Map<String, Value>,
    ) -> Result<Graph, Box<dyn Error + Send + Sync>> {
        let mut configuration = self.configuration.clone().ok_or("there is no configuration")?;
        let given = given_settings(self.pillar()?, given)
            .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        given.change_configuration(&mut configuration);
        if matches!(formula, Formula::Highstate | Formula::Role(_)) {
            let mut graph = Graph::default();
            let pods = configuration.networks.pods;
            let file = metalk8s_engine::state::File::text("/etc/pods", format!("{pods}\n"));
            graph.add(format!("pods are in {pods}"), State::File(file));
            return Ok(graph);
        }
        assert_eq!(formula, Formula::ArchivesMounted);
        let mut graph = Graph::default();
        for archive in &configuration.archives {
            let mount = Mount {
                source: archive.clone(),
                target: "/srv/scality/metalk8s-1".into(),
                fs_type: "iso9660".to_owned(),
                options: Vec::new(),
                persistent: true,
                holds: None,
            };
            graph.add("archive mounted", State::Mount(mount));
        }
        Ok(graph)
    }

    async fn claim(&self, waits: bool) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.claims.lock().unwrap().push(waits);
        Ok(())
    }

    fn environments(&self) -> Vec<String> {
        vec!["metalk8s-0.0.1".to_owned(), environment(VERSION)]
    }

    fn running(&self) -> Result<Vec<RunningJob>, Box<dyn Error + Send + Sync>> {
        let arguments = vec!["web".to_owned()];
        Ok(vec![RunningJob { jid: JOB.to_owned(), function: "state.apply".to_owned(), arguments, pid: 42 }])
    }

    fn end_job(&self, jid: &str, _hard: bool) -> Result<Option<u32>, Box<dyn Error + Send + Sync>> {
        Ok((jid == JOB).then_some(42))
    }

    async fn tell(&self, what: About) -> Result<Value, Box<dyn Error + Send + Sync>> {
        Ok(match what {
            About::Certificates => json!([{"file": "/etc/kubernetes/admin.conf"}]),
            About::Health => Err("the disk cannot be read")?,
        })
    }

    async fn packages(&self) -> Result<BTreeMap<String, String>, Box<dyn Error + Send + Sync>> {
        Ok(self.host.world().packages)
    }
}

impl Fake {
    pub(crate) fn call(&self, line: &[&str]) -> Result<Returned, CallError> {
        let words: Vec<String> = line[1..].iter().map(|word| (*word).to_owned()).collect();
        let options = ApplyOptions { clock: Arc::new(FakeClock::default()), ..ApplyOptions::in_order() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(call(line[0], &words, self, &options, &TimeZone::UTC))
    }

    pub(crate) fn prints(&self, line: &[&str]) -> String {
        self.call(line).unwrap().print("local", Out::Nested, StateOutput::Full, Paint::default()).unwrap()
    }

    pub(crate) fn value(&self, line: &[&str]) -> Value {
        match self.call(line).unwrap() {
            Returned::Value(value) | Returned::Ended { value, retcode: _ } => value,
            Returned::States(states) => states.into(),
        }
    }

    pub(crate) fn refuses(&self, line: &[&str]) -> String {
        let err = self.call(line).unwrap_err();
        assert_eq!(err.code(), Some(explain::WRONG_USAGE), "{line:?}: {err}");
        assert!(!err.hints().is_empty(), "{line:?}");
        err.to_string()
    }
}

pub(crate) fn fake() -> Fake {
    Fake {
        host: FakeHost::default(),
        roots: BTreeMap::from([
            ("web.sls".to_owned(), b"/etc/motd: {file.managed: [{contents: hello}]}\n".to_vec()),
            ("db/init.sls".to_owned(), b"missing: {service.running: []}\n".to_vec()),
        ]),
        grains: Grains {
            addresses: vec![
                address("eth0", "10.200.1.2/28"),
                address("eth1", "10.200.2.2/28"),
                address("eth1", "fd00::2/64"),
            ],
            ..grains("bootstrap.example.com", &[])
        },
        configuration: Some(BootstrapConfiguration::parse(CONFIGURATION.as_bytes()).unwrap()),
        claims: Mutex::default(),
    }
}
