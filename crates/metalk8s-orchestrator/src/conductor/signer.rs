//! Signs what nodes ask for, if their roles give it to them, with the authorities of this machine.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    time::Duration,
};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use metalk8s_diagnostics::sentence;
use metalk8s_engine::state::{Signer, Usage};
use metalk8s_formulas::{AuthorityFiles, WantedCertificate, authorities, certificates};
use metalk8s_kube::{
    Fleet,
    fleet::{CertificateSigningRequest, Follow, PendingRequest, RequestOutcome, Seen},
};
use metalk8s_pki::{AuthorityMaterial, Request, RequestedCertificate, sign_request};
use metalk8s_types::{
    fleet::{AgentSpec, CONDUCTOR, agent_user, node_of_agent},
    pillar::ClusterPillar,
};
use tokio::time::{Instant, timeout_at};

use super::{ConductorConfig, cluster_pillar};

/// How many signed certificates a node finds in its agent's object: the newest.
const HANDED_OUT: usize = 24;

/// How many requests are answered at a time: an answer is mostly waiting for the API.
const AT_ONCE: usize = 8;

/// How long a request waits that could not be decided about: nothing need happen that would have it looked at. Each
/// time twice as long, up to the second.
const AGAIN: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(30);

/// Decides about every request for one of our signers.
pub(super) async fn sign(fleet: &Fleet, config: &ConductorConfig) {
    decide(fleet.follow_requests(), async |requests| answer_all(fleet, config, requests).await).await;
}

/// A request that is not decided about yet.
struct Open {
    request: PendingRequest,
    /// When it is looked at, and how long after that where it could not be decided about.
    next: Instant,
    pause: Duration,
    /// Why it was not.
    why: String,
}

impl Open {
    /// One that is looked at now.
    fn new(request: PendingRequest) -> Self {
        Self { request, next: Instant::now(), pause: AGAIN, why: String::new() }
    }

    fn waits(&mut self, why: String) {
        self.next = Instant::now() + self.pause;
        self.pause = (2 * self.pause).min(SELDOM);
        if self.why != why {
            tracing::warn!(request = self.request.name, error = why, "a request for a certificate waits");
            self.why = why;
        }
    }
}

/// What is known of requests.
#[derive(Default)]
struct Requests {
    open: HashMap<String, Open>,
    /// Those that were decided about: what is seen of them later may be older than the decision.
    decided: HashSet<String>,
}

impl Requests {
    fn see(&mut self, seen: Seen<CertificateSigningRequest>) {
        match seen {
            Seen::There(object) => match PendingRequest::of(&object) {
                Some(pending)
                    if authority(&pending.signer).is_some() && !self.decided.contains(&pending.name) =>
                {
                    self.open.insert(pending.name.clone(), Open::new(pending));
                }
                // Somebody decided: this conductor, where the answer was lost, or one before it.
                None => drop(object.metadata.name.and_then(|name| self.open.remove(&name))),
                Some(_) => {}
            },
            Seen::Gone(name) => {
                self.open.remove(&name);
                self.decided.remove(&name);
            }
            Seen::Blind(why) => tracing::warn!(error = why, "requests for certificates cannot be seen"),
            Seen::Complete => {}
        }
    }

    /// Those that are to be looked at now.
    fn due(&self) -> Vec<PendingRequest> {
        let now = Instant::now();
        self.open.values().filter(|open| open.next <= now).map(|open| open.request.clone()).collect()
    }

    fn answered(&mut self, name: &str, answer: Result<(), String>) {
        match answer {
            Ok(()) => {
                self.open.remove(name);
                self.decided.insert(name.to_owned());
            }
            Err(why) => {
                if let Some(open) = self.open.get_mut(name) {
                    open.waits(why);
                }
            }
        }
    }
}

/// Has each request answered, once that succeeds: all that are there at once, so that a fleet whose agents ask
/// together is read once for them.
async fn decide(
    mut requests: Follow<CertificateSigningRequest>,
    answer: impl AsyncFn(&[PendingRequest]) -> Vec<Result<(), String>>,
) {
    let mut known = Requests::default();
    loop {
        let seen = match known.open.values().map(|open| open.next).min() {
            Some(next) => timeout_at(next, requests.recv()).await,
            None => Ok(requests.recv().await),
        };
        match seen {
            Ok(Some(seen)) => known.see(seen),
            Ok(None) => return,
            Err(_) => {}
        }
        while let Ok(seen) = requests.try_recv() {
            known.see(seen);
        }
        let due = known.due();
        if due.is_empty() {
            continue;
        }
        for (request, answer) in due.iter().zip(answer(&due).await) {
            known.answered(&request.name, answer);
        }
    }
}

/// Answers each of the requests, with the fleet as it is after the last of them was made.
async fn answer_all(
    fleet: &Fleet,
    config: &ConductorConfig,
    requests: &[PendingRequest],
) -> Vec<Result<(), String>> {
    let known = fleet.agents().await.map_err(|error| sentence(&error)).and_then(|agents| {
        let cluster = tokio::task::block_in_place(|| {
            cluster_pillar(&config.configuration, &config.archives, &agents).map_err(|error| sentence(&error))
        })?;
        let agents = agents.into_iter().filter_map(|agent| Some((agent.metadata.name?, agent.spec)));
        Ok((cluster, agents.collect::<HashMap<_, _>>()))
    });
    let (cluster, agents) = match known {
        Ok(known) => known,
        Err(why) => return vec![Err(why); requests.len()],
    };
    let answers = requests.iter().map(|request| answer(fleet, &cluster, &agents, request));
    stream::iter(answers).buffered(AT_ONCE).collect().await
}

async fn answer(
    fleet: &Fleet,
    cluster: &ClusterPillar,
    agents: &HashMap<String, AgentSpec>,
    request: &PendingRequest,
) -> Result<(), String> {
    let told = |error: metalk8s_kube::fleet::FleetError| sentence(&error);
    let requested = RequestedCertificate::parse(&request.request_pem);
    let node = match node_of_agent(&request.user) {
        Some(node) => Some(node.to_owned()),
        // The conductor asks for an agent that has no certificate yet.
        None if request.user == CONDUCTOR => requested
            .as_ref()
            .ok()
            .and_then(|requested| node_of_agent(requested.common_name()))
            .map(str::to_owned),
        None => None,
    };
    let agent = node.as_deref().and_then(|node| Some((node, agents.get(node)?)));
    let judged = match (requested, agent) {
        (Err(error), _) => Err(sentence(&error)),
        (Ok(_), None) => Err(format!("`{}` is the agent of no node of the fleet", request.user)),
        (Ok(requested), Some((node, spec))) => {
            judge(&request.user, &request.signer, &requested, node, spec, cluster)
                .map(|wanted| (requested, wanted))
        }
    };
    let outcome = match judged {
        Ok((requested, wanted)) => {
            let certificate = tokio::task::block_in_place(|| signed(&request.signer, &requested, &wanted))?;
            RequestOutcome::Signed(certificate)
        }
        Err(why) => RequestOutcome::Denied(why),
    };
    // The node has it before the request counts as decided: what fails in between is done again.
    if let (RequestOutcome::Signed(certificate), Some((node, spec))) = (&outcome, agent) {
        let certificates = hand_out(spec, &request.name, certificate.clone());
        fleet.give_certificates(node, &certificates).await.map_err(told)?;
    }
    fleet.decide_request(request, &outcome).await.map_err(told)?;
    match outcome {
        RequestOutcome::Denied(why) => {
            tracing::warn!(request = request.name, user = request.user, why, "a certificate was denied");
        }
        RequestOutcome::Signed(_) => {
            tracing::info!(request = request.name, user = request.user, "a certificate was signed");
        }
    }
    Ok(())
}

/// The certificate that the node's roles give `user`, or why they do not. Pure.
fn judge(
    user: &str,
    signer: &str,
    requested: &RequestedCertificate,
    node: &str,
    spec: &AgentSpec,
    cluster: &ClusterPillar,
) -> Result<Request, String> {
    let pillar = cluster.of_node(&spec.wish(), "").map_err(|error| error.to_string())?;
    let wanted_signer = Signer::Api(signer.to_owned());
    let mut wanted = certificates(node, &pillar)
        .into_iter()
        .filter(|wanted| wanted.signer == wanted_signer)
        .map(as_request)
        // Nobody but an agent itself asks for anything else.
        .filter(|wanted| user != CONDUCTOR || wanted.common_name == agent_user(node));
    wanted.find(|wanted| requested.asks_for(wanted)).ok_or_else(|| {
        format!("the roles of `{node}` give it no certificate {} by `{signer}`", requested.summary())
    })
}

fn as_request(wanted: WantedCertificate) -> Request {
    let usage = |usage| match usage {
        Usage::Server => metalk8s_pki::Usage::Server,
        Usage::Client => metalk8s_pki::Usage::Client,
    };
    Request {
        common_name: wanted.subject.common_name,
        organizations: wanted.subject.organizations,
        usages: wanted.usages.into_iter().map(usage).collect(),
        dns_names: wanted.dns_names,
        addresses: wanted.addresses,
        lifetime_seconds: wanted.lifetime_seconds,
    }
}

fn authority(signer: &str) -> Option<AuthorityFiles> {
    authorities().into_iter().find(|authority| authority.signer == signer)
}

fn signed(signer: &str, requested: &RequestedCertificate, wanted: &Request) -> Result<String, String> {
    let files = authority(signer).ok_or_else(|| format!("nobody signs for `{signer}`"))?;
    let read = |path: &std::path::Path| {
        fs::read_to_string(path).map_err(|error| format!("could not read `{}`: {error}", path.display()))
    };
    let material = AuthorityMaterial {
        certificate_pem: read(&files.issuing_certificate)?,
        key_pem: read(&files.issuing_key)?,
    };
    sign_request(&material, requested, wanted, Timestamp::now()).map_err(|error| sentence(&error))
}

/// What changes in the certificates of an agent's object: this one comes, and the oldest go.
fn hand_out(spec: &AgentSpec, name: &str, certificate: String) -> BTreeMap<String, Option<String>> {
    let mut changes = BTreeMap::from([(name.to_owned(), Some(certificate))]);
    let kept = HANDED_OUT - 1;
    let surplus = spec.certificates.len().saturating_sub(kept);
    // Names end with the moment of the request.
    let mut old: Vec<&String> = spec.certificates.keys().collect();
    old.sort_by_key(|name| name.rsplit('-').next().map(str::to_owned));
    changes.extend(old.into_iter().take(surplus).map(|name| (name.clone(), None)));
    changes
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::BTreeSet};

    use metalk8s_pki::certificate_request;
    use metalk8s_types::{Role, pillar::NodeAddresses};
    use serde_json::json;
    use tokio::{sync::mpsc, time::timeout};

    use super::*;
    use crate::testing::cluster;

    const KUBERNETES: &str = "metalk8s.scality.com/kubernetes";

    /// A request, decided about or not.
    fn request(name: &str, certificate: Option<&str>) -> Seen<CertificateSigningRequest> {
        let object = json!({
            "metadata": {"name": name},
            "spec": {"signerName": KUBERNETES, "request": "", "usages": ["client auth"]},
            "status": {"certificate": certificate},
        });
        Seen::There(serde_json::from_value(object).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_could_not_be_answered_is_looked_at_again_by_itself_and_ever_less_often() {
        let (tell, requests) = mpsc::channel(1);
        tell.send(request("a", None)).await.unwrap();
        let (began, answers) = (Instant::now(), RefCell::new(Vec::new()));
        let deciding = decide(requests, async |requests: &[PendingRequest]| {
            answers.borrow_mut().push((requests[0].name.clone(), began.elapsed().as_secs()));
            vec![if answers.borrow().len() < 4 { Err("no etcd".to_owned()) } else { Ok(()) }]
        });
        assert!(timeout(10 * SELDOM, deciding).await.is_err(), "it waits for more");
        let when: Vec<u64> = answers.borrow().iter().map(|(_, seconds)| *seconds).collect();
        assert_eq!(when, [0, 1, 3, 7]);
        drop(tell);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_whose_decision_was_recorded_is_not_asked_for_again() {
        let (tell, requests) = mpsc::channel(2);
        tell.send(request("a", None)).await.unwrap();
        let answers = RefCell::new(0);
        let deciding = decide(requests, async |_: &[PendingRequest]| {
            *answers.borrow_mut() += 1;
            // It is recorded, and the answer is lost.
            drop(tell.try_send(request("a", Some("LQ=="))));
            vec![Err("no answer".to_owned())]
        });
        assert!(timeout(10 * SELDOM, deciding).await.is_err(), "it waits for more");
        assert_eq!(*answers.borrow(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_come_at_once_are_answered_together_and_each_by_itself() {
        let (tell, requests) = mpsc::channel(3);
        for name in ["a", "b", "c"] {
            tell.send(request(name, None)).await.unwrap();
        }
        let answers = RefCell::new(Vec::new());
        let deciding = decide(requests, async |requests: &[PendingRequest]| {
            let mut names: Vec<String> = requests.iter().map(|request| request.name.clone()).collect();
            let first = answers.borrow().is_empty();
            let told = names
                .iter()
                .map(|name| if first && name == "b" { Err("no such node yet".to_owned()) } else { Ok(()) });
            let told = told.collect();
            names.sort();
            answers.borrow_mut().push(names.join(" "));
            told
        });
        assert!(timeout(10 * SELDOM, deciding).await.is_err(), "it waits for more");
        assert_eq!(*answers.borrow(), ["a b c", "b"]);
        drop(tell);
    }

    fn judged(roles: &[Role], user: &str, signer: &str, wish: &Request) -> Result<Request, String> {
        let spec = AgentSpec {
            version: "1.0.0".into(),
            roles: roles.iter().copied().collect::<BTreeSet<_>>(),
            addresses: NodeAddresses {
                control_plane: "10.0.0.2".parse().unwrap(),
                workload_plane: "10.0.1.2".parse().unwrap(),
            },
            initial_cluster: None,
            jobs: BTreeMap::new(),
            certificates: BTreeMap::new(),
        };
        let made = certificate_request(wish).unwrap();
        let requested = RequestedCertificate::parse(&made.request_pem).unwrap();
        judge(user, signer, &requested, "node-1", &spec, &cluster())
    }

    fn client(common_name: &str, organization: &str) -> Request {
        Request {
            common_name: common_name.into(),
            organizations: vec![organization.into()],
            usages: vec![metalk8s_pki::Usage::Client],
            ..Request::default()
        }
    }

    #[test]
    fn a_node_gets_what_its_roles_give_it_and_no_more() {
        let agent = agent_user("node-1");
        let kubelet = client("system:node:node-1", "system:nodes");
        let given = judged(&[Role::Node], &agent, KUBERNETES, &kubelet).unwrap();
        assert_eq!(
            (given.common_name.as_str(), given.lifetime_seconds),
            ("system:node:node-1", 365 * 86_400)
        );
        let admin = client("kubernetes-admin", "system:masters");
        let refused = [
            (&[Role::Node][..], KUBERNETES, &admin),
            (&[Role::Etcd, Role::Infra], KUBERNETES, &admin),
            (&[Role::Node], KUBERNETES, &client("system:node:node-2", "system:nodes")),
            (&[Role::Node], KUBERNETES, &client("system:node:node-1", "system:masters")),
            (&[Role::Node], KUBERNETES, &client(CONDUCTOR, "")),
            (&[Role::Node], "metalk8s.scality.com/etcd-ca", &kubelet),
            (&[Role::Node], "metalk8s.scality.com/nobody", &kubelet),
        ];
        for (roles, signer, wish) in refused {
            let why = judged(roles, &agent, signer, wish).unwrap_err();
            assert!(why.contains("`node-1`") && why.contains(&wish.common_name), "{why}");
        }
        judged(&[Role::Master], &agent, KUBERNETES, &admin).unwrap();
    }

    #[test]
    fn the_conductor_asks_for_agents_alone() {
        let agent = client(&agent_user("node-1"), metalk8s_types::fleet::AGENTS);
        judged(&[Role::Node], CONDUCTOR, KUBERNETES, &agent).unwrap();
        let kubelet = client("system:node:node-1", "system:nodes");
        judged(&[Role::Node], CONDUCTOR, KUBERNETES, &kubelet).unwrap_err();
    }

    #[test]
    fn the_oldest_certificates_make_room() {
        let mut spec = AgentSpec {
            version: String::new(),
            roles: BTreeSet::new(),
            addresses: NodeAddresses {
                control_plane: "10.0.0.2".parse().unwrap(),
                workload_plane: "10.0.1.2".parse().unwrap(),
            },
            initial_cluster: None,
            jobs: BTreeMap::new(),
            certificates: BTreeMap::new(),
        };
        for moment in 0..HANDED_OUT + 3 {
            spec.certificates.insert(format!("metalk8s-node-1-{moment:020}"), String::new());
        }
        let changes = hand_out(&spec, "metalk8s-node-1-99999999999999999999", "x".into());
        let gone: Vec<&str> =
            changes.iter().filter(|(_, new)| new.is_none()).map(|(name, _)| name.as_str()).collect();
        assert_eq!(gone.len(), 4);
        assert!(gone[0].ends_with("00000") && gone[3].ends_with("00003"), "{gone:?}");
    }
}
