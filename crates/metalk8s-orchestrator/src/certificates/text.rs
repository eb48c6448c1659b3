//! Certificates as lines for people.

use jiff::{Timestamp, tz::TimeZone};
use metalk8s_diagnostics::{Cell, Paint, Table};

use super::{Judged, NodeCertificates, Standing};

/// A line for each certificate, with times in `zone`; a node that is not known has one with the reason.
pub fn text(nodes: &[NodeCertificates], zone: &TimeZone, paint: Paint) -> String {
    let mut table =
        Table::new(["NODE", "FILE", "USED BY", "SUBJECT", "ISSUER", "EXPIRES", "RENEWAL", "STATUS"]);
    let time = |moment: Timestamp| moment.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
    for node in nodes {
        for Judged { certificate, standing } in &node.certificates {
            let validity = certificate.validity;
            table.row([
                Cell::plain(&node.node),
                Cell::plain(&certificate.file.display().to_string()),
                Cell::plain(&certificate.used_by),
                Cell::plain(&certificate.subject),
                Cell::plain(&certificate.issuer),
                Cell::plain(&validity.map(|validity| time(validity.end)).unwrap_or_default()),
                Cell::plain(&match validity.map(|validity| validity.renewal) {
                    Some(Some(renewal)) if certificate.by_hand => format!("by hand from {}", time(renewal)),
                    Some(Some(renewal)) => time(renewal),
                    Some(None) => "elsewhere".to_owned(),
                    None => String::new(),
                }),
                status(*standing),
            ]);
        }
        if let Some(why) = &node.error {
            let unknown = Cell::painted(&format!("unknown: {why}"), Paint::red);
            let [file, used_by, subject, issuer, expires, renewal] = [""; 6].map(Cell::plain);
            table.row([Cell::plain(&node.node), file, used_by, subject, issuer, expires, renewal, unknown]);
        }
    }
    table.text(paint)
}

fn status(standing: Standing) -> Cell {
    match standing {
        Standing::Good => Cell::painted("good", Paint::green),
        Standing::Due => Cell::painted("due", Paint::yellow),
        Standing::Late => Cell::painted("late", Paint::red),
        Standing::Expired => Cell::painted("expired", Paint::red),
        Standing::Unreadable => Cell::painted("unreadable", Paint::red),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::{CertificateSeen, Validity};

    #[test]
    fn each_certificate_has_a_line_and_so_has_a_node_that_is_silent() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let certificate = CertificateSeen {
            file: "/etc/kubernetes/admin.conf".into(),
            used_by: "the administrator".into(),
            subject: "O=system:masters, CN=kubernetes-admin".into(),
            issuer: "CN=kubernetes".into(),
            validity: Some(Validity { begin: at(0), end: at(3000), renewal: Some(at(2000)) }),
            restarts: false,
            by_hand: false,
        };
        let nodes = [
            NodeCertificates::judge("bootstrap", Ok(vec![certificate]), at(1)),
            NodeCertificates::judge("node-1", Err("it did not answer".into()), at(1)),
        ];
        let text = text(&nodes, &TimeZone::UTC, Paint::new(false));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].ends_with("2027-01-15 08:50:00  2027-01-15 08:33:20  good"), "{text}");
        assert!(lines[2].starts_with("node-1") && lines[2].ends_with("unknown: it did not answer"), "{text}");
    }
}
