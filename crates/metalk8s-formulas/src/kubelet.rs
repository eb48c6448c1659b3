//! The kubelet, which runs static pods before there is an API (BOOT-16).

use metalk8s_engine::{
    Graph, State,
    state::{Directory, File, Removed, Service, Taint},
};
use metalk8s_types::{Grains, Pillar, grains::Cgroup, header, paths};
use serde_json::{Value, json};

use crate::{
    bootstrap::FormulaError,
    hostname::node_name,
    layout::{CLUSTER_DOMAIN, dns_service, yaml},
};

/// The kubelet is configured and runs. A new Node registers with `taints`, so that nothing is scheduled on
/// it before its roles are known.
pub(crate) fn running(grains: &Grains, pillar: &Pillar, taints: &[Taint]) -> Result<Graph, FormulaError> {
    let mut graph = Graph::default();
    let config = graph.add(
        "kubelet configuration",
        State::File(
            File::text("/var/lib/kubelet/config.yaml", yaml(&configuration(grains, pillar, taints)))
                .mode(0o600),
        ),
    );
    let flags = graph.add(
        "kubelet flags",
        State::File(File::text(
            "/var/lib/kubelet/kubeadm-flags.env",
            format!(
                "{}KUBELET_KUBEADM_ARGS=\"--kubeconfig={} --node-ip={} \
                 --hostname-override={}\"\n",
                header(),
                paths::KUBELET_KUBECONFIG,
                pillar.node.control_plane,
                node_name(grains)
            ),
        )),
    );
    let drop_in = graph.add(
        "kubelet drop-in",
        State::File(File::text(
            "/etc/systemd/system/kubelet.service.d/09-standalone.conf",
            drop_in_text(node_name(grains)),
        )),
    );
    let plugins = graph
        .add("directory of CNI configuration", State::Directory(Directory::new("/etc/cni/net.d", 0o755)));
    let former = graph.add(
        "no static pods of a former name",
        State::Removed(Removed::FormerStaticPods { node: node_name(grains).to_owned() }),
    );
    let service = graph.add("kubelet runs", service());
    graph.require(&service, &plugins);
    graph.require(&service, &former);
    for file in [&config, &flags, &drop_in] {
        graph.require(&former, file);
        graph.watch(&service, file);
    }
    Ok(graph)
}

/// A machine with another name than its node's is another node, which has to be deployed (HOST-02): the kubelet
/// ends with the service that tells the name (P078), and does not start. A name that is not on the disk may come
/// later, from DHCP.
fn drop_in_text(node: &str) -> String {
    format!(
        "{}[Unit]\nPartOf=systemd-hostnamed.service\n\n\
         [Service]\nCPUAccounting=true\nMemoryAccounting=true\n\
         ExecCondition=/bin/sh -c 'read -r name < /etc/hostname; \
         case \"$$name\" in \"\" | \"#\"* | {node}) exit 0 ;; esac; \
         echo \"this machine is called $$name, and its node {node}: deploy it under its new name\" >&2; \
         exit 1'\n",
        header()
    )
}

/// The kubelet runs. Its kubeconfig holds its certificate, which it reads when it starts.
pub(crate) fn service() -> State {
    State::Service(Service {
        reads: vec![paths::KUBELET_KUBECONFIG.into()],
        ..Service::running("kubelet.service")
    })
}

/// KubeletConfiguration (kubelet.config.k8s.io/v1beta1).
fn configuration(grains: &Grains, pillar: &Pillar, taints: &[Taint]) -> Value {
    let pki = |name: &str| format!("{}/{name}", paths::KUBERNETES_PKI);
    let mut config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": pillar.node.control_plane,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": pki("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": if grains.systemd_cgroups { "systemd" } else { "cgroupfs" },
        "clusterDNS": [dns_service(pillar)],
        "clusterDomain": CLUSTER_DOMAIN,
        "containerRuntimeEndpoint": format!("unix://{}", paths::CONTAINERD_SOCKET),
        // A part that failed some times is back soon after the cause is gone, not up to 5 minutes later (KEP-4603).
        "crashLoopBackOff": {"maxContainerRestartPeriod": "30s"},
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": 10248,
        "maxParallelImagePulls": 4,
        "readOnlyPort": 0,
        "registerWithTaints": taints,
        "rotateCertificates": false,
        "serializeImagePulls": false,
        "staticPodPath": paths::MANIFESTS,
        "tlsCertFile": pki("kubelet.crt"),
        "tlsPrivateKeyFile": pki("kubelet.key"),
    });
    if grains.cgroup == Cgroup::V1 {
        // Kubernetes 1.35 refuses the first hierarchy unless told (KEP-4569).
        config["failCgroupV1"] = false.into();
    }
    if grains.container {
        // A container shares the disk and the swap of its host: judging them is not this node's business.
        config["failSwapOn"] = false.into();
        config["imageGCHighThresholdPercent"] = 100.into();
        config["imageGCLowThresholdPercent"] = 99.into();
        config["evictionHard"] =
            json!({"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "100Mi"});
    }
    config
}
