"""Which kubeconfig a forward means that names none: that of the environment of whoever asks for it."""

import socket
from pathlib import Path

import pytest

from backfill_pipeline.clients.port_forward.holder import Held
from backfill_pipeline_tests.clients.forwards import PACE, Standin
from backfill_pipeline_tests.clients.jobs import wait_for
from backfill_pipeline_tests.clients.test_port_forward import echoed


def guessed(of: Standin, root: Path) -> Held:
    """A forward without a kubeconfig of its own, in the environment as it is."""
    forward = of.forward().model_copy(update={"kubeconfig": None})
    return Held(forward, "http", root=root, pace=PACE)


@pytest.mark.parametrize("before", ["", "absent:", "relative"])
def test_rows_are_deleted_in_the_cluster_of_another_environments_kubeconfig(
    standin: Standin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    """Same context, same names, one machine: staging's forward must not be production's."""
    (tmp_path / "other").mkdir()
    other = Standin(tmp_path / "other")
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        other.does(to=deaf.getsockname()[1])
        mine, others = ("kubeconfig", "other/kubeconfig") if before else (standin.kubeconfig, other.kubeconfig)
        before = "" if before == "relative" else before
        monkeypatch.setenv("KUBECONFIG", f"{before}{others}")
        wrong = guessed(other, standin.root)
        monkeypatch.setenv("KUBECONFIG", f"{before}{mine}")
        with guessed(standin, standin.root) as held:
            assert echoed(held.port()) == b"hello"
        wrong.close()
        wait_for(lambda: not other.keepers() and not standin.keepers(), "the end of both keepers")


def test_a_home_of_another_user_is_not_taken_for_ones_own(
    standin: Standin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    (tmp_path / ".kube").mkdir()
    standin.kubeconfig.rename(tmp_path / ".kube" / "config")
    monkeypatch.setenv("HOME", str(tmp_path))
    with guessed(standin, standin.root) as held:
        assert echoed(held.port()) == b"hello"
    (tmp_path / ".kube" / "config").rename(standin.kubeconfig)
