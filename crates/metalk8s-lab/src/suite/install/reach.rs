//! Who reaches the cluster.

use std::{fs, net::Ipv4Addr, os::unix::fs::PermissionsExt, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};

use crate::{machine::Machine, process, suite::Stage};

pub(super) fn kubectl_of_root(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let nodes = machine.run_checked("kubectl --request-timeout 20s get nodes --output name")?;
    ensure!(nodes == format!("node/{}", machine.name), "the nodes are {nodes}");
    Ok(())
}

/// With the program of the archive: this computer need not have one.
pub(super) fn kubectl_of_this_computer(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let folder = tempfile::tempdir()?;
    let (program, config) = (folder.path().join("kubectl"), folder.path().join("lab.conf"));
    machine.copy_from("/usr/bin/kubectl", &program)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    crate::install::write_private(&config, &crate::install::kubeconfig(&stage.lab)?)?;
    let mut command = Command::new(&program);
    command.arg("--kubeconfig").arg(&config).args(["--request-timeout=20s", "get", "nodes", "--output=name"]);
    command.env("HOME", folder.path());
    let output = process::capture(&mut command, None, Duration::from_secs(60))?;
    ensure!(output.success(), "it ended with {}: {}", output.code, output.stderr);
    ensure!(output.stdout.trim() == format!("node/{}", machine.name), "the nodes are {}", output.stdout);
    Ok(())
}

/// Every port that answers requests; what only health is asked of is not one of them.
pub(super) fn nobody_is_refused(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let address = machine.control;
    for path in ["healthz", "livez", "readyz"] {
        let code = status(machine, address, 6443, path)?;
        ensure!(code == "200", "/{path} of the API answers {code}");
    }
    for (port, paths) in [
        (
            6443,
            &["", "api", "apis", "version", "metrics", "openapi/v2", "api/v1/namespaces/kube-system/secrets"]
                [..],
        ),
        (10250, &["pods", "metrics", "runningpods/", "logs/"]),
        (10257, &["metrics", "configz"]),
        (10259, &["metrics", "configz"]),
    ] {
        for path in paths {
            let code = status(machine, address, port, path)?;
            ensure!(["401", "403"].contains(&code.as_str()), "/{path} on port {port} answers {code}");
        }
    }
    // etcd speaks only to those with a certificate: 56 is a connection it has closed.
    for port in [2379, 2380] {
        let output = machine.run(&format!("curl --silent --insecure https://{address}:{port}/version"))?;
        ensure!(!output.success() && output.code != 7, "etcd's port {port} answers: {}", said(&output));
    }
    Ok(())
}

fn status(machine: &Machine, address: Ipv4Addr, port: u16, path: &str) -> Result<String> {
    machine
        .run_checked(&format!(
            "curl --silent --insecure --max-time 20 --output /dev/null --write-out '%{{http_code}}' https://{address}:{port}/{path}"
        ))
        .with_context(|| format!("no answer to /{path} on port {port}"))
}

fn said(output: &process::Output) -> String {
    format!("{} {}{}", output.code, output.stdout, output.stderr)
}
