//! The members of etcd, over the JSON form of its API (etcd documentation, "gRPC gateway").

use std::{
    io::Write,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use hyper::{Method, StatusCode};
use metalk8s_diagnostics::{Code, Diagnose, explain, sentence};
use metalk8s_types::paths;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::https::{Https, KeyFileError};

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long etcd may take to give all that it holds, and how much of it is read, in bytes. 8 GiB are the most that
/// it should hold (etcd documentation, "System limits"), and base64 makes a third more of them.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(600);
const SNAPSHOT_LIMIT: u64 = 12 << 30;

/// The code with which it tells that it has no leader, another one by now, or no time (gRPC, "Status codes").
const UNAVAILABLE: u64 = 14;

/// An etcd, reached as its health check reaches it (PKI-09).
pub(crate) struct Etcd {
    client: Https,
    endpoints: Vec<IpAddr>,
}

/// A member, as etcd lists it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Member {
    /// Its id, a number in text.
    #[serde(rename = "ID")]
    pub(crate) id: String,
    /// Its name; empty as long as it has not started.
    #[serde(default)]
    pub(crate) name: String,
    /// Where the others reach it.
    #[serde(rename = "peerURLs", default)]
    pub(crate) peer_urls: Vec<String>,
    /// Whether it only learns, and has no vote.
    #[serde(rename = "isLearner", default)]
    pub(crate) is_learner: bool,
}

/// Why etcd did not do something.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EtcdError {
    /// A key or certificate.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// No member answered.
    #[error("no member of etcd answers: {}", .0.join("; "))]
    Unreachable(Vec<String>),
    /// It cannot at the moment, as when it has no leader.
    #[error("etcd says: {0}")]
    NotNow(String),
    /// It said no.
    #[error("etcd says: {0}")]
    Refused(String),
    /// Nobody understands what it said.
    #[error("the answer of etcd is damaged")]
    Answer(#[source] serde_json::Error),
}

impl Diagnose for EtcdError {
    fn code(&self) -> Option<Code> {
        Some(match self {
            Self::File(_) => explain::KEY_UNREADABLE,
            Self::Unreachable(_) | Self::NotNow(_) | Self::Refused(_) | Self::Answer(_) => {
                explain::ETCD_UNHEALTHY
            }
        })
    }

    fn passes(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::NotNow(_))
    }
}

/// Where the others reach the member on a node.
pub(crate) fn peer_url(address: IpAddr) -> String {
    format!("https://{}", SocketAddr::new(address, 2380))
}

/// `--initial-cluster` of a member that joins: all that are there, and itself.
pub(crate) fn initial_cluster(members: &[Member], node: &str, own: &str) -> String {
    let others = members.iter().filter(|member| !member.peer_urls.iter().any(|url| url == own));
    let others = others.filter(|member| !member.name.is_empty()).flat_map(|member| {
        member.peer_urls.iter().map(|url| format!("{}={url}", member.name)).collect::<Vec<_>>()
    });
    others.chain([format!("{node}={own}")]).collect::<Vec<_>>().join(",")
}

impl Member {
    /// Where it serves, by where the others reach it.
    pub(super) fn address(&self) -> Option<IpAddr> {
        let url = self.peer_urls.first()?.strip_prefix("https://")?;
        Some(url.parse::<SocketAddr>().ok()?.ip())
    }

    /// Whether it is the one of this node, which has this address in the control plane, if any is known.
    pub(super) fn is_of(&self, node: &str, address: Option<IpAddr>) -> bool {
        self.name == node || address.is_some_and(|address| self.peer_urls.contains(&peer_url(address)))
    }
}

/// Why etcd would have no majority after the loss of a member; `None` where it would. Each of `voters` has a name
/// and whether it is healthy. Pure.
pub(super) fn majority_lost(voters: &[(String, bool)], leaving: &str) -> Option<String> {
    let healthy = |voters: &[&(String, bool)]| voters.iter().filter(|(_, is_healthy)| *is_healthy).count();
    let all: Vec<_> = voters.iter().collect();
    let rest: Vec<_> = voters.iter().filter(|(name, _)| name != leaving).collect();
    if rest.is_empty() {
        return Some("it has the only member of etcd, with all that the cluster knows".to_owned());
    }
    for (members, when) in [(all, "now"), (rest, "without it")] {
        let (healthy, needed) = (healthy(&members), members.len() / 2 + 1);
        if healthy < needed {
            let silent = members.iter().filter(|(_, is_healthy)| !is_healthy).map(|(name, _)| name.as_str());
            return Some(format!(
                "etcd would lose its majority: {when} {needed} of {} members must answer, and {healthy} do; \
                 these do not: {}",
                members.len(),
                silent.collect::<Vec<_>>().join(", ")
            ));
        }
    }
    None
}

/// Who is to lead after a member that has this status; `None` where it does not lead, or nobody else may. Pure.
fn next_leader<'m>(members: &'m [Member], leaving: &Member, status: &Value) -> Option<&'m Member> {
    let leads = status["leader"].as_str() == Some(&leaving.id);
    let mut others = members.iter().filter(|member| !member.is_learner && member.id != leaving.id);
    leads.then(|| others.next()).flatten()
}

/// What etcd says instead of an answer.
fn refusal(said: &Value) -> EtcdError {
    let message = said["message"].as_str().or(said["error"].as_str()).unwrap_or("nothing").to_owned();
    match said["code"].as_u64() {
        Some(UNAVAILABLE) => EtcdError::NotNow(message),
        _ => EtcdError::Refused(message),
    }
}

impl Etcd {
    /// The etcd with these members.
    ///
    /// # Errors
    /// When the keys of its health check cannot be read.
    pub(crate) fn new(endpoints: Vec<IpAddr>) -> Result<Self, EtcdError> {
        let in_folder = |name: &str| Path::new(paths::ETCD_PKI).join(name);
        let (chain, key) = (in_folder("healthcheck-client.crt"), in_folder("healthcheck-client.key"));
        let client = Https::new(&in_folder("ca.crt"), Some((&chain, &key)))?;
        Ok(Self { client, endpoints })
    }

    /// All members.
    ///
    /// # Errors
    /// When no member answers.
    pub(crate) async fn members(&self) -> Result<Vec<Member>, EtcdError> {
        let answer = self.call("cluster/member/list", &json!({})).await?;
        let members = answer.get("members").cloned().unwrap_or_else(|| json!([]));
        serde_json::from_value(members).map_err(EtcdError::Answer)
    }

    /// Registers a member that only learns, so that a majority does not need it before it can follow.
    ///
    /// # Errors
    /// When there is another learner already, or no member answers.
    pub(crate) async fn add_learner(&self, peer_url: &str) -> Result<(), EtcdError> {
        let body = json!({"peerURLs": [peer_url], "isLearner": true});
        self.call("cluster/member/add", &body).await.map(drop)
    }

    /// Has the others reach a member at another address. It keeps its id and what it holds.
    ///
    /// # Errors
    /// When the others have no majority, or no member answers.
    pub(crate) async fn relocate(&self, id: &str, peer_url: &str) -> Result<(), EtcdError> {
        let body = json!({"ID": id, "peerURLs": [peer_url]});
        self.call("cluster/member/update", &body).await.map(drop)
    }

    /// Gives a learner its vote.
    ///
    /// # Errors
    /// When it has not learnt enough yet, or no member answers.
    pub(crate) async fn promote(&self, id: &str) -> Result<(), EtcdError> {
        self.call("cluster/member/promote", &json!({ "ID": id })).await.map(drop)
    }

    /// Has another voter lead where this member does, so that nobody waits for an election when it goes.
    ///
    /// # Errors
    /// When the member does not answer, or no other follows it closely.
    pub(super) async fn hand_over(&self, members: &[Member], leaving: &Member) -> Result<bool, EtcdError> {
        let Some(address) = leaving.address() else { return Ok(false) };
        let status = self.ask(address, "maintenance/status", &json!({})).await?;
        let Some(next) = next_leader(members, leaving, &status) else { return Ok(false) };
        let body = json!({"targetID": next.id});
        self.ask(address, "maintenance/transfer-leadership", &body).await.map(|_| true)
    }

    /// Takes a member out.
    ///
    /// # Errors
    /// When the others would have no majority, or no member answers.
    pub(super) async fn remove(&self, id: &str) -> Result<(), EtcdError> {
        self.call("cluster/member/remove", &json!({ "ID": id })).await.map(drop)
    }

    /// Whether a member of these endpoints answers, and knows a leader.
    pub(super) async fn is_healthy(&self) -> bool {
        let answer = self.call("maintenance/status", &json!({})).await;
        answer.is_ok_and(|status| status["leader"].as_str().is_some_and(|leader| leader != "0"))
    }

    /// Writes what one member tells of all that it holds to `sink`: lines of JSON, with the parts in them.
    ///
    /// # Errors
    /// When it does not answer, or `sink` takes a part for an error.
    pub(crate) async fn snapshot(
        &self,
        address: IpAddr,
        sink: &mut (impl Write + Send),
    ) -> Result<(), EtcdError> {
        let endpoint = SocketAddr::new(address, 2379);
        let url = format!("https://{endpoint}/v3/maintenance/snapshot");
        let answer = self.client.download(
            Method::POST,
            &url,
            "{}".to_owned(),
            sink,
            SNAPSHOT_LIMIT,
            SNAPSHOT_PATIENCE,
        );
        answer
            .await
            .map_err(|error| EtcdError::Unreachable(vec![format!("{endpoint}: {}", sentence(&error))]))
    }

    /// Asks one member after the other.
    pub(crate) async fn call(&self, path: &str, body: &Value) -> Result<Value, EtcdError> {
        let mut told = Vec::new();
        for address in &self.endpoints {
            match self.ask(*address, path, body).await {
                Err(EtcdError::Unreachable(why)) => told.extend(why),
                answer => return answer,
            }
        }
        Err(EtcdError::Unreachable(told))
    }

    /// Asks one member.
    ///
    /// # Errors
    /// When it does not answer, or says no.
    pub(crate) async fn ask(&self, address: IpAddr, path: &str, body: &Value) -> Result<Value, EtcdError> {
        let endpoint = SocketAddr::new(address, 2379);
        let url = format!("https://{endpoint}/v3/{path}");
        let answer = self.client.call(Method::POST, &url, "*/*", body.to_string(), PATIENCE).await;
        let answer = answer
            .map_err(|error| EtcdError::Unreachable(vec![format!("{endpoint}: {}", sentence(&error))]))?;
        if answer.status == StatusCode::OK {
            return serde_json::from_slice(&answer.body).map_err(EtcdError::Answer);
        }
        Err(refusal(&serde_json::from_slice(&answer.body).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, address: &str) -> Member {
        let peer_urls = vec![peer_url(address.parse().unwrap())];
        Member { id: "1".into(), name: name.into(), peer_urls, is_learner: false }
    }

    #[test]
    fn an_etcd_without_a_leader_is_asked_again_and_one_that_refuses_is_not() {
        let said = |code: u64, message: &str| refusal(&json!({"code": code, "message": message}));
        let without_leader = said(14, "etcdserver: no leader");
        assert!(without_leader.passes());
        assert_eq!(without_leader.to_string(), "etcd says: etcdserver: no leader");
        assert!(
            !said(9, "etcdserver: can only promote a learner member which is in sync with leader").passes()
        );
        assert!(!refusal(&Value::Null).passes());
        assert!(EtcdError::Unreachable(Vec::new()).passes());
    }

    #[test]
    fn a_member_that_joins_names_all_that_are_there_and_itself() {
        let own = peer_url("10.0.0.3".parse().unwrap());
        let members = [member("a", "10.0.0.1"), member("b", "10.0.0.2"), member("", "10.0.0.3")];
        let expected = "a=https://10.0.0.1:2380,b=https://10.0.0.2:2380,c=https://10.0.0.3:2380";
        assert_eq!(initial_cluster(&members, "c", &own), expected);
    }

    #[test]
    fn a_member_may_go_where_a_majority_of_the_others_answers() {
        let voters = |text: &str| -> Vec<(String, bool)> {
            text.split(' ')
                .map(|word| (word.trim_end_matches('!').to_owned(), !word.ends_with('!')))
                .collect()
        };
        for allowed in ["a b", "a b c", "a! b c", "a! b c d"] {
            assert_eq!(majority_lost(&voters(allowed), "a"), None, "{allowed}");
        }
        for refused in ["a", "a! b", "a b!", "a b! c", "a b! c! d e!"] {
            assert!(majority_lost(&voters(refused), "a").is_some(), "{refused}");
        }
        let told = majority_lost(&voters("a b! c"), "a").unwrap();
        assert!(told.contains("without it 2 of 2") && told.ends_with("these do not: b"), "{told}");
    }

    #[test]
    fn a_voter_leads_after_a_leader_that_leaves() {
        let member = |id: &str, is_learner| Member { id: id.into(), is_learner, ..member(id, "10.0.0.1") };
        let (leaving, learner, voter) = (member("1", false), member("2", true), member("3", false));
        let members = [leaving.clone(), learner.clone(), voter.clone()];
        let status = |leader: &str| json!({"leader": leader});
        assert_eq!(next_leader(&members, &leaving, &status("1")), Some(&voter));
        assert_eq!(next_leader(&members, &leaving, &status("3")), None);
        assert_eq!(next_leader(&[leaving.clone(), learner], &leaving, &status("1")), None);
    }

    #[test]
    fn a_member_is_found_by_its_node_and_by_its_address() {
        let started = member("a", "10.0.0.1");
        assert_eq!(started.address(), "10.0.0.1".parse().ok());
        assert!(started.is_of("a", None) && !started.is_of("b", "10.0.0.2".parse().ok()));
        assert!(member("", "10.0.0.2").is_of("b", "10.0.0.2".parse().ok()));
    }

    #[test]
    fn members_are_read_as_etcd_lists_them() {
        let text = r#"{"ID": "1234", "peerURLs": ["https://10.0.0.1:2380"], "isLearner": true}"#;
        let read: Member = serde_json::from_str(text).unwrap();
        assert_eq!((read.id.as_str(), read.name.as_str(), read.is_learner), ("1234", "", true));
    }
}
