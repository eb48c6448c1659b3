//! The archives that the configuration names.

use std::collections::BTreeMap;

use metalk8s_diagnostics::explain;
use metalk8s_types::Role;

use super::{ArchiveSeen, Finding, Observed, UnseenArchive};

pub(super) fn check(observed: &Observed, findings: &mut Vec<Finding>) {
    let mut versions: BTreeMap<&str, &ArchiveSeen> = BTreeMap::new();
    let mut is_any_unreadable = false;
    for archive in &observed.archives {
        let path = archive.path.display();
        match &archive.version {
            Ok(version) => {
                if let Some(first) = versions.get(version.as_str()) {
                    let message =
                        format!("`{path}` and `{}` are both version {version}", first.path.display());
                    let hint = "Leave one of the two in `archives`.";
                    findings.push(Finding::error(explain::ARCHIVE_TWICE, message).hint(hint));
                } else {
                    versions.insert(version, archive);
                }
            }
            Err(unseen) => {
                is_any_unreadable = true;
                let (code, message) = match unseen {
                    UnseenArchive::Missing => {
                        (explain::ARCHIVE_MISSING, format!("the archive `{path}` does not exist"))
                    }
                    UnseenArchive::Unusable(why) => {
                        (explain::ARCHIVE_UNREADABLE, format!("the archive `{path}` cannot be used: {why}"))
                    }
                };
                findings.push(Finding::error(code, message));
            }
        }
    }
    let holds_archives = observed.roles.contains(&Role::Bootstrap);
    // An archive that cannot be read may be the one; it is told above.
    if holds_archives && !is_any_unreadable && !versions.contains_key(observed.version.as_str()) {
        let message = format!(
            "no archive of the configuration is version {}, which this bootstrap installs",
            observed.version
        );
        let hint = "Add the archive that this bootstrap was started from to `archives`.";
        findings.push(Finding::error(explain::ARCHIVE_WRONG_VERSION, message).hint(hint));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::precheck::testing;

    fn archives(seen: &[(&str, Result<&str, UnseenArchive>)]) -> Vec<String> {
        let archives = seen
            .iter()
            .map(|(path, version)| ArchiveSeen {
                path: path.into(),
                version: version.clone().map(str::to_owned),
            })
            .collect();
        let mut findings = Vec::new();
        check(&Observed { archives, ..testing::observed() }, &mut findings);
        findings.iter().map(|finding| format!("{} {}", finding.code, finding.message)).collect()
    }

    #[test]
    fn the_archive_of_this_version_is_enough() {
        assert!(archives(&[("/a.iso", Ok("1.0.0"))]).is_empty());
        assert!(archives(&[("/old.iso", Ok("0.9.0")), ("/a.iso", Ok("1.0.0"))]).is_empty());
    }

    #[test]
    fn archives_that_cannot_be_read_are_named_each() {
        assert_eq!(
            archives(&[
                ("/a.iso", Err(UnseenArchive::Missing)),
                ("/b.iso", Err(UnseenArchive::Unusable("it is no ISO 9660 image".into()))),
            ]),
            [
                "MK1301 the archive `/a.iso` does not exist",
                "MK1302 the archive `/b.iso` cannot be used: it is no ISO 9660 image",
            ]
        );
    }

    #[test]
    fn two_archives_of_one_version_would_be_mounted_at_one_place() {
        let findings = archives(&[("/a.iso", Ok("1.0.0")), ("/b.iso", Ok("1.0.0"))]);
        assert_eq!(findings, ["MK1309 `/b.iso` and `/a.iso` are both version 1.0.0"]);
    }

    #[test]
    fn the_version_that_is_installed_must_be_among_them() {
        let findings = archives(&[("/old.iso", Ok("0.9.0"))]);
        assert!(findings[0].starts_with("MK1306 no archive of the configuration is version 1.0.0"));
    }
}
