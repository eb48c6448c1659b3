//! What a certificate says of itself, for people.

use crate::{certificate::Certificate, kubeconfig::client_certificate, life::Life};

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// Whom it names, such as `O=system:nodes, CN=system:node:n1`.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// How long it is valid.
    pub life: Life,
    /// Whether it is one of an authority.
    pub is_authority: bool,
}

/// What the first certificate of a PEM text says; `None` where there is none that can be read.
pub fn inspect_certificate(pem: &str) -> Option<Inspected> {
    let certificate = Certificate::parse(pem)?;
    Some(Inspected {
        subject: certificate.subject(),
        issuer: certificate.issuer(),
        life: certificate.life(),
        is_authority: certificate.is_authority(),
    })
}

/// The same for the client's certificate inside a kubeconfig.
pub fn inspect_kubeconfig(text: &str) -> Option<Inspected> {
    inspect_certificate(&client_certificate(text)?)
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::{Request, Usage, authority, issue, kubeconfig};

    #[test]
    fn a_certificate_tells_whom_it_names_who_signed_it_and_how_long_it_lives() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let ca = authority("kubernetes", 86_400, now).unwrap();
        let request = Request {
            common_name: "kubernetes-admin".into(),
            organizations: vec!["system:masters".into()],
            usages: vec![Usage::Client],
            lifetime_seconds: 600,
            ..Request::default()
        };
        let issued = issue(&ca.clone().into(), &request, now).unwrap();
        let text = kubeconfig(
            "https://127.0.0.1",
            "kubernetes",
            "kubernetes-admin",
            &ca.certificate_pem,
            &issued.certificate_pem,
            &issued.key_pem,
        );
        let found = inspect_kubeconfig(&text).unwrap();
        assert_eq!(found.subject, "O=system:masters, CN=kubernetes-admin");
        assert_eq!(found.issuer, "CN=kubernetes");
        assert_eq!(found.life.end, now + SignedDuration::from_secs(600));
        assert!(!found.is_authority && inspect_certificate(&ca.certificate_pem).unwrap().is_authority);
        assert_eq!(inspect_kubeconfig("users: []"), None);
        assert_eq!(inspect_certificate("nothing"), None);
    }
}
