"""A node is root's: it lets in nobody but the API server, and nothing of it is left, however the tests end."""

import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from backfill_pipeline_tests.kubernetes.cluster import until
from backfill_pipeline_tests.kubernetes.real.cgroups import PREFIX, hierarchies, own_name, remove_what_was_left
from backfill_pipeline_tests.kubernetes.real.place import RealNode
from backfill_pipeline_tests.kubernetes.real.traces import processes_with

pytestmark = pytest.mark.real_node
KILLED = """
import signal, sys, time
from pathlib import Path
from backfill_pipeline.stack.processes import Process
from backfill_pipeline_tests.kubernetes.cluster import watched
from backfill_pipeline_tests.kubernetes.real.place import ALONE
command = (*ALONE, "sh", "-c", f"sleep 300; : {sys.argv[1]}")
with watched([Process("node", command, Path(sys.argv[1]) / "log", stop=signal.SIGKILL)], "killed"):
    time.sleep(300)
"""


def test_a_node_does_not_outlive_tests_that_were_killed(tmp_path: Path) -> None:
    tests = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)])
    inside = f": {tmp_path}"
    until("it is started", lambda: processes_with(inside))
    tests.kill()
    tests.wait(10)
    until("it is gone", lambda: not processes_with(inside))


def test_control_groups_that_killed_tests_left_are_removed_and_no_others(node: RealNode) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait(10)
    left = [h / f"{PREFIX}{ended.pid}" / "kubepods" for h in hierarchies()]
    for group in left:
        group.mkdir(parents=True)
    remove_what_was_left()
    assert [g for g in left if g.parent.exists()] == []
    assert all((h / own_name()).exists() for h in hierarchies())


def test_nobody_but_the_api_server_may_run_commands_through_the_kubelet(node: RealNode) -> None:
    """Anybody on this machine reaches its port."""
    blind = ssl._create_unverified_context()
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(f"https://127.0.0.1:{node.port}/pods", context=blind, timeout=10)
    assert raised.value.code == 401
