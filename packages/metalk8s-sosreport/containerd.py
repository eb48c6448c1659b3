# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What sos collects of containerd by way of crictl (row DIAG-08)."""

from sos.report.plugins import DebianPlugin, Plugin, RedHatPlugin, UbuntuPlugin
from sos.report.plugins.metalk8s import switches

OPTIONS = {
    "all": "look at each container, also those that have ended, each pod and each image",
    "logs": "collect the logs of all containers",
}
# Variables of containers, `"NAME=value"`, whose names say that nobody else may read them.
SECRET_VARIABLE = r"(?i)(\"[\w.-]*(?:password|passwd|secret|token|credential|key)[\w.-]*=)[^\"]*\""


class Containerd(Plugin, DebianPlugin, RedHatPlugin, UbuntuPlugin):
    """Its configuration and journal, and what it runs."""

    short_desc = "containerd, the container runtime"
    plugin_name = "containerd"
    profiles = ("container",)
    packages = ("containerd", "containerd.io")
    option_list = switches(OPTIONS)

    def setup(self):
        self.add_copy_spec(["/etc/containerd", "/etc/crictl.yaml"])
        self.add_journal(units="containerd")
        self.add_cmd_output(
            ["crictl %s" % words for words in ("version", "info", "images", "pods", "ps --all", "stats")]
        )
        if self.get_option("logs"):
            self.add_copy_spec("/var/log/containers")
        containers = self.identities("ps --all")
        if self.get_option("all"):
            for verb, found in (
                ("inspect", containers),
                ("inspectp", self.identities("pods")),
                ("inspecti", self.identities("images")),
            ):
                self.add_cmd_output(["crictl %s %s" % (verb, identity) for identity in found])
        if self.get_option("logs"):
            self.add_cmd_output(["crictl logs --timestamps %s" % identity for identity in containers])

    def identities(self, words):
        """What a list of crictl has, once each."""
        told = self.exec_cmd("crictl %s --quiet" % words)
        return sorted(set(told["output"].split())) if told["status"] == 0 else []

    def postproc(self):
        self.do_cmd_output_sub("crictl inspect", SECRET_VARIABLE, r'\1*****"')
