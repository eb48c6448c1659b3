//! Who runs the static pods, and who may read what they keep to themselves (NFR-12).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use metalk8s_types::paths;

use crate::suite::Stage;

/// Each static pod, how the line of its process begins, and its user.
const PODS: [(&str, &str, &str); 8] = [
    ("apiserver-proxy", "metalk8s apiserver-proxy ", "metalk8s"),
    ("etcd", "etcd --", "etcd"),
    ("kube-apiserver", "kube-apiserver --", "kube-apiserver"),
    ("kube-controller-manager", "kube-controller-manager --", "kube-controller-manager"),
    ("kube-scheduler", "kube-scheduler --", "kube-scheduler"),
    ("repositories", "metalk8s repositories ", "metalk8s"),
    // It has the keys to every machine, which belong to root.
    ("salt-master", "metalk8s conductor ", "root"),
    ("salt-master", "metalk8s salt-api ", "metalk8s"),
];

/// Owner, group and mode of every key and configuration that a node has for Kubernetes.
const FILES: [(&str, &str); 37] = [
    ("/etc/kubernetes/admin.conf", "root root 600"),
    ("/etc/kubernetes/audit-policy.conf", "root root 644"),
    ("/etc/kubernetes/authentication.conf", "root root 644"),
    ("/etc/kubernetes/controller-manager.conf", "kube-controller-manager root 600"),
    ("/etc/kubernetes/encryption.conf", "kube-apiserver kube-apiserver 600"),
    ("/etc/kubernetes/kubelet.conf", "root root 600"),
    ("/etc/kubernetes/pki/apiserver-etcd-client.key", "kube-apiserver root 600"),
    ("/etc/kubernetes/pki/apiserver-kubelet-client.key", "kube-apiserver root 600"),
    ("/etc/kubernetes/pki/apiserver.key", "kube-apiserver root 600"),
    ("/etc/kubernetes/pki/ca.key", "root root 600"),
    ("/etc/kubernetes/pki/controller-manager.key", "kube-controller-manager root 600"),
    ("/etc/kubernetes/pki/etcd/ca.key", "root root 600"),
    ("/etc/kubernetes/pki/etcd/healthcheck-client.key", "etcd root 600"),
    ("/etc/kubernetes/pki/etcd/issuing-ca.key", "root root 600"),
    ("/etc/kubernetes/pki/etcd/peer.key", "etcd root 600"),
    ("/etc/kubernetes/pki/etcd/server.key", "etcd root 600"),
    ("/etc/kubernetes/pki/front-proxy-ca.key", "root root 600"),
    ("/etc/kubernetes/pki/front-proxy-client.key", "kube-apiserver root 600"),
    ("/etc/kubernetes/pki/front-proxy-issuing-ca.key", "root root 600"),
    ("/etc/kubernetes/pki/issuing-ca.key", "kube-controller-manager root 600"),
    ("/etc/kubernetes/pki/kubelet.key", "root root 600"),
    ("/etc/kubernetes/pki/sa.key", "kube-apiserver kube-controller-manager 640"),
    ("/etc/kubernetes/pki/scheduler.key", "kube-scheduler root 600"),
    ("/etc/kubernetes/scheduler.conf", "kube-scheduler root 600"),
    (paths::AGENT_KUBECONFIG, "root root 600"),
    ("/etc/metalk8s/crypt/apiserver.key", "root root 600"),
    (paths::PLAN_KEY, "root root 600"),
    ("/etc/metalk8s/pki/repositories/ca.key", "root root 600"),
    ("/etc/metalk8s/pki/repositories/issuing-ca.key", "root root 600"),
    ("/etc/metalk8s/pki/repositories/server.key", "metalk8s root 600"),
    (paths::CONDUCTOR_KUBECONFIG, "root root 600"),
    (paths::SALT_API_KUBECONFIG, "metalk8s root 600"),
    ("/etc/salt/pki/api/salt-api.key", "metalk8s root 600"),
    ("/var/lib/etcd", "etcd etcd 700"),
    ("/var/log/kubernetes", "kube-apiserver kube-apiserver 700"),
    ("/var/log/kubernetes/audit.log", "kube-apiserver kube-apiserver 600"),
    (paths::MANIFESTS, "root root 700"),
];

pub(super) fn run_the_static_pods(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let list = format!("basename --multiple --suffix .yaml {}/*.yaml", paths::MANIFESTS);
    let manifests = machine.run_checked(&list)?;
    let known = PODS.map(|(pod, ..)| pod).into();
    let found: BTreeSet<_> = manifests.lines().collect();
    ensure!(found == known, "the static pods are {found:?}");
    let text = machine.run_checked("ps -e -o ruid=,euid=,suid=,rgid=,supgid=,args=")?;
    let processes: Vec<_> = text.lines().filter_map(parse).collect();
    let mut problems = Vec::new();
    for (pod, begin, user) in PODS {
        let number = machine.run_checked(&format!("id --user {user}"))?.trim().to_owned();
        let mut own = processes.iter().filter(|(_, line)| line.starts_with(begin)).peekable();
        if own.peek().is_none() {
            problems.push(format!("{pod} has no process"));
        }
        for (numbers, _) in own.filter(|(numbers, _)| *numbers != [&*number].into()) {
            problems.push(format!("{pod} runs with the numbers {numbers:?}, and {user} is {number}"));
        }
    }
    ensure!(problems.is_empty(), "{}", problems.join("; "));
    Ok(())
}

pub(super) fn alone_read_their_files(stage: &Stage) -> Result<()> {
    let text = stage.lab.bootstrap()?.run_checked(&format!(
        "find /etc/kubernetes /etc/metalk8s /etc/salt -type f \\( -name '*.key' -o -name '*.conf' \\) -printf '%p %u %g %m\\n'; \
         stat --format '%n %U %G %a' /var/lib/etcd /var/log/kubernetes /var/log/kubernetes/audit.log {}",
        paths::MANIFESTS
    ))?;
    let found: BTreeMap<_, _> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let expected = BTreeMap::from(FILES);
    let paths: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    let problems: Vec<_> = paths
        .into_iter()
        .filter(|path| found.get(*path) != expected.get(*path))
        .map(|path| match (found.get(path), expected.get(path)) {
            (Some(found), Some(expected)) => format!("{path} is `{found}`, not `{expected}`"),
            (Some(found), None) => format!("{path} is `{found}` and not expected at all"),
            (None, _) => format!("{path} is missing"),
        })
        .collect();
    ensure!(problems.is_empty(), "{}", problems.join("; "));
    Ok(())
}

/// All numbers of user and groups of a line of `ps`, and the command.
fn parse(line: &str) -> Option<(BTreeSet<&str>, &str)> {
    let mut rest = line.trim_start();
    let mut numbers = BTreeSet::new();
    for _ in 0..5 {
        let (word, others) = rest.split_once(' ')?;
        // Without supplementary groups there is a dash.
        numbers.extend(word.split(',').filter(|number| *number != "-"));
        rest = others.trim_start();
    }
    Some((numbers, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_numbers_and_command() {
        for (line, expected) in [
            (
                "60604 60604 60604 60604 60604 kube-apiserver --a=b c",
                (["60604"].into(), "kube-apiserver --a=b c"),
            ),
            ("    0     0     0     0 -      /sbin/init", (["0"].into(), "/sbin/init")),
            ("    1     2     3     4 0,27   x --y", (["0", "1", "2", "27", "3", "4"].into(), "x --y")),
        ] {
            assert_eq!(parse(line), Some(expected), "{line}");
        }
        assert_eq!(parse("1 2"), None);
    }
}
