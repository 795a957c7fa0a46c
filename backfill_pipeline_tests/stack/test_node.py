"""The stand-in for a node: it ends the processes that it started, and no others."""

import os
import signal
from pathlib import Path

import pytest
from kubernetes import client

from backfill_pipeline.stack.kubernetes.node.container import Container


def test_a_pod_that_is_forgotten_kills_whoever_has_the_number_of_its_process_by_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = Container(
        client.V1Container(name="task", command=["sleep", "300"]), {"PATH": os.environ["PATH"]}, tmp_path
    )
    container.kill()
    assert container.wait() == 128 + signal.SIGKILL
    killed: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda group, _signal: killed.append(group))
    container.kill()
    assert killed == []
