//! What all masters learn when authorities or names of API servers change.

use anyhow::Result;

use super::{Stage, machines, said, wait_until};
use crate::{SOON, suite::Check};

/// Checked with the load of a client.
pub(super) const CHECK: Check = Check {
    name: "every master knows clients of a new issuing authority, and goes by a further name",
    run: masters_learn,
};

const NAME: &str = "api.suite.example";

fn masters_learn(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    bootstrap.run_checked("metalk8s authority renew --all")?;
    bootstrap.run_checked(&format!(
        "printf 'kubernetes:\\n  apiServer:\\n    certSANs: [{NAME}]\\n' >> /etc/metalk8s/bootstrap.yaml"
    ))?;
    let authorities = bootstrap.run_checked("cat /etc/kubernetes/pki/client-ca.crt")?;
    for machine in machines(stage)? {
        wait_until(&format!("`{}` to know both", machine.name), SOON, || {
            let text = |error: crate::machine::MachineError| error.to_string();
            if machine.run_checked("cat /etc/kubernetes/pki/client-ca.crt").map_err(text)? != authorities {
                return Err("it does not know the new authority".to_owned());
            }
            let asked = machine
                .run(&format!(
                    "kubectl --kubeconfig /etc/kubernetes/admin.conf --tls-server-name {NAME} get --raw /readyz"
                ))
                .map_err(text)?;
            if asked.success() { Ok(()) } else { Err(said(&asked)) }
        })?;
    }
    Ok(())
}
