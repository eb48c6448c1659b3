//! A Service that is reached from outside.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{
    machine::Machine,
    suite::{Stage, cluster::kubectl},
    wait_until,
};

/// The figures of CoreDNS, which are there in every cluster.
const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata:
  name: suite-node-port
  namespace: kube-system
spec:
  type: NodePort
  selector:
    k8s-app: kube-dns
  ports:
  - port: 9153
    nodePort: 30153
";

/// Applications are reached on the workload plane, and not on the control plane.
pub(super) fn is_on_the_workload_plane(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    ensure!(machine.control != machine.workload, "the lab has one plane only");
    machine.write("/root/service.yaml", SERVICE.as_bytes(), 0o644)?;
    kubectl(machine, "apply -f /root/service.yaml")?;
    let reached = reached(machine);
    kubectl(machine, "delete -f /root/service.yaml")?;
    reached
}

fn reached(machine: &Machine) -> Result<()> {
    let asks = |address| {
        machine.run(&format!(
            "curl --silent --fail --max-time 2 --output /dev/null http://{address}:30153/metrics"
        ))
    };
    wait_until("the NodePort to answer on the workload plane", Duration::from_secs(60), || {
        let answer = asks(machine.workload).map_err(|error| error.to_string())?;
        if answer.success() { Ok(()) } else { Err(format!("curl ends with {}", answer.code)) }
    })?;
    ensure!(!asks(machine.control)?.success(), "the NodePort answers on the control plane");
    Ok(())
}
