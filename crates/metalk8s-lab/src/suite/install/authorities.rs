//! Roots without their keys, and what signs in their place.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    SOON,
    machine::Machine,
    suite::{
        Stage,
        cluster::{kubectl, said},
    },
    wait_until,
};

const USER: &str = "suite-user";
const FOLDER: &str = "/root/suite-safe";
const PASSWORD: &str = "/root/suite-password";

pub(super) fn sign_without_the_roots(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let told = renewals_ended(machine)?;
    let result = protected(machine).and_then(|()| renewed(machine));
    // What was taken away comes back in any case: the checks that follow begin with it.
    let back = machine.run(&format!(
        "if [ -d {FOLDER} ]; then metalk8s authority unprotect --from {FOLDER} --password-file {PASSWORD}; fi; \
         rm -rf {FOLDER} {PASSWORD} /root/{USER}-*; kubectl delete csr {USER} --ignore-not-found"
    ))?;
    result?;
    ensure!(back.success(), "the keys did not come back: {}", said(&back));
    ensure!(places(machine)? == ["open"; 4], "the keys are not open again");
    // It leaves files behind, which checks that compare them must not meet.
    wait_until("the conductor to have masters learn the new authority", SOON, || {
        match renewals_ended(machine) {
            Ok(ended) if ended > told => Ok(()),
            Ok(ended) => Err(format!("{ended} jobs have ended")),
            Err(error) => Err(format!("{error:#}")),
        }
    })
    .map_err(Into::into)
}

/// How many jobs that renew certificates the machine's agent has ended.
fn renewals_ended(machine: &Machine) -> Result<usize> {
    let jobs = "/var/lib/metalk8s/agent/jobs";
    let ended = machine.run_checked(&format!(
        "for job in {jobs}/*; do if grep --quiet --fixed-strings metalk8s.certificates.renewed $job/job.json && \
         [ -e $job/outcome.json ]; then echo $job; fi; done"
    ))?;
    Ok(ended.lines().count())
}

/// Where the keys of the roots are.
fn places(machine: &Machine) -> Result<Vec<String>> {
    let text = machine.run_checked("metalk8s authority list --format json")?;
    let realms: Value = serde_json::from_str(&text).context("no JSON")?;
    let place = |realm: &Value| realm["root_key"].as_str().map(str::to_owned).context("no place");
    realms.as_array().context("no realms")?.iter().map(place).collect()
}

/// The keys leave the machine, which goes on signing.
fn protected(machine: &Machine) -> Result<()> {
    machine.write(PASSWORD, b"correct horse\n", 0o600)?;
    machine.run_checked(&format!("metalk8s authority protect --to {FOLDER} --password-file {PASSWORD}"))?;
    ensure!(places(machine)? == ["away"; 4], "keys of roots were left");
    let left = machine.run("ls /etc/kubernetes/pki/ca.key /etc/kubernetes/pki/etcd/ca.key")?;
    ensure!(left.stdout.is_empty(), "{}", left.stdout);
    machine.run_checked("rm /etc/kubernetes/pki/front-proxy-client.crt")?;
    machine.run_checked("salt-call --retcode-passthrough state.apply metalk8s.certificates.renewed")?;
    machine.run_checked("test -s /etc/kubernetes/pki/front-proxy-client.crt")?;
    Ok(())
}

/// New issuing authorities are made with the keys, and clients of old and new ones are known, with no chain.
fn renewed(machine: &Machine) -> Result<()> {
    let issuing = || machine.run_checked("sha256sum < /etc/kubernetes/pki/issuing-ca.crt");
    let before = issuing()?;
    is_let_in(machine, "before")?;
    machine
        .run_checked(&format!("metalk8s authority renew --all --from {FOLDER} --password-file {PASSWORD}"))?;
    ensure!(issuing()? != before, "the authority is the same");
    who_am_i(machine, "before")?;
    wait_until("a certificate of the new authority", SOON, || {
        is_let_in(machine, "after").map_err(|error| format!("{error:#}"))?;
        match is_signed_by_issuing(machine, "after") {
            Ok(true) => Ok(()),
            Ok(false) => Err("the former one signs".to_owned()),
            Err(error) => Err(format!("{error:#}")),
        }
    })?;
    who_am_i(machine, "before")
}

/// kube-controller-manager signs for a client, which shows its certificate alone.
fn is_let_in(machine: &Machine, name: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let made = Command::new("openssl")
        .args(["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-subj", &format!("/CN={USER}"), "-keyout", "key", "-out", "csr"])
        .current_dir(folder.path())
        .output()
        .context("openssl")?;
    ensure!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
    let request = std::fs::read(folder.path().join("csr"))?;
    machine.write(&format!("/root/{USER}-{name}.csr"), &request, 0o600)?;
    machine.write(&format!("/root/{USER}-{name}.key"), &std::fs::read(folder.path().join("key"))?, 0o600)?;
    machine.run_checked(&format!(
        "kubectl delete csr {USER} --ignore-not-found && kubectl create --filename - <<END\n\
         apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {{name: {USER}}}\n\
         spec:\n  request: $(base64 --wrap 0 /root/{USER}-{name}.csr)\n\
         \x20 signerName: kubernetes.io/kube-apiserver-client\n  usages: [client auth]\nEND\n\
         kubectl certificate approve {USER}"
    ))?;
    wait_until("the signature", SOON, || {
        let wish = format!("get csr {USER} --output jsonpath={{.status.certificate}}");
        match kubectl(machine, &wish) {
            Ok(text) if !text.is_empty() => Ok(()),
            Ok(_) => Err("not yet".to_owned()),
            Err(error) => Err(format!("{error:#}")),
        }
    })?;
    machine.run_checked(&format!(
        "kubectl get csr {USER} --output jsonpath={{.status.certificate}} | base64 --decode \
         > /root/{USER}-{name}.crt && test $(grep --count BEGIN /root/{USER}-{name}.crt) = 1"
    ))?;
    who_am_i(machine, name)
}

/// Whether the issuing authority of now has signed it.
fn is_signed_by_issuing(machine: &Machine, name: &str) -> Result<bool> {
    let folder = tempfile::tempdir()?;
    let paths =
        [("issuing", "/etc/kubernetes/pki/issuing-ca.crt"), ("leaf", &format!("/root/{USER}-{name}.crt"))];
    for (file, path) in paths {
        std::fs::write(folder.path().join(file), machine.run_checked(&format!("cat {path}"))?)?;
    }
    let verified = Command::new("openssl")
        .args(["verify", "-partial_chain", "-trusted", "issuing", "leaf"])
        .current_dir(folder.path())
        .output()
        .context("openssl")?;
    Ok(verified.status.success())
}

fn who_am_i(machine: &Machine, name: &str) -> Result<()> {
    let file = format!("/root/{USER}-{name}");
    let user = machine.run_checked(&format!(
        "kubectl --kubeconfig /dev/null --server https://127.0.0.1:7443 \
         --certificate-authority /etc/kubernetes/pki/ca.crt --client-certificate {file}.crt --client-key {file}.key \
         auth whoami --output jsonpath={{.status.userInfo.username}}"
    ))?;
    ensure!(user == USER, "the API server knows it as `{user}`");
    Ok(())
}
