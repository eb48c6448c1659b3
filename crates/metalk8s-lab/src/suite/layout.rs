//! Six machines whose roles are spread as in a large cluster (TST-06), and spread otherwise afterwards.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use metalk8s_diagnostics::Printer;
use metalk8s_types::{Role, labels};
use serde_json::Value;

use super::{
    Check, Options, Stage, Suite, Tally,
    cluster::{SETTLE, kubectl, kubectl_json, said, wait_for_pods},
    expand::{apply, deploy_node, in_master, node_manifest},
    install::pod,
    listening, run_checks,
};
use crate::{Lab, Machine, wait_until};

/// Run by `metalk8s-lab suite layout`.
pub const SUITE: Suite = Suite {
    name: "layout",
    about: "six machines with the roles of a large cluster each run what is theirs, and work together",
    run,
};

/// What a node shall be: its Node manifest has roles and taints as the manual prints them for each combination.
#[derive(Debug, Clone, Copy)]
struct Wish {
    name: &'static str,
    roles: &'static [Role],
    taints: &'static [Role],
}

const BOOTSTRAP: Wish = Wish {
    name: "bootstrap",
    roles: &[Role::Bootstrap, Role::Etcd, Role::Infra, Role::Master],
    taints: &[Role::Bootstrap, Role::Infra],
};
/// Each machine but the Bootstrap node, in the order in which they join.
const LAYOUT: [Wish; 5] = [
    Wish { name: "node1", roles: &[Role::Etcd, Role::Master], taints: &[Role::Master, Role::Etcd] },
    Wish { name: "node2", roles: &[Role::Etcd, Role::Master, Role::Node], taints: &[] },
    Wish { name: "node3", roles: &[Role::Node, Role::Infra], taints: &[] },
    Wish { name: "node4", roles: &[Role::Node], taints: &[] },
    Wish { name: "node5", roles: &[Role::Infra], taints: &[Role::Infra] },
];
/// How many of them are masters, and join one after the other; the others come together.
const MASTERS: usize = 2;
/// What becomes of some of them: a master stays a member of etcd alone, and a worker becomes a master without one.
const OTHERWISE: [Wish; 2] = [
    Wish { name: "node1", roles: &[Role::Etcd], taints: &[Role::Etcd] },
    Wish { name: "node4", roles: &[Role::Master], taints: &[Role::Master] },
];
/// What only a master has.
const OF_A_MASTER: &str = "/etc/kubernetes/admin.conf /etc/kubernetes/manifests/kube-*.yaml \
                           /etc/kubernetes/pki/apiserver.key /etc/kubernetes/pki/sa.key";
/// How long machines that come together may take.
const TOGETHER: Duration = Duration::from_secs(900);

/// Who is entered by a user that needs sudo, on another port. It is one of those that come together.
const BY_SUDO: &str = "node3";
const USER: &str = "deployer";
const PORT: u16 = 2222;
/// Where its SSH server is told so.
const SSHD: &str = "/etc/ssh/sshd_config.d/suite.conf";

/// Pods as people make them, as many on each node as on any other on which they may be. They run an image that every
/// node has.
const APPLICATIONS: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: applications}
spec:
  replicas: 6
  selector: {matchLabels: {app: applications}}
  template:
    metadata: {labels: {app: applications}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
      - maxSkew: 1
        topologyKey: kubernetes.io/hostname
        whenUnsatisfiable: DoNotSchedule
        nodeTaintsPolicy: Honor
        labelSelector: {matchLabels: {app: applications}}
      containers:
      - {name: application, image: 'IMAGE'}
";

/// Static pods, and the role that brings each.
const STATIC_PODS: [(&str, Option<Role>); 7] = [
    ("apiserver-proxy", None),
    ("etcd", Some(Role::Etcd)),
    ("kube-apiserver", Some(Role::Master)),
    ("kube-controller-manager", Some(Role::Master)),
    ("kube-scheduler", Some(Role::Master)),
    ("repositories", Some(Role::Bootstrap)),
    ("salt-master", Some(Role::Bootstrap)),
];

const CHECKS: &[Check] = &[
    Check { name: "masters join one after the other, and all other machines at once", run: join },
    Check {
        name: "one of them was entered by a user who needs sudo, on a port of its own, and by nobody else",
        run: was_entered_by_sudo,
    },
    Check {
        name: "each node has its roles and taints, and runs the static pods of its roles alone",
        run: |stage| run_their_own(stage, &nodes()),
    },
    Check {
        name: "applications run where no taint keeps them away, and nowhere else",
        run: keep_applications_away,
    },
    Check {
        name: "exactly the documented processes listen on each machine, where they should",
        run: |stage| listen(stage, &nodes()),
    },
    Check { name: "pods on every machine reach names and Services", run: reaches },
    Check { name: "deploying each of them again changes nothing", run: again },
    Check { name: "`salt '*' test.ping` is answered by all", run: answers },
    Check { name: "a master becomes a node for etcd alone, and a worker a master without etcd", run: change },
    Check {
        name: "each node has its new roles and taints, and runs the static pods of its roles alone",
        run: |stage| run_their_own(stage, &otherwise()),
    },
    Check {
        name: "exactly the documented processes listen on each machine with its new roles",
        run: |stage| listen(stage, &otherwise()),
    },
    Check {
        name: "the API answers on each master, and etcd has its members where they shall be",
        run: serve,
    },
    Check { name: "pods on every machine still reach names and Services", run: reaches },
    Check { name: "deploying each of them again with its new roles changes nothing", run: again },
    Check { name: "nothing has tried to leave the lab", run: super::install::nothing_leaves },
];

fn run(options: &Options, printer: &mut Printer) -> Result<Tally> {
    let lab = super::bootstrapped(options, SUITE.name, 6)?;
    Ok(run_checks(CHECKS, &Stage::new(Lab::clone(&lab), options.archive.clone(), options), printer))
}

/// Every node, the Bootstrap node first.
fn nodes() -> Vec<Wish> {
    [BOOTSTRAP].into_iter().chain(LAYOUT).collect()
}

/// Every node after some were given other roles.
fn otherwise() -> Vec<Wish> {
    let now = |node: Wish| OTHERWISE.into_iter().find(|wish| wish.name == node.name).unwrap_or(node);
    nodes().into_iter().map(now).collect()
}

impl Wish {
    fn apply(self, stage: &Stage) -> Result<()> {
        let host = stage.machine(self.name)?.control.to_string();
        apply(stage, &self.manifest(&node_manifest(stage, self.name, &host, self.roles)?)).map(drop)
    }

    /// The manual's manifest for its roles, with its taints and who enters it. Pure.
    fn manifest(self, without: &str) -> String {
        let mut manifest = without.to_owned();
        if self.name == BY_SUDO {
            let as_root = format!("{}: 'false'\n", labels::SSH_SUDO);
            let by_sudo = format!(
                "{}: 'true'\n    {}: {USER}\n    {}: '{PORT}'\n",
                labels::SSH_SUDO,
                labels::SSH_USER,
                labels::SSH_PORT
            );
            manifest = manifest.replace(&as_root, &by_sudo);
        }
        // Also where there are none: those of another manifest go.
        let taints: String = self
            .taints
            .iter()
            .map(|role| format!("\n  - effect: NoSchedule\n    key: {}", role.key()))
            .collect();
        let taints = if taints.is_empty() { " []".to_owned() } else { taints };
        manifest + &format!("spec:\n  taints:{taints}\n")
    }
}

fn join(stage: &Stage) -> Result<()> {
    let_in_by_sudo(stage.machine(BY_SUDO)?)?;
    LAYOUT.into_iter().try_for_each(|node| node.apply(stage))?;
    let (masters, others) = LAYOUT.split_at(MASTERS);
    for master in masters {
        let output = deploy_node(stage, master.name)?;
        ensure!(output.success(), "{}", said(&output));
    }
    let names: Vec<&str> = others.iter().map(|node| node.name).collect();
    let began = Instant::now();
    let deploy = format!("metalk8s node deploy --no-progress {}", names.join(" "));
    let output = stage.lab.bootstrap()?.run_for(&deploy, TOGETHER)?;
    ensure!(output.success(), "{}", said(&output));
    stage.note(format!("{} at once in {:.1} s", names.len(), began.elapsed().as_secs_f64()));
    wait_for_pods(stage.lab.bootstrap()?)
}

/// The user may do everything after `sudo`; root is not let in, and nobody on the usual port.
fn let_in_by_sudo(machine: &Machine) -> Result<()> {
    machine.run_checked(&format!(
        "set -e; useradd --create-home --shell /bin/sh {USER}; home=/home/{USER}/.ssh; \
         install --directory --mode 700 --owner {USER} --group {USER} $home; \
         install --mode 600 --owner {USER} --group {USER} /root/.ssh/authorized_keys $home/authorized_keys"
    ))?;
    let rule = format!("{USER} ALL=(ALL) NOPASSWD: ALL\n");
    machine.write(&format!("/etc/sudoers.d/{USER}"), rule.as_bytes(), 0o440)?;
    machine.write(SSHD, format!("Port {PORT}\nPermitRootLogin no\n").as_bytes(), 0o644)?;
    machine.run_checked("systemctl restart ssh")?;
    let listening = machine.run_checked("ss --no-header --listening --tcp --numeric 'sport = :22'")?;
    ensure!(listening.is_empty(), "somebody listens on port 22: {listening}");
    Ok(())
}

fn was_entered_by_sudo(stage: &Stage) -> Result<()> {
    let machine = stage.machine(BY_SUDO)?;
    let output = in_master(stage, &format!("salt-ssh --roster kubernetes {BY_SUDO} test.ping"))?;
    ensure!(output.success() && output.stdout == format!("{BY_SUDO}:\n    True\n"), "{}", said(&output));
    let log = machine.run_checked("journalctl --boot --identifier sshd --output cat --no-pager")?;
    let by = |user: &str| log.contains(&format!("Accepted publickey for {user} from"));
    ensure!(by(USER) && !by("root"), "the SSH server says: {log}");
    // From here on it is looked at like the others.
    machine.run_checked(&format!("rm {SSHD} && systemctl restart ssh"))?;
    Ok(())
}

fn run_their_own(stage: &Stage, nodes: &[Wish]) -> Result<()> {
    for node in nodes {
        // The kubelet tells the API of its static pods in its own time.
        wait_until("each to run what is its own", Duration::from_secs(120), || {
            runs_its_own(stage, node).map_err(|error| format!("{error:#}"))
        })?;
    }
    Ok(())
}

fn runs_its_own(stage: &Stage, wish: &Wish) -> Result<()> {
    let (bootstrap, name) = (stage.lab.bootstrap()?, wish.name);
    let node = kubectl_json(bootstrap, &format!("get node {name}"))?;
    let labels = node["metadata"]["labels"].as_object().context("it has no labels")?;
    for role in Role::ALL {
        let (has, shall) = (labels.contains_key(&role.key()), wish.roles.contains(&role));
        ensure!(has == shall, "`{name}` has the role {}: {has}", role.name());
    }
    let taints = items(&node["spec"]["taints"]);
    let taint = |taint: &Value| format!("{}:{}", text(&taint["key"]), text(&taint["effect"]));
    let found: BTreeSet<String> = taints.iter().map(taint).collect();
    let expected: BTreeSet<String> =
        wish.taints.iter().map(|role| format!("{}:NoSchedule", role.key())).collect();
    ensure!(found == expected, "`{name}` has the taints {found:?}, and should have {expected:?}");

    let pods =
        kubectl_json(bootstrap, &format!("get pods -n kube-system --field-selector spec.nodeName={name}"))?;
    let is_mirror = |pod: &&Value| pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_string();
    let mirrors = items(&pods["items"]).iter().filter(is_mirror);
    let found: BTreeSet<String> = mirrors.map(|pod| text(&pod["metadata"]["name"]).to_owned()).collect();
    let own = |(_, role): &&(&str, Option<Role>)| role.is_none_or(|role| wish.roles.contains(&role));
    let expected: BTreeSet<String> =
        STATIC_PODS.iter().filter(own).map(|(pod, _)| format!("{pod}-{name}")).collect();
    ensure!(found == expected, "`{name}` runs {found:?}, and should run {expected:?}");
    Ok(())
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn keep_applications_away(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    let pause = bootstrap.run_checked("grep sandbox /etc/containerd/config.toml")?;
    let pause = pause.split('"').nth(1).context("the image of the pause container is not configured")?;
    bootstrap.write("/root/applications.yaml", APPLICATIONS.replace("IMAGE", pause).as_bytes(), 0o644)?;
    kubectl(bootstrap, "apply -f /root/applications.yaml")?;
    let all = wait_until("all applications to run", SETTLE, || {
        let found =
            kubectl_json(bootstrap, "get deployment applications").map_err(|error| error.to_string())?;
        if found["status"]["availableReplicas"] == 6 { Ok(()) } else { Err(found["status"].to_string()) }
    });
    let pods = kubectl_json(bootstrap, "get pods --selector app=applications")?;
    kubectl(bootstrap, "delete -f /root/applications.yaml")?;
    all?;
    let found: BTreeSet<&str> =
        items(&pods["items"]).iter().map(|pod| text(&pod["spec"]["nodeName"])).collect();
    let open = nodes().into_iter().filter(|node| node.taints.is_empty()).map(|node| node.name);
    let open: BTreeSet<&str> = open.collect();
    ensure!(found == open, "they run on {found:?}, and should on {open:?}");
    Ok(())
}

fn listen(stage: &Stage, nodes: &[Wish]) -> Result<()> {
    nodes.iter().try_for_each(|node| listening::as_documented(stage.machine(node.name)?, node.roles))
}

fn reaches(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    nodes().iter().try_for_each(|node| pod::resolves_and_connects_on(bootstrap, Some(node.name)))
}

fn again(stage: &Stage) -> Result<()> {
    for node in LAYOUT {
        let began = Instant::now();
        let output = deploy_node(stage, node.name)?;
        ensure!(output.success(), "{}", said(&output));
        let name = node.name;
        ensure!(!output.stdout.contains("changed="), "something changed on `{name}`: {}", said(&output));
        stage.note(format!("{name} {:.1} s", began.elapsed().as_secs_f64()));
    }
    Ok(())
}

fn answers(stage: &Stage) -> Result<()> {
    wait_until("all agents", Duration::from_secs(60), || {
        let output =
            in_master(stage, "salt '*' test.ping --out json --static").map_err(|error| error.to_string())?;
        let said: Value = serde_json::from_str(&output.stdout).map_err(|_| said(&output))?;
        match nodes().iter().all(|node| said[node.name] == true) {
            true => Ok(()),
            false => Err(said.to_string()),
        }
    })?;
    Ok(())
}

fn change(stage: &Stage) -> Result<()> {
    for node in OTHERWISE {
        node.apply(stage)?;
        let began = Instant::now();
        let output = deploy_node(stage, node.name)?;
        ensure!(output.success(), "{}", said(&output));
        stage.note(format!("{} {:.1} s", node.name, began.elapsed().as_secs_f64()));
    }
    wait_for_pods(stage.lab.bootstrap()?)
}

/// Also what a master had is gone where there is none any more.
fn serve(stage: &Stage) -> Result<()> {
    let nodes = otherwise();
    for node in &nodes {
        let machine = stage.machine(node.name)?;
        let address = machine.control;
        if node.roles.contains(&Role::Master) {
            kubectl(machine, &format!("--server https://{address}:6443 get --raw /readyz"))?;
        } else {
            let left = machine.run_checked(&format!("ls --directory {OF_A_MASTER} 2> /dev/null || true"))?;
            ensure!(left.is_empty(), "`{}` has what a master has: {left}", node.name);
        }
    }
    let pki = "/etc/kubernetes/pki/etcd";
    let expected: BTreeSet<&str> =
        nodes.iter().filter(|node| node.roles.contains(&Role::Etcd)).map(|node| node.name).collect();
    for name in &expected {
        let list = stage.machine(name)?.run_checked(&format!(
            "timeout 20 crictl exec \"$(crictl ps --quiet --name '^etcd$' | head -n 1)\" etcdctl \
             --endpoints https://127.0.0.1:2379 --cacert {pki}/ca.crt --cert {pki}/healthcheck-client.crt \
             --key {pki}/healthcheck-client.key member list"
        ))?;
        // Id, state, name and more, with commas between.
        let found: BTreeSet<&str> = list.lines().filter_map(|line| line.split(", ").nth(2)).collect();
        ensure!(found == expected, "`{name}` knows the members {found:?}, and not {expected:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_has_taints_of_the_manual_and_who_enters_the_machine() {
        let without = "metadata:\n  annotations:\n    metalk8s.scality.com/ssh-sudo: 'false'\n  labels:\n";
        let [node1, _, node3, ..] = LAYOUT;
        let manifest = node1.manifest(without);
        let taints = "spec:\n  taints:\n  - effect: NoSchedule\n    key: node-role.kubernetes.io/master\n  \
                      - effect: NoSchedule\n    key: node-role.kubernetes.io/etcd\n";
        assert_eq!(manifest, format!("{without}{taints}"));
        let manifest = node3.manifest(without);
        assert!(manifest.ends_with("  labels:\nspec:\n  taints: []\n"), "{manifest}");
        for line in ["ssh-sudo: 'true'", "ssh-user: deployer", "ssh-port: '2222'"] {
            assert!(manifest.contains(&format!("    metalk8s.scality.com/{line}\n")), "{manifest}");
        }
        assert!(!manifest.contains("'false'"), "{manifest}");
    }

    #[test]
    fn afterwards_etcd_has_as_many_members_as_before() {
        let members = |nodes: &[Wish]| nodes.iter().filter(|node| node.roles.contains(&Role::Etcd)).count();
        assert_eq!(members(&nodes()), 3);
        assert_eq!(members(&otherwise()), 3);
        let names = |nodes: Vec<Wish>| nodes.iter().map(|node| node.name).collect::<Vec<_>>();
        assert_eq!(names(nodes()), names(otherwise()));
    }
}
