"""What a machine needs to be a node; a test that can't have one fails and says what is missing, it is not skipped."""

import os
import shutil
from pathlib import Path

TOOLS = ("unshare", "mount", "ip", "apt-get", "dpkg-deb")


class NoNode(Exception):
    def __init__(self, why: str, next_step: str) -> None:
        super().__init__(f"No real node here: {why}. Next: {next_step}, or leave these tests out: -m 'not real_node'")


def check_machine() -> None:
    if os.geteuid() != 0:
        raise NoNode("containers need root", "run as root")
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise NoNode(f"there is no {', '.join(missing)}", "run on Debian 12")
    if "\toverlay\n" not in Path("/proc/filesystems").read_text():
        raise NoNode("the kernel has no overlayfs", "modprobe overlay")
