//! What answers over the network: API servers, DNS, repositories.

use std::net::IpAddr;

use metalk8s_diagnostics::explain::{API_SERVER_SILENT, DNS_WRONG, IMAGE_UNAVAILABLE};

use super::{
    super::{
        Area, Finding, Verdict,
        facts::{ApiServer, ImageSeen, Seen},
    },
    count,
};

/// Whether every API server is ready.
pub(crate) fn api_servers(servers: &[ApiServer]) -> Verdict {
    let findings = servers.iter().filter_map(|server| {
        let why = server.ready.as_ref().err()?;
        Some(Finding::error(API_SERVER_SILENT, server.address.to_string(), why))
    });
    Verdict::new(Area::ApiServers, count(servers.len(), "server", "servers"), findings.collect())
}

/// Whether the name has the address that it must have.
pub(crate) fn dns(name: &str, expected: IpAddr, answer: &Seen<Vec<IpAddr>>) -> Verdict {
    let finding = match answer {
        Ok(addresses) if addresses.contains(&expected) => None,
        Ok(addresses) if addresses.is_empty() => Some("the server knows no address for it".to_owned()),
        Ok(addresses) => {
            let found: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            Some(format!("it is {} instead of {expected}", found.join(", ")))
        }
        Err(why) => Some(why.clone()),
    };
    let findings = finding.map(|message| Finding::error(DNS_WRONG, name, message)).into_iter().collect();
    Verdict::new(Area::Dns, format!("name {name}"), findings)
}

/// Whether every image can be pulled, as it was signed.
pub(crate) fn images(images: &[ImageSeen]) -> Verdict {
    let findings = images.iter().filter_map(|image| {
        let why = image.pull.as_ref().err()?;
        Some(Finding::error(IMAGE_UNAVAILABLE, &image.name, why))
    });
    Verdict::new(Area::Images, count(images.len(), "image", "images"), findings.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_not_ready_is_named_by_its_address() {
        let server = |last: u8, ready| ApiServer { address: [10, 0, 0, last].into(), ready };
        let verdict = api_servers(&[server(1, Ok(())), server(2, Err("status 500".into()))]);
        let [finding] = verdict.findings.as_slice() else { panic!("{verdict:?}") };
        assert_eq!((finding.subject.as_str(), finding.message.as_str()), ("10.0.0.2", "status 500"));
    }

    #[test]
    fn a_name_must_have_its_address() {
        let expected: IpAddr = [10, 96, 0, 1].into();
        let message = |answer: Seen<Vec<IpAddr>>| {
            dns("kubernetes", expected, &answer).findings.first().map(|finding| finding.message.clone())
        };
        assert_eq!(message(Ok(vec![expected])), None);
        assert_eq!(message(Ok(Vec::new())).unwrap(), "the server knows no address for it");
        assert_eq!(message(Ok(vec![[10, 0, 0, 1].into()])).unwrap(), "it is 10.0.0.1 instead of 10.96.0.1");
        assert_eq!(message(Err("no answer".into())).unwrap(), "no answer");
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_named() {
        let image = |name: &str, pull| ImageSeen { name: name.into(), pull };
        let verdict = images(&[image("a:1", Ok(())), image("b:1", Err("it is gone".into()))]);
        assert_eq!(verdict.findings.len(), 1);
        assert_eq!((verdict.looked_at.as_str(), verdict.findings[0].subject.as_str()), ("2 images", "b:1"));
    }
}
