//! The certificates of machines: read from their files on each, and judged where somebody looks.
//!
//! Begin with [`here`] and [`of_fleet`]. Roots, and the authorities that sign in their place, are renewed like any
//! certificate on the node that holds them, while the root's key is on it. Other nodes are given the roots.

mod text;

use std::{collections::BTreeSet, path::Path, path::PathBuf, time::Duration};

use jiff::{SignedDuration, Timestamp};
use metalk8s_diagnostics::sentence;
use metalk8s_formulas::{
    AuthorityFiles, CERTIFICATE_FILES, CertificateFile, CertificateForm, Taken, authorities,
};
use metalk8s_host::Host;
use metalk8s_kube::fleet::FleetError;
use metalk8s_pki::{Inspected, Life, inspect_certificate, inspect_kubeconfig};
use metalk8s_saltcompat::CERTIFICATES;
use serde::{Deserialize, Serialize};

use crate::{bus::Bus, survey::ask_everybody};

pub use text::text;

/// How long an agent has for an answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long before its end an authority that was given is warned about: another one should have been long before.
const AUTHORITY_ENDS: SignedDuration = SignedDuration::from_hours(24 * 365);

/// A certificate of a machine, as its file tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateSeen {
    /// The file that holds it.
    pub file: PathBuf,
    /// The program that shows it, or that trusts it.
    pub used_by: String,
    /// Whom it names; empty where it cannot be read.
    pub subject: String,
    /// Who signed it; empty where it cannot be read.
    pub issuer: String,
    /// From when to when it is valid, and when it is renewed; `None` where it cannot be read.
    pub validity: Option<Validity>,
    /// Whether the program must be restarted to take a new one, which the renewal does.
    pub restarts: bool,
    /// Whether a person renews it: an authority whose root's key is not on the machine.
    #[serde(default)]
    pub by_hand: bool,
}

/// The moments of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// It is valid from this moment on.
    pub begin: Timestamp,
    /// It expires at this moment.
    pub end: Timestamp,
    /// It is renewed at this moment; `None` for what the machine is given, such as a root of the Bootstrap node.
    pub renewal: Option<Timestamp>,
}

/// How a certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It is valid, and nothing is to be done.
    Good,
    /// It is being renewed, or a person should renew it; or it is a root that was given, and its last year has begun.
    Due,
    /// It should have been renewed, and was not.
    Late,
    /// It is not valid any more, or not yet.
    Expired,
    /// It cannot be read.
    Unreadable,
}

/// The certificates of a node, or why they are not known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeCertificates {
    /// The name of the node.
    pub node: String,
    /// Its certificates, with how each stands.
    pub certificates: Vec<Judged>,
    /// Why they are not known.
    pub error: Option<String>,
}

/// A certificate with how it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// What its file tells.
    #[serde(flatten)]
    pub certificate: CertificateSeen,
    /// How it stands.
    pub standing: Standing,
}

impl CertificateSeen {
    /// How it stands at this moment. Pure.
    pub fn standing(&self, now: Timestamp) -> Standing {
        let Some(Validity { begin, end, renewal }) = self.validity else { return Standing::Unreadable };
        if now < begin || now >= end {
            return Standing::Expired;
        }
        match renewal {
            None if end.duration_since(now) < AUTHORITY_ENDS => Standing::Due,
            None => Standing::Good,
            Some(_) if now >= (Life { begin, end }).overdue() => Standing::Late,
            Some(renewal) if now >= renewal => Standing::Due,
            Some(_) => Standing::Good,
        }
    }
}

impl NodeCertificates {
    /// Those of a node, judged.
    pub fn judge(node: &str, seen: Result<Vec<CertificateSeen>, String>, now: Timestamp) -> Self {
        let (seen, error) = match seen {
            Ok(seen) => (seen, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        let judged = seen.into_iter().map(|certificate| {
            let standing = certificate.standing(now);
            Judged { certificate, standing }
        });
        Self { node: node.to_owned(), certificates: judged.collect(), error }
    }

    /// Whether a certificate is of no use, was not renewed, or is not known.
    pub fn is_bad(&self) -> bool {
        self.error.is_some() || self.certificates.iter().any(|judged| judged.standing >= Standing::Late)
    }
}

/// Every certificate that is on this machine, which is the node of this name.
pub fn here(host: &Host, node: &str) -> Vec<CertificateSeen> {
    let files = CERTIFICATE_FILES.iter();
    let read = |path: &Path| host.read_text(path).ok().flatten();
    let seen =
        |file: &CertificateFile| Some(seen(file, &read(Path::new(file.path))?, node, renewed_by(host, file)));
    files.filter_map(seen).collect()
}

/// Who renews what is in a file of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RenewedBy {
    /// The machine.
    Itself,
    /// A person, who has the key that it takes.
    Hand,
    /// Another machine.
    Another,
}

fn renewed_by(host: &Host, file: &CertificateFile) -> RenewedBy {
    let is_there = |path: &Path| host.read_text(path).is_ok_and(|text| text.is_some());
    let is_of = |realm: &AuthorityFiles| {
        [&realm.certificate, &realm.issuing_certificate].contains(&&PathBuf::from(file.path))
    };
    match authorities().into_iter().find(is_of) {
        Some(realm) if !is_there(&realm.issuing_certificate) => RenewedBy::Another,
        Some(realm) if !is_there(&realm.key) => RenewedBy::Hand,
        _ => RenewedBy::Itself,
    }
}

/// How long the certificates of this machine live that it renews.
pub fn lives() -> Vec<Life> {
    let host = Host::new();
    let renewed = CERTIFICATE_FILES.iter().filter(|file| renewed_by(&host, file) == RenewedBy::Itself);
    renewed
        .filter_map(|file| {
            let text = host.read_text(Path::new(file.path)).ok()??;
            Some(inspect(file, &text)?.life)
        })
        .collect()
}

/// The certificates of one node, or of all that belong to the fleet; agents are asked.
///
/// # Errors
/// When the API cannot be asked.
pub async fn of_fleet(bus: &dyn Bus, node: Option<&str>) -> Result<Vec<NodeCertificates>, FleetError> {
    let nodes: BTreeSet<String> = match node {
        Some(node) => BTreeSet::from([node.to_owned()]),
        None => bus.agents().await?.into_iter().filter_map(|agent| agent.metadata.name).collect(),
    };
    let answers = ask_everybody(bus, &nodes, CERTIFICATES, PATIENCE).await;
    let now = Timestamp::now();
    let judged = answers.into_iter().map(|(node, answer)| {
        let seen = answer.and_then(|answer| {
            serde_json::from_value(answer.value)
                .map_err(|error| format!("its answer is strange: {}", sentence(&error)))
        });
        NodeCertificates::judge(&node, seen, now)
    });
    Ok(judged.collect())
}

fn inspect(file: &CertificateFile, text: &str) -> Option<Inspected> {
    match file.form {
        CertificateForm::Authority | CertificateForm::Issuing | CertificateForm::Pair => {
            inspect_certificate(text)
        }
        CertificateForm::Kubeconfig => inspect_kubeconfig(text),
    }
}

fn seen(file: &CertificateFile, text: &str, node: &str, by: RenewedBy) -> CertificateSeen {
    let inspected = inspect(file, text);
    let validity = inspected.as_ref().map(|inspected| Validity {
        begin: inspected.life.begin,
        end: inspected.life.end,
        renewal: (by != RenewedBy::Another).then(|| inspected.life.renewal(node)),
    });
    let (subject, issuer) =
        inspected.map(|inspected| (inspected.subject, inspected.issuer)).unwrap_or_default();
    CertificateSeen {
        file: file.path.into(),
        used_by: file.used_by.to_owned(),
        subject,
        issuer,
        validity,
        restarts: file.taken == Taken::Restarted,
        by_hand: by == RenewedBy::Hand,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn certificate(renewal: Option<i64>, end: i64) -> CertificateSeen {
        CertificateSeen {
            file: "/etc/kubernetes/pki/x.crt".into(),
            used_by: "x".into(),
            subject: "CN=x".into(),
            issuer: "CN=kubernetes".into(),
            validity: Some(Validity { begin: at(0), end: at(end), renewal: renewal.map(at) }),
            restarts: false,
            by_hand: false,
        }
    }

    #[test]
    fn a_certificate_is_good_then_due_then_late_then_expired() {
        let certificate = certificate(Some(2100), 3000);
        let standing = |second| certificate.standing(at(second));
        assert_eq!(standing(-1), Standing::Expired);
        assert_eq!(standing(2099), Standing::Good);
        assert_eq!(standing(2100), Standing::Due);
        assert_eq!(standing(2179), Standing::Due);
        assert_eq!(standing(2180), Standing::Late);
        assert_eq!(standing(3000), Standing::Expired);
    }

    #[test]
    fn an_authority_that_was_given_is_warned_about_in_its_last_year() {
        let (day, years) = (86_400, 3650 * 86_400);
        let authority = certificate(None, years);
        assert_eq!(authority.standing(at(years - 366 * day)), Standing::Good);
        assert_eq!(authority.standing(at(years - 364 * day)), Standing::Due);
        assert_eq!(authority.standing(at(years)), Standing::Expired);
    }

    #[test]
    fn what_cannot_be_read_and_who_does_not_answer_is_bad() {
        let good = certificate(Some(2100), 3000);
        let broken = CertificateSeen { validity: None, ..good.clone() };
        assert!(!NodeCertificates::judge("a", Ok(vec![good.clone()]), at(1)).is_bad());
        assert!(!NodeCertificates::judge("a", Ok(vec![good.clone()]), at(2101)).is_bad());
        assert!(NodeCertificates::judge("a", Ok(vec![good, broken]), at(1)).is_bad());
        assert!(NodeCertificates::judge("a", Err("it does not answer".into()), at(1)).is_bad());
    }
}
