//! A machine before it became a node, and after it was one.

use anyhow::{Result, ensure};

use super::{Stage, deploy, node_machine, remove, said, wait_until};
use crate::{SOON, machine::Machine};

/// All that a node brings along is in these: what is there before must be there after, and nothing else. Of everything
/// the kind, the mode, the owner and where a link leads; of files with settings and programs the SHA-256, too.
///
/// Left out is what changes by itself:
/// - the journals of the package manager, and what any installation of any package makes anew from what is there
///   (`*.cache`);
/// - the journal of systemd, and when it has run its timers, has seen the time, or has kept randomness;
/// - the contents of `passwd-` and the like: what useradd(8) keeps of the moment before its last change;
/// - parameters of the kernel that keep their values until the next boot, as the manual says: ours, what the kernel
///   derives from them, and a key that it makes when it needs one. Other parameters than those of IP belong to the
///   whole computer, on which other labs are at work.
const LOOK: &str = r#"{
find /etc /home /opt /root /usr /var -xdev ! -path '/usr/share/*' \
    ! -path '/var/log/journal*' ! -path '/var/log/apt*' ! -path '/var/log/dpkg.log' ! -path '/var/log/alternatives.log' \
    ! -path '/var/lib/dpkg/*' ! -path '/var/cache/*' ! -path '/var/lib/apt/*' ! -path '/var/tmp/*' \
    ! -path '/var/lib/systemd/timers*' ! -path '/var/lib/systemd/timesync*' ! -path '/var/lib/systemd/random-seed' \
    ! -path '/usr/lib/modules' ! -path '/etc/*.cache' ! -path '/root/before' ! -path '/root/after' \
    -printf '%p %y %m %U:%G %l\n'
find /etc /opt /usr/local /usr/lib/{modprobe.d,modules-load.d,sysctl.d,systemd,sysusers.d,tmpfiles.d} -xdev -type f \
    ! -path '/etc/*.cache' ! -path '/etc/passwd-' ! -path '/etc/group-' ! -path '/etc/shadow-' ! -path '/etc/gshadow-' \
    ! -path '/etc/subuid-' ! -path '/etc/subgid-' -print0 | xargs --null --no-run-if-empty sha256sum
sysctl --all 2> /dev/null | grep --extended-regexp '^net[.]ipv[46][.]' | grep --invert-match --extended-regexp \
    '^net[.]ipv4[.](ip_forward|tcp_retries2|tcp_fastopen_key|conf[.].*[.](forwarding|accept_redirects)) =' | sed 's/^/sysctl /'
find /var/cache/apt/archives -name '*.deb'
dpkg-query --show --showformat='package ${Package} ${db:Status-Abbrev}\n'
apt-mark showhold | sed 's/^/held /'
systemctl list-unit-files --no-legend | awk '{print "unit", $1, $2}'
ls /sys/class/net | sed 's/^/interface /'
ip route | sed 's/^/route /'
awk '$2 !~ /binfmt_misc/ {print "mount", $2}' /proc/mounts
nft list tables 2> /dev/null | grep -v ' metalk8s-lab$' | while read -r _ family name; do
    nft list table "$family" "$name" | grep -v counter | sed 's/^/rule /'
done
getent passwd; getent group
cat /etc/fstab
} | sort"#;

pub(super) fn bare_and_deployed(stage: &Stage) -> Result<()> {
    remember(node_machine(stage)?)?;
    notices(node_machine(stage)?)?;
    deploy(stage)?;
    let new = new(node_machine(stage)?)?;
    ensure!(new.lines().count() > 100, "a node leaves no trace, so nothing is proven: {new}");
    Ok(())
}

/// Otherwise nothing would be proven by a look that finds nothing.
fn notices(machine: &Machine) -> Result<()> {
    let retries = "net.ipv4.tcp_syn_retries";
    let set =
        |change: &str| format!("sysctl --quiet --write {retries}=$(($(sysctl --values {retries}) {change}))");
    machine.run_checked(&format!(
        "set -e; chmod 600 /etc/issue; chown daemon /etc/issue; echo >> /etc/issue.net; mkdir /home/somebody; {}",
        set("- 1")
    ))?;
    let found = new(machine)?;
    machine.run_checked(&format!(
        "set -e; chmod 644 /etc/issue; chown root /etc/issue; sed --in-place '$d' /etc/issue.net; rmdir /home/somebody; {}",
        set("+ 1")
    ))?;
    let parameter = format!("> sysctl {retries} = ");
    for told in ["> /etc/issue f 600 1:0", "  /etc/issue.net", "> /home/somebody d", parameter.as_str()] {
        ensure!(found.contains(told), "`{told}` is not noticed: {found}");
    }
    let left = new(machine)?;
    ensure!(left.is_empty(), "it is not as before: {left}");
    Ok(())
}

pub(super) fn member_stays(stage: &Stage) -> Result<()> {
    let machine = node_machine(stage)?;
    let output = machine.run("metalk8s reset --yes")?;
    ensure!(output.code == 2 && output.stderr.contains("cluster that answers"), "{}", said(&output));
    let told =
        ["/etc/kubernetes", "kubelet.service", "vxlan.calico", "packet filter", "purge calico-cni-plugin"];
    // Calico makes its interface some time after the node is Ready.
    wait_until("all to be in the plan", SOON, || {
        let output = machine.run("metalk8s reset --plan --force").map_err(|error| error.to_string())?;
        let missing: Vec<_> = told.into_iter().filter(|word| !output.stdout.contains(word)).collect();
        match output.success() && missing.is_empty() {
            true => Ok(()),
            false => Err(format!("{missing:?} are not in it: {}", said(&output))),
        }
    })?;
    machine.run_checked("systemctl is-active kubelet containerd metalk8s-agent").map(drop)?;
    Ok(())
}

pub(super) fn none(stage: &Stage) -> Result<()> {
    is_as_before(node_machine(stage)?)
}

/// Keeps how a machine is, for [`is_as_before`].
pub(in crate::suite) fn remember(machine: &Machine) -> Result<()> {
    machine.run_checked(&format!("{LOOK} > /root/before")).map(drop)?;
    Ok(())
}

/// The last of a removal goes after the agent has told of the rest.
pub(in crate::suite) fn is_as_before(machine: &Machine) -> Result<()> {
    wait_until("the machine to be as before", SOON, || {
        let new = new(machine).map_err(|error| error.to_string())?;
        if new.is_empty() { Ok(()) } else { Err(new) }
    })?;
    Ok(())
}

/// The last of a removal happens after it has ended.
pub(super) fn removed_and_deployed_at_once(stage: &Stage) -> Result<()> {
    let output = remove(stage, "")?;
    ensure!(output.success(), "{}", said(&output));
    deploy(stage)?;
    let machine = node_machine(stage)?;
    wait_until("the removal to have ended", SOON, || {
        let output = machine.run("systemctl is-active metalk8s-reset.timer metalk8s-reset.service");
        match output.map_err(|error| error.to_string())?.success() {
            true => Err("its unit is still there".to_owned()),
            false => Ok(()),
        }
    })?;
    machine.run_checked("systemctl is-active kubelet containerd metalk8s-agent").map(drop)?;
    Ok(())
}

/// What is other than before, as diff(1) tells it.
fn new(machine: &Machine) -> Result<String> {
    let command = format!("{LOOK} > /root/after; diff /root/before /root/after | grep '^[<>]' || true");
    Ok(machine.run_checked(&command)?)
}
