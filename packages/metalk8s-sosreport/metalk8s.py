# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What sos collects of a node of MetalK8s, and of the cluster where the node is a master (row DIAG-08)."""

import os

from sos.report.plugins import DebianPlugin, Plugin, RedHatPlugin, UbuntuPlugin

try:
    from sos.report.plugins import PluginOpt
except ImportError:  # before sos 4.2
    PluginOpt = None

ADMIN = "/etc/kubernetes/admin.conf"
KUBECTL = "kubectl --kubeconfig %s --request-timeout 60s" % ADMIN
OPTIONS = {
    "all": "describe all objects, and collect the logs of all pods",
    "describe": "describe nodes, volumes, and what is in each namespace",
    "podlogs": "collect the logs of all pods",
}
# Secrets are never asked for.
CLUSTER_KINDS = ("nodes", "persistentvolumes", "storageclasses")
KINDS = (
    "configmaps", "daemonsets", "deployments", "events", "jobs", "persistentvolumeclaims", "pods",
    "replicationcontrollers", "services", "statefulsets",
)
# What follows such a name is nobody's business.
NAMES = r"[\w.-]*(?:password|passwd|secret|token|credential|private[_-]?key|api[_-]?key)[\w.-]*"
MASKS = (
    (r"(?im)(^|[\s\"'{,-])(%s)([\"']?\s*[:=]\s*[\"']?)(?![\s\"'{\[])[^\s\"',}]+" % NAMES, r"\1\2\3*****"),
    (r"(://[^:/@\s]*:)[^@/\s]+@", r"\1*****@"),
)


def switches(texts):
    """Options that are off, in the form that this version of sos has; `texts` has the name and the text of each."""
    if PluginOpt:
        return [PluginOpt(name, default=False, desc=about) for name, about in texts.items()]
    return [(name, about, "slow", False) for name, about in texts.items()]


class MetalK8s(Plugin, DebianPlugin, RedHatPlugin, UbuntuPlugin):
    """Configuration, logs, and what the API tells."""

    short_desc = "MetalK8s: Kubernetes on a company's own machines"
    plugin_name = "metalk8s"
    profiles = ("container",)
    files = ("/etc/metalk8s",)
    option_list = switches(OPTIONS)

    def wants(self, name):
        """Whether an option was given, by itself or with all."""
        return self.get_option("all") or self.get_option(name)

    def setup(self):
        self.add_forbidden_path(["/etc/metalk8s/pki", "/etc/metalk8s/crypt"])
        self.add_copy_spec([
            "/etc/kubernetes/manifests",
            "/etc/metalk8s/bootstrap.yaml",
            "/etc/metalk8s/solutions.yaml",
            "/var/log/metalk8s",
            "/var/log/metalk8s-bootstrap.log",
        ])
        if self.wants("podlogs"):
            self.add_copy_spec("/var/log/pods")
        for unit in ("kubelet", "metalk8s-agent"):
            self.add_journal(units=unit)
        self.add_cmd_output("metalk8s --version")
        if os.path.exists(ADMIN):
            self.of_cluster()

    def of_cluster(self):
        """What a master is told by the API and by the fleet."""
        self.add_cmd_output([
            "%s %s" % (KUBECTL, words)
            for words in ("version", "config view", "top nodes", "get --raw /metrics", "get --raw '/readyz?verbose'")
        ])
        self.add_cmd_output(["metalk8s node list", "metalk8s certificates", "metalk8s run list", "metalk8s doctor"])
        for kind in CLUSTER_KINDS:
            self.of_kind(kind)
        for namespace in self.names("namespaces"):
            for kind in KINDS:
                self.of_kind(kind, namespace)

    def of_kind(self, kind, namespace=None):
        """Objects of one kind: their list, and their descriptions where they are wanted."""
        within = " --namespace %s" % namespace if namespace else ""
        self.add_cmd_output("%s get %s%s --output wide" % (KUBECTL, kind, within))
        if self.wants("describe"):
            self.add_cmd_output("%s describe %s%s" % (KUBECTL, kind, within))

    def names(self, kind):
        """The names of all objects of a kind that is of no namespace."""
        told = self.exec_cmd("%s get %s --output name" % (KUBECTL, kind))
        if told["status"] != 0:
            return []
        return [line.split("/", 1)[1] for line in told["output"].split() if "/" in line]

    def postproc(self):
        for pattern, mask in MASKS:
            self.do_path_regex_sub(r"/etc/(metalk8s|kubernetes)/.*", pattern, mask)
            self.do_cmd_output_sub("kubectl", pattern, mask)
