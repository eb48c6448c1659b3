//! A Service that is reached from outside.

use anyhow::{Result, ensure};

use crate::{
    SOON,
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

/// Applications are reached by the address of each machine in the workload plane, and by none in the control plane.
pub(in crate::suite) fn is_on_the_workload_plane(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    ensure!(bootstrap.control != bootstrap.workload, "the lab has one plane only");
    bootstrap.write("/root/service.yaml", SERVICE.as_bytes(), 0o644)?;
    kubectl(bootstrap, "apply -f /root/service.yaml")?;
    let reached = stage.lab.machines.iter().try_for_each(|machine| reached(bootstrap, machine));
    kubectl(bootstrap, "delete -f /root/service.yaml")?;
    reached
}

fn reached(from: &Machine, machine: &Machine) -> Result<()> {
    let asks = |address| {
        from.run(&format!(
            "curl --silent --fail --max-time 2 --output /dev/null http://{address}:30153/metrics"
        ))
    };
    wait_until("the NodePort to answer on the workload plane", SOON, || {
        let answer = asks(machine.workload).map_err(|error| error.to_string())?;
        let told = || format!("at `{}` curl ends with {}", machine.name, answer.code);
        if answer.success() { Ok(()) } else { Err(told()) }
    })?;
    let answer = asks(machine.control)?;
    ensure!(!answer.success(), "the NodePort of `{}` answers on the control plane", machine.name);
    Ok(())
}
