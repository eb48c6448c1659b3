//! Requests for certificates (certificates.k8s.io/v1, KEP-1513).

use jiff::Timestamp;
use k8s_openapi::{
    ByteString,
    api::certificates::v1::{
        CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestSpec,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams},
};
use metalk8s_types::fleet::agent_user;

use super::{Fleet, FleetError, ask};
use crate::{
    call::{CallError, if_found},
    connection::Connection,
};

/// A request that somebody must decide about.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingRequest {
    /// The name of the object.
    pub name: String,
    /// The user who asked, as the API server knows it.
    pub user: String,
    /// The signer that is asked.
    pub signer: String,
    /// The request itself, PEM.
    pub request_pem: String,
    object: CertificateSigningRequest,
}

/// What is decided about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestOutcome {
    /// It is approved, and this is the certificate, in PEM.
    Signed(String),
    /// It is not given, and why.
    Denied(String),
}

impl PendingRequest {
    /// Of an object that nobody has decided about, or that was approved and is not signed yet.
    pub fn of(object: &CertificateSigningRequest) -> Option<Self> {
        let status = object.status.clone().unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let is_over = status.certificate.is_some()
            || conditions.iter().any(|condition| matches!(condition.type_.as_str(), "Denied" | "Failed"));
        if is_over {
            return None;
        }
        Some(Self {
            name: object.name_any(),
            user: object.spec.username.clone().unwrap_or_default(),
            signer: object.spec.signer_name.clone(),
            request_pem: String::from_utf8_lossy(&object.spec.request.0).into_owned(),
            object: object.clone(),
        })
    }
}

impl Fleet {
    /// Asks a signer; whoever asks is known by this connection. `usages` are in the words of Kubernetes.
    ///
    /// # Errors
    /// When the API refuses the request, or cannot be asked.
    pub async fn request_certificate(
        &self,
        name: &str,
        signer: &str,
        request_pem: &str,
        usages: &[&str],
    ) -> Result<(), FleetError> {
        let object = CertificateSigningRequest {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            spec: CertificateSigningRequestSpec {
                request: ByteString(request_pem.as_bytes().to_vec()),
                signer_name: signer.to_owned(),
                usages: Some(usages.iter().map(|usage| (*usage).to_owned()).collect()),
                ..CertificateSigningRequestSpec::default()
            },
            status: None,
        };
        let doing = || format!("ask `{signer}` for a certificate");
        self.with(doing, async |connection| {
            ask(connection, requests(connection).create(&PostParams::default(), &object)).await.map(drop)
        })
        .await
    }

    /// Deletes all requests of the agent of a node, and those that were made for it; how many there were.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn delete_requests_of(&self, node: &str) -> Result<usize, FleetError> {
        let doing = || format!("delete the requests of `{node}` for certificates");
        self.with(doing, async |connection| {
            let requests = requests(connection);
            let list = ask(connection, requests.list(&ListParams::default())).await?;
            let of_it = list.items.iter().filter(|request| is_of(request, node));
            let names: Vec<String> = of_it.map(ResourceExt::name_any).collect();
            for name in &names {
                if_found(ask(connection, requests.delete(name, &DeleteParams::default())).await)?;
            }
            Ok(names.len())
        })
        .await
    }

    /// Records a decision: approval and certificate, or a refusal.
    ///
    /// # Errors
    /// When this user may not decide for that signer, somebody else has, or the API cannot be asked.
    pub async fn decide_request(
        &self,
        request: &PendingRequest,
        outcome: &RequestOutcome,
    ) -> Result<(), FleetError> {
        let doing = || format!("decide about the request `{}`", request.name);
        self.with(doing, async |connection| decide(connection, request, outcome).await).await
    }
}

async fn decide(
    connection: &Connection,
    request: &PendingRequest,
    outcome: &RequestOutcome,
) -> Result<(), CallError> {
    let (requests, params) = (requests(connection), PostParams::default());
    let (kind, reason, message) = match outcome {
        RequestOutcome::Signed(_) => ("Approved", "AsItShouldBe", "what the roles of the node ask for"),
        RequestOutcome::Denied(why) => ("Denied", "NotAsItShouldBe", why.as_str()),
    };
    let mut object = request.object.clone();
    let conditions = object.status.get_or_insert_default().conditions.get_or_insert_default();
    if !conditions.iter().any(|condition| condition.type_ == kind) {
        let now = Time(Timestamp::now());
        conditions.push(CertificateSigningRequestCondition {
            type_: kind.to_owned(),
            status: "True".to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            last_transition_time: Some(now.clone()),
            last_update_time: Some(now),
        });
        object = ask(connection, requests.replace_subresource("approval", &request.name, &params, &object))
            .await?;
    }
    if let RequestOutcome::Signed(certificate) = outcome {
        object.status.get_or_insert_default().certificate =
            Some(ByteString(certificate.clone().into_bytes()));
        ask(connection, requests.replace_status(&request.name, &params, &object)).await?;
    }
    Ok(())
}

/// Whether a node's agent asked, or the conductor did in its place, which the name tells: the node and 20 digits.
fn is_of(request: &CertificateSigningRequest, node: &str) -> bool {
    let name = request.name_any();
    let moment = name.strip_prefix(&format!("metalk8s-{node}-")).unwrap_or_default();
    let is_named_so = moment.len() == 20 && moment.bytes().all(|byte| byte.is_ascii_digit());
    is_named_so || request.spec.username.as_deref() == Some(&*agent_user(node))
}

fn requests(connection: &Connection) -> Api<CertificateSigningRequest> {
    Api::all(connection.client.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_a_node_are_known_by_who_asked_and_by_their_names() {
        let request = |name: &str, user: &str| CertificateSigningRequest {
            metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
            spec: CertificateSigningRequestSpec {
                username: Some(user.into()),
                ..CertificateSigningRequestSpec::default()
            },
            status: None,
        };
        assert!(is_of(&request("any", "metalk8s:agent:node-1"), "node-1"));
        assert!(is_of(&request("metalk8s-node-1-20260112071130203596", "metalk8s:conductor"), "node-1"));
        for other in ["metalk8s-node-1-2-20260112071130203596", "metalk8s-node-1-x", "any"] {
            assert!(!is_of(&request(other, "metalk8s:agent:node-1-2"), "node-1"), "{other}");
        }
    }
}
