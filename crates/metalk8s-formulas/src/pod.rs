//! Static pods, in the one shape that all of ours have.

use std::net::IpAddr;

use metalk8s_types::labels;
use serde_json::{Value, json};

use crate::accounts::Account;

/// A static pod in the host's network, of one container or several: a user of its own, a read-only root, no
/// capability, no new privilege.
pub(crate) struct Pod {
    name: &'static str,
    image: String,
    command: Vec<String>,
    volumes: Vec<HostPath>,
    user: Account,
    capabilities: Vec<&'static str>,
    probes: Option<Probes>,
    requests: (String, String),
    beside: Vec<Pod>,
}

/// A path of the host inside a pod, at the same place.
pub(crate) struct HostPath {
    name: &'static str,
    path: String,
    kind: &'static str,
    read_only: bool,
    propagation: Option<&'static str>,
}

struct Probes {
    host: IpAddr,
    port: u16,
    scheme: &'static str,
    live: String,
    ready: String,
}

impl HostPath {
    /// A directory that is there.
    pub(crate) fn directory(name: &'static str, path: &str) -> Self {
        Self { name, path: path.to_owned(), kind: "Directory", read_only: false, propagation: None }
    }

    /// A file that is there.
    pub(crate) fn file(name: &'static str, path: &str) -> Self {
        Self { kind: "File", ..Self::directory(name, path) }
    }

    /// The pod cannot write it.
    pub(crate) fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// How mounts below it travel, in the words of Kubernetes.
    pub(crate) fn propagation(mut self, propagation: &'static str) -> Self {
        self.propagation = Some(propagation);
        self
    }
}

impl Pod {
    /// A pod called `name` in kube-system, run as `user`; the kubelet adds the node's name.
    pub(crate) fn new(name: &'static str, image: String, user: Account) -> Self {
        Self {
            name,
            image,
            command: Vec::new(),
            volumes: Vec::new(),
            user,
            capabilities: Vec::new(),
            probes: None,
            requests: ("50m".to_owned(), "32Mi".to_owned()),
            beside: Vec::new(),
        }
    }

    /// The program and its arguments.
    pub(crate) fn command<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.command.extend(words.into_iter().map(Into::into));
        self
    }

    /// A capability that it keeps.
    pub(crate) fn capability(mut self, name: &'static str) -> Self {
        self.capabilities.push(name);
        self
    }

    /// A path of the host.
    pub(crate) fn host_path(mut self, path: HostPath) -> Self {
        self.volumes.push(path);
        self
    }

    /// Probes by plain HTTP.
    pub(crate) fn http_probes(self, host: IpAddr, port: u16, live: &str, ready: &str) -> Self {
        self.probes("HTTP", host, port, live, ready)
    }

    /// Probes by HTTPS; the kubelet does not check the certificate.
    pub(crate) fn https_probes(self, host: IpAddr, port: u16, live: &str, ready: &str) -> Self {
        self.probes("HTTPS", host, port, live, ready)
    }

    fn probes(mut self, scheme: &'static str, host: IpAddr, port: u16, live: &str, ready: &str) -> Self {
        self.probes = Some(Probes { host, port, scheme, live: live.to_owned(), ready: ready.to_owned() });
        self
    }

    /// Processor and memory that it asks for.
    pub(crate) fn requests(mut self, cpu: &str, memory: &str) -> Self {
        self.requests = (cpu.to_owned(), memory.to_owned());
        self
    }

    /// Another container in the same pod, with a user of its own.
    pub(crate) fn beside(mut self, other: Self) -> Self {
        self.beside.push(other);
        self
    }

    /// The container as the kubelet reads it.
    fn container(&self) -> Value {
        let mounts: Vec<_> = self.volumes.iter().map(HostPath::mount).collect();
        let mut container = json!({
            "name": self.name,
            "image": self.image,
            "imagePullPolicy": "IfNotPresent",
            "command": self.command,
            "resources": {"requests": {"cpu": self.requests.0, "memory": self.requests.1}},
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            },
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": mounts,
        });
        if !self.capabilities.is_empty() {
            container["securityContext"]["capabilities"]["add"] = json!(self.capabilities);
        }
        if let Some(probes) = &self.probes {
            container["startupProbe"] = probes.probe(&probes.ready, 1, 300);
            container["livenessProbe"] = probes.probe(&probes.live, 10, 8);
            // The kubelet looks at once when the startup probe has ended; after that each look costs a handshake.
            container["readinessProbe"] = probes.probe(&probes.ready, 10, 3);
        }
        container
    }

    /// The pod as the kubelet reads it.
    pub(crate) fn manifest(&self) -> Value {
        let mut containers = vec![self.container()];
        for other in &self.beside {
            let mut container = other.container();
            let context = &mut container["securityContext"];
            context["runAsNonRoot"] = (other.user.id != 0).into();
            context["runAsUser"] = other.user.id.into();
            context["runAsGroup"] = other.user.id.into();
            containers.push(container);
        }
        let mut volumes: Vec<Value> = Vec::new();
        for volume in
            [self].into_iter().chain(&self.beside).flat_map(|pod| &pod.volumes).map(HostPath::volume)
        {
            if !volumes.contains(&volume) {
                volumes.push(volume);
            }
        }
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": self.name,
                "namespace": "kube-system",
                "labels": {
                    "app.kubernetes.io/name": self.name,
                    labels::MANAGED_BY: labels::MANAGED_BY_VALUE,
                    labels::PART_OF: labels::PART_OF_VALUE,
                    "heritage": "metalk8s",
                    "component": self.name,
                    "tier": "control-plane",
                },
            },
            "spec": {
                "hostNetwork": true,
                "priorityClassName": "system-node-critical",
                "securityContext": {
                    "seccompProfile": {"type": "RuntimeDefault"},
                    "runAsNonRoot": self.user.id != 0,
                    "runAsUser": self.user.id,
                    "runAsGroup": self.user.id,
                },
                "tolerations": [{"operator": "Exists"}],
                "containers": containers,
                "volumes": volumes,
            },
        })
    }
}

impl HostPath {
    fn mount(&self) -> Value {
        let mut mount = json!({"name": self.name, "mountPath": self.path});
        if self.read_only {
            mount["readOnly"] = true.into();
        }
        if let Some(propagation) = self.propagation {
            mount["mountPropagation"] = propagation.into();
        }
        mount
    }

    fn volume(&self) -> Value {
        json!({"name": self.name, "hostPath": {"path": self.path, "type": self.kind}})
    }
}

impl Probes {
    fn probe(&self, path: &str, period: u32, failures: u32) -> Value {
        json!({
            "httpGet": {"host": self.host.to_string(), "port": self.port, "path": path, "scheme": self.scheme},
            "periodSeconds": period,
            "timeoutSeconds": 15,
            "failureThreshold": failures,
        })
    }
}
