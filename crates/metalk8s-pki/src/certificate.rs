//! A certificate as it is read.

use std::{collections::BTreeSet, net::IpAddr};

use jiff::Timestamp;
use rcgen::{KeyPair, PublicKeyData};
use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, parse_x509_certificate, pem::parse_x509_pem,
};

use crate::{life::Life, material::Usage};

/// A certificate that can be read; its bytes are kept, because the parser only borrows.
pub(crate) struct Certificate {
    der: Vec<u8>,
}

impl Certificate {
    /// The first certificate of a PEM text.
    pub(crate) fn parse(pem: &str) -> Option<Self> {
        let (_, block) = parse_x509_pem(pem.as_bytes()).ok()?;
        let readable = block.label == "CERTIFICATE"
            && parse_x509_certificate(&block.contents).is_ok_and(|(rest, parsed)| {
                rest.is_empty()
                    && Timestamp::from_second(parsed.validity().not_before.timestamp()).is_ok()
                    && Timestamp::from_second(parsed.validity().not_after.timestamp()).is_ok()
            });
        readable.then_some(Self { der: block.contents })
    }

    /// Every certificate of a PEM text, in its order; `None` where one cannot be read, or there is none.
    pub(crate) fn parse_all(pem: &str) -> Option<Vec<Self>> {
        const END: &str = "-----END CERTIFICATE-----";
        let blocks = pem.split_inclusive(END).filter(|block| !block.trim().is_empty());
        let all: Option<Vec<Self>> = blocks.map(Self::parse).collect();
        all.filter(|all| !all.is_empty())
    }

    /// The PEM text of this certificate alone.
    pub(crate) fn pem(&self) -> String {
        pem::encode(&pem::Pem::new("CERTIFICATE", self.der.clone()))
    }

    fn view(&self) -> X509Certificate<'_> {
        let (_, parsed) = parse_x509_certificate(&self.der).expect("`parse` has parsed it before");
        parsed
    }

    pub(crate) fn life(&self) -> Life {
        let begin = Timestamp::from_second(self.view().validity().not_before.timestamp());
        Life { begin: begin.expect("`parse` has checked the times"), end: self.not_after() }
    }

    pub(crate) fn not_after(&self) -> Timestamp {
        Timestamp::from_second(self.view().validity().not_after.timestamp())
            .expect("`parse` has checked the times")
    }

    pub(crate) fn common_name(&self) -> String {
        self.common_names().into_iter().next().unwrap_or_default()
    }

    pub(crate) fn common_names(&self) -> Vec<String> {
        let view = self.view();
        view.subject().iter_common_name().filter_map(|name| name.as_str().ok().map(str::to_owned)).collect()
    }

    pub(crate) fn organizations(&self) -> Vec<String> {
        let view = self.view();
        view.subject().iter_organization().filter_map(|name| name.as_str().ok().map(str::to_owned)).collect()
    }

    pub(crate) fn subject(&self) -> String {
        self.view().subject().to_string()
    }

    pub(crate) fn issuer(&self) -> String {
        self.view().issuer().to_string()
    }

    pub(crate) fn names(&self) -> BTreeSet<String> {
        let view = self.view();
        let Ok(Some(names)) = view.subject_alternative_name() else { return BTreeSet::new() };
        names.value.general_names.iter().map(show_name).collect()
    }

    pub(crate) fn usages(&self) -> BTreeSet<Usage> {
        let view = self.view();
        let Ok(Some(usages)) = view.extended_key_usage() else { return BTreeSet::new() };
        let server = usages.value.server_auth.then_some(Usage::Server);
        let client = usages.value.client_auth.then_some(Usage::Client);
        server.into_iter().chain(client).collect()
    }

    pub(crate) fn is_authority(&self) -> bool {
        let view = self.view();
        let may_sign = !matches!(view.key_usage(), Ok(Some(usage)) if !usage.value.key_cert_sign());
        view.is_ca() && may_sign
    }

    /// Whether it is a root: signed by itself.
    pub(crate) fn is_root(&self) -> bool {
        self.is_signed_by(self)
    }

    pub(crate) fn is_valid_at(&self, now: Timestamp) -> bool {
        let Life { begin, end } = self.life();
        begin <= now && now < end
    }

    pub(crate) fn is_signed_by(&self, ca: &Self) -> bool {
        let (view, ca) = (self.view(), ca.view());
        view.issuer().as_raw() == ca.subject().as_raw()
            && view.verify_signature(Some(ca.public_key())).is_ok()
    }
}

/// Whether the private key belongs to the certificate.
pub(crate) fn public_key_fits(certificate: &Certificate, key: &KeyPair) -> bool {
    certificate.view().public_key().raw == key.subject_public_key_info()
}

fn show_name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
            (Ok(bytes), _) => IpAddr::from(bytes).to_string(),
            (_, Ok(bytes)) => IpAddr::from(bytes).to_string(),
            _ => format!("{name}"),
        },
        other => format!("{other}"),
    }
}
