//! Gathers facts: each kind side by side with the others, and within a time of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use futures::future::join_all;
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use metalk8s_diagnostics::sentence;
use metalk8s_formulas::{API_SERVERS_LIST, authorities, known_name};
use metalk8s_host::Host;
use metalk8s_kube::{Fleet, fleet::FleetError};
use metalk8s_saltcompat::{CERTIFICATES, HEALTH};
use metalk8s_types::{
    fleet::{Agent, NAMESPACE, Run, RunPhase},
    paths,
    pillar::ClusterPillar,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    Area, Report, Verdict,
    dns::addresses_of,
    facts::{ApiServer, Etcd, Known, LeaseSeen, Machines, Member, MemberStatus, RunSeen, Seen, Told},
    images::images,
    judge,
    machine::MachineHealth,
};
use crate::{
    api_servers,
    certificates::here,
    conductor::etcd,
    https::Https,
    survey::{Answered, ask_everybody},
};

/// How long each kind of facts may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one call may take.
const CALL: Duration = Duration::from_secs(5);
/// How long an agent has for an answer.
const AGENT: Duration = Duration::from_secs(12);
/// What a member of etcd may have where it does not say (etcd, `--quota-backend-bytes`).
const DEFAULT_QUOTA: u64 = 2 << 30;
/// Leases that somebody must hold, with their namespaces.
const LEASES: [(&str, &str); 3] =
    [(NAMESPACE, "conductor"), ("kube-system", "kube-controller-manager"), ("kube-system", "kube-scheduler")];

/// Looks at everything that can be reached from this machine, with the rights of this kubeconfig.
pub async fn examine(fleet: &Fleet) -> Report {
    let (settings, agents) =
        tokio::join!(within(of_the_api(fleet.settings())), within(of_the_api(fleet.agents())));
    let settings =
        settings.and_then(|settings| settings.ok_or("the conductor has written no settings".into()));
    let now = Timestamp::now();
    let (servers, etcd, leases, nodes, machines, images, dns, pods, runs) = tokio::join!(
        within(api_servers(&settings)),
        within(etcd(&settings)),
        within(async { Ok(leases(fleet).await) }),
        within(of_the_api(fleet.survey_nodes())),
        within(machines(fleet, &agents)),
        within(images_of(&settings)),
        within(names(&settings)),
        within(of_the_api(fleet.survey_pods())),
        within(of_the_api(fleet.runs())),
    );
    let known = known(agents.as_deref().unwrap_or_default(), nodes.as_deref().unwrap_or_default());
    let of_machines = |area, judge: &dyn Fn(&Machines) -> Verdict| Verdict::of(area, machines.clone(), judge);
    Report {
        verdicts: vec![
            Verdict::of(Area::ApiServers, servers, |servers| judge::api_servers(servers)),
            Verdict::of(Area::Etcd, etcd, judge::etcd),
            Verdict::of(Area::Leases, leases, |leases| judge::leases(leases, now)),
            Verdict::of(Area::Nodes, nodes, |nodes| judge::nodes(nodes)),
            of_machines(Area::Agents, &judge::agents),
            of_machines(Area::Clocks, &judge::clocks),
            of_machines(Area::Addresses, &|machines| judge::addresses(machines, &known)),
            of_machines(Area::Disks, &judge::disks),
            of_machines(Area::Certificates, &|machines| judge::certificates(machines, now)),
            Verdict::of(Area::Images, images, |images| judge::images(images)),
            Verdict::of(Area::Dns, dns, |(name, expected, answer)| judge::dns(name, *expected, answer)),
            Verdict::of(Area::Pods, pods, |pods| judge::pods(pods, now)),
            Verdict::of(Area::Runs, runs, |runs| judge::runs(&last_runs(runs))),
        ],
    }
}

async fn within<T>(gathering: impl Future<Output = Seen<T>>) -> Seen<T> {
    let late = |_| Err(format!("it took longer than {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, gathering).await.unwrap_or_else(late)
}

async fn of_the_api<T>(asked: impl Future<Output = Result<T, FleetError>>) -> Seen<T> {
    asked.await.map_err(|error| sentence(&error))
}

/// Every API server, by the settings; without them, by the list that this machine balances over.
async fn api_servers(settings: &Seen<ClusterPillar>) -> Seen<Vec<ApiServer>> {
    let addresses: Vec<IpAddr> = match settings {
        Ok(settings) => settings.masters.values().copied().collect(),
        Err(_) => api_servers::listed()
            .map_err(|error| format!("no API server is known: `{API_SERVERS_LIST}`: {error}"))?
            .iter()
            .map(SocketAddr::ip)
            .collect(),
    };
    let client = Https::new(&authorities()[0].certificate, None).map_err(|error| sentence(&error))?;
    let asked = addresses.into_iter().map(async |address| {
        let url = format!("https://{}/readyz", SocketAddr::new(address, 6443));
        let ready = match client.call(Method::GET, &url, "*/*", String::new(), CALL).await {
            Ok(answer) if answer.status == StatusCode::OK => Ok(()),
            Ok(answer) => Err(format!("it answers {} to /readyz", answer.status.as_u16())),
            Err(error) => Err(sentence(&error)),
        };
        ApiServer { address, ready }
    });
    Ok(join_all(asked).await)
}

/// The members of etcd, each asked by itself; without settings, by the one on this machine.
async fn etcd(settings: &Seen<ClusterPillar>) -> Seen<Etcd> {
    let told = |error: etcd::EtcdError| sentence(&error);
    let addresses = match settings {
        Ok(settings) => settings.etcd.values().copied().collect(),
        Err(_) => vec![IpAddr::from([127, 0, 0, 1])],
    };
    let client = etcd::Etcd::new(addresses).map_err(told)?;
    let members = client.members().await.map_err(told)?;
    let alarms = client.call("maintenance/alarm", &json!({"action": "GET"})).await.map_err(told)?;
    let asked = members.into_iter().map(async |member| {
        let address = member
            .peer_urls
            .iter()
            .find_map(|url| Some(url.strip_prefix("https://")?.parse::<SocketAddr>().ok()?.ip()));
        let status = match address {
            None => Err("nobody knows its address".to_owned()),
            Some(address) => client.ask(address, "maintenance/status", &json!({})).await.map_err(told),
        };
        let name = if member.name.is_empty() { member.id.clone() } else { member.name };
        Member {
            name,
            is_learner: member.is_learner,
            status: status.map(|status| status_of(&status)),
            id: member.id,
        }
    });
    Ok(Etcd { alarms: alarms_of(&alarms), members: join_all(asked).await })
}

/// Numbers of 64 bits are texts in JSON (protobuf, JSON mapping); a zero is left out.
fn status_of(status: &Value) -> MemberStatus {
    let number = |key: &str| status[key].as_str().and_then(|text| text.parse().ok());
    MemberStatus {
        leader: status["leader"].as_str().unwrap_or("0").to_owned(),
        size: number("dbSize").unwrap_or(0),
        quota: number("dbSizeQuota").filter(|quota| *quota > 0).unwrap_or(DEFAULT_QUOTA),
    }
}

fn alarms_of(answer: &Value) -> Vec<(String, String)> {
    let alarms = answer["alarms"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    alarms.map(|alarm| (text(&alarm["alarm"]), text(&alarm["memberID"]))).collect()
}

async fn leases(fleet: &Fleet) -> Vec<LeaseSeen> {
    let asked = LEASES.map(async |(namespace, name)| LeaseSeen {
        name,
        lease: of_the_api(fleet.survey_lease(namespace, name)).await,
    });
    join_all(asked).await
}

/// What all agents tell; where the API does not say who they are, this machine alone is looked at.
async fn machines(fleet: &Fleet, agents: &Seen<Vec<Agent>>) -> Seen<Machines> {
    let Ok(agents) = agents else { return this_machine().await };
    let nodes: BTreeSet<String> = agents.iter().filter_map(|agent| agent.metadata.name.clone()).collect();
    let (health, certificates) = tokio::join!(
        ask_everybody(fleet, &nodes, HEALTH, AGENT),
        ask_everybody(fleet, &nodes, CERTIFICATES, AGENT),
    );
    let certificates =
        told::<Vec<_>>(certificates).map(|(node, told)| (node, told.map(|told| told.value))).collect();
    Ok(Machines { health: told(health).collect(), certificates })
}

fn told<T: DeserializeOwned>(
    answers: BTreeMap<String, Result<Answered, String>>,
) -> impl Iterator<Item = (String, Seen<Told<T>>)> {
    answers.into_iter().map(|(node, answer)| {
        let told = answer.and_then(|Answered { value, asked, heard }| {
            let value =
                serde_json::from_value(value).map_err(|error| format!("its answer is strange: {error}"))?;
            Ok(Told { value, asked, heard })
        });
        (node, told)
    })
}

async fn this_machine() -> Seen<Machines> {
    let (host, asked) = (Host::new(), Timestamp::now());
    let node = host.collect_grains().map_err(|error| sentence(&error))?.hostname;
    let health = MachineHealth::of(&host).await.map_err(|error| sentence(error.as_ref()));
    let health = health.map(|value| Told { value, asked, heard: Timestamp::now() });
    let certificates = Ok(here(&host, &node));
    Ok(Machines {
        health: BTreeMap::from([(node.clone(), health)]),
        certificates: BTreeMap::from([(node, certificates)]),
    })
}

async fn images_of(settings: &Seen<ClusterPillar>) -> Seen<Vec<super::facts::ImageSeen>> {
    let settings = settings.as_ref().map_err(String::clone)?;
    let server = settings.repositories.values().next().ok_or("no node serves repositories")?;
    let authority = authorities()
        .into_iter()
        .find(|authority| authority.certificate.starts_with(Path::new(paths::PKI_DIR)))
        .ok_or("the repositories have no authority")?;
    let client = Https::new(&authority.certificate, None).map_err(|error| sentence(&error))?;
    Ok(images(&client, *server, settings).await)
}

async fn names(settings: &Seen<ClusterPillar>) -> Seen<(String, IpAddr, Seen<Vec<IpAddr>>)> {
    let settings = settings.as_ref().map_err(String::clone)?;
    let (server, name, address) = known_name(&settings.networks.services);
    let answer = addresses_of(server, &name).await;
    Ok((name, address, answer))
}

fn known(agents: &[Agent], nodes: &[metalk8s_kube::fleet::NodeSurvey]) -> Known {
    let of_agent = |agent: &Agent| {
        let addresses = agent.spec.addresses;
        Some((agent.metadata.name.clone()?, [addresses.control_plane, addresses.workload_plane].into()))
    };
    Known {
        agent: agents.iter().filter_map(of_agent).collect(),
        node: nodes
            .iter()
            .map(|node| (node.name.clone(), node.addresses.iter().copied().collect()))
            .collect(),
    }
}

/// The last run for each node that is over and was no trial; runs come the oldest first.
fn last_runs(runs: &[Run]) -> Vec<RunSeen> {
    let mut last: BTreeMap<&str, RunSeen> = BTreeMap::new();
    for run in runs.iter().filter(|run| !run.spec.procedure.trial) {
        let Some(status) = run.status.as_ref().filter(|status| status.phase.is_final()) else { continue };
        let failed_step = status.steps.iter().find(|step| !step.error.is_empty());
        let why = failed_step.map(|step| format!("{}: {}", step.title, step.error.join(": ")));
        let seen = RunSeen {
            run: run.metadata.name.clone().unwrap_or_default(),
            node: run.spec.procedure.node.clone(),
            failed: status.phase == RunPhase::Failed,
            message: why.or(status.message.clone()).unwrap_or_default(),
        };
        last.insert(&run.spec.procedure.node, seen);
    }
    last.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_member_of_etcd_says_is_read() {
        let status = status_of(&json!({"dbSize": "4096", "leader": "12", "dbSizeQuota": "8192"}));
        assert_eq!(status, MemberStatus { leader: "12".into(), size: 4096, quota: 8192 });
        let silent = status_of(&json!({}));
        assert_eq!(silent, MemberStatus { leader: "0".into(), size: 0, quota: DEFAULT_QUOTA });
        let alarms = alarms_of(&json!({"alarms": [{"memberID": "12", "alarm": "NOSPACE"}]}));
        assert_eq!(alarms, [("NOSPACE".to_owned(), "12".to_owned())]);
        assert_eq!(alarms_of(&json!({})), []);
    }

    #[test]
    fn only_the_last_run_for_a_node_counts_and_one_that_goes_on_does_not() {
        let run = |name: &str, node: &str, phase: &str| -> Run {
            let object = json!({
                "apiVersion": "fleet.metalk8s.scality.com/v1alpha1", "kind": "Run",
                "metadata": {"name": name},
                "spec": {"procedure": {"name": "DeployNode", "node": node}, "version": "1.0.0"},
                "status": {"phase": phase, "message": "why"},
            });
            serde_json::from_value(object).unwrap()
        };
        let runs = [
            run("1", "a", "Failed"),
            run("2", "a", "Succeeded"),
            run("3", "b", "Failed"),
            run("4", "b", "Running"),
        ];
        let seen = last_runs(&runs);
        let told: Vec<_> = seen.iter().map(|run| (run.run.as_str(), run.failed)).collect();
        assert_eq!(told, [("2", false), ("3", true)]);
    }
}
