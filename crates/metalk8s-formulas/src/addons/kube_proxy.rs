//! kube-proxy, which makes Services reachable on each node.

use metalk8s_engine::Graph;
use metalk8s_types::{Grains, Pillar};
use serde_json::json;

use super::manifests::{Addon, rolled_out};
use crate::{
    bootstrap::FormulaError,
    layout::{APISERVER_PROXY, yaml},
};

const FILES: [(&str, &str); 2] = [
    ("rbac.yaml", include_str!("../../../../addons/kube-proxy/manifests/rbac.yaml")),
    ("daemonset.yaml", include_str!("../../../../addons/kube-proxy/manifests/daemonset.yaml")),
];

/// The addon, and the wait for its first pod.
pub(crate) fn kube_proxy(grains: &Grains, pillar: &Pillar) -> Result<Graph, FormulaError> {
    let mut addon = Addon::read("kube-proxy", &FILES)?;
    addon.fill_images(pillar)?;
    let mut configuration = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": "/etc/kube-proxy/kubeconfig.yaml"},
        "clusterCIDR": pillar.networks.pods,
        // Neither asks for a login, and all nodes share this configuration (LSN-02).
        "metricsBindAddress": "127.0.0.1:10249",
        "healthzBindAddress": "127.0.0.1:10256",
        "mode": "nftables",
        // Applications are reached on the workload plane (NET-02), whichever address the kubelet tells.
        "nodePortAddresses": pillar.networks.workload_plane,
    });
    if !grains.conntrack_writable {
        // Zero leaves the kernel's limits as they are.
        configuration["conntrack"] = json!({"maxPerCore": 0, "min": 0});
    }
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "default", "cluster": {
            "certificate-authority": "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
            "server": format!("https://{APISERVER_PROXY}"),
        }}],
        "users": [{"name": "default", "user": {
            "tokenFile": "/var/run/secrets/kubernetes.io/serviceaccount/token",
        }}],
        "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}],
        "current-context": "default",
    });
    let data = json!({"config.yaml": yaml(&configuration), "kubeconfig.yaml": yaml(&kubeconfig)});
    addon.object("ConfigMap", "kube-proxy")["data"] = data;
    let mut graph = Graph::default();
    let objects = addon.add_to(&mut graph, &[]);
    let ready = graph.add("kube-proxy runs", rolled_out("DaemonSet", "kube-proxy"));
    graph.require_all(&ready, &objects);
    Ok(graph)
}
