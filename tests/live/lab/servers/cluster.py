"""Two ejabberd nodes in a cluster, with the hook module on both."""

from .. import machine
from .hook_ejabberd import HookEjabberd


class ClusterNode(HookEjabberd):
    """A node that finds the others through an epmd of the lab."""

    def __init__(self, version, epmd):
        super().__init__(version)
        self.epmd = epmd
        self.way_in, self.way_env = [], {"ERL_EPMD_PORT": str(epmd)}

    way_in = None

    def write_config(self):
        super().write_config()
        cfg = self.path / "ejabberdctl.cfg"
        lines = [line for line in cfg.read_text().splitlines() if not line.startswith("ERL_DIST_PORT")]
        cfg.write_text("\n".join([*lines, f"export ERL_EPMD_PORT={self.epmd}", ""]))


class Cluster:
    """`folder` receives the log of epmd."""

    def __init__(self, version, folder):
        port = machine.ports(1)[0]
        self.epmd = machine.spawn(["/usr/bin/epmd", "-port", port, "-address", "127.0.0.1"], folder / "epmd.log")
        self.nodes = self.first, self.second = ClusterNode(version, port), ClusterNode(version, port)
        for node in self.nodes:
            node.start()
            node.install_module()
        self.second.ejabberdctl("join_cluster", self.first.erlang_name)
        self.second.wait_open(self.second.c2s, self.second.port)

    def close(self):
        for node in self.nodes:
            node.stop()
        machine.end(self.epmd)
