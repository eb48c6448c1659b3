//! Numbers of users and groups that static pods run as.

use metalk8s_diagnostics::explain;

use super::{Finding, Observed};

pub(super) fn check(observed: &Observed, findings: &mut Vec<Finding>) {
    for (name, id) in metalk8s_formulas::ACCOUNTS {
        let others = observed.accounts.iter().filter(|(other, number)| *number == id && other != name);
        findings.extend(others.map(|(other, _)| {
            let message = format!("`{other}` has the number {id}, which `{name}` needs");
            let hint = format!(
                "Give it another number: `usermod --uid NEW {other}`, or `groupmod --gid NEW {other}`."
            );
            Finding::error(explain::ACCOUNT_NUMBER_TAKEN, message).hint(hint)
        }));
    }
}

/// Names and numbers of lines such as those of /etc/passwd and /etc/group (passwd(5), group(5)).
pub(super) fn parse(text: &str) -> impl Iterator<Item = (String, u32)> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::precheck::testing;

    #[test]
    fn a_number_that_somebody_else_has_is_an_error_and_told_with_who() {
        let accounts = |text: &str| {
            let mut findings = Vec::new();
            check(&Observed { accounts: parse(text).collect(), ..testing::observed() }, &mut findings);
            findings.into_iter().map(|finding| finding.message).collect::<Vec<_>>()
        };
        let ours =
            "root:x:0:0:root:/root:/bin/bash\nmetalk8s:x:60603:60603::/var/lib/metalk8s:/usr/sbin/nologin\n";
        assert_eq!(accounts(ours), [""; 0]);
        assert_eq!(
            accounts("etcd:x:60602:\nbackup:x:60604:\n+nis\n"),
            ["`backup` has the number 60604, which `kube-apiserver` needs"]
        );
    }
}
