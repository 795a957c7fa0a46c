"""Credentials as people and plugins write them: what can be sent is sent as kubectl sends it, the rest is named and not shown."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.config import incluster_config

from backfill_pipeline.clients.kubernetes.login import opened
from backfill_pipeline.clients.launcher import JobState
from backfill_pipeline.config import Launcher
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline_tests.clients.api_standin import Server, served
from backfill_pipeline_tests.clients.kubeconfigs import kubeconfig, launcher, plugin

SECRET = "hunter2"
GIVEN = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "TOKEN"}}
WAYS = ("token", "tokenFile", "exec")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Server, "takes", SECRET)
    with served() as address:
        yield address


def user(way: str, token: str, at: Path) -> dict[str, Any]:
    """One who logs in with this token; that of a file or a plugin is read from `at` each time."""
    at.write_text(token)
    gives = (
        f"import json; g = {GIVEN!r}; g['status']['token'] = open({str(at)!r}, newline='').read(); print(json.dumps(g))"
    )
    return {"token": {"token": token}, "tokenFile": {"tokenFile": str(at)}, "exec": plugin(gives)}[way]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("token", [f"{SECRET}\n", f" {SECRET}\r\n\n"])
def test_a_token_with_a_line_break_behind_it_is_printed_with_a_traceback(
    tmp_path: Path, server: str, way: str, token: str
) -> None:
    """`echo $TOKEN > file` writes one."""
    jobs = opened(launcher(kubeconfig(tmp_path, user(way, token, tmp_path / "token"), {"server": server})))
    assert jobs.status("one").state is JobState.GONE


@pytest.mark.parametrize("way", WAYS[1:])
def test_a_token_that_is_renewed_with_a_line_break_ends_the_window(tmp_path: Path, server: str, way: str) -> None:
    path = kubeconfig(tmp_path, user(way, "old", tmp_path / "token"), {"server": server})
    jobs = opened(launcher(path))
    (tmp_path / "token").write_text(f"{SECRET}\n")
    assert jobs.status("one").state is JobState.GONE


UNSENDABLE = {"a line": f"{SECRET}\n{SECRET}", "a control character": f"{SECRET}\x01", "a letter": f"{SECRET}ü€"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("token", UNSENDABLE.values(), ids=UNSENDABLE)
def test_a_token_that_no_header_carries_is_printed_with_a_traceback(
    tmp_path: Path, server: str, way: str, token: str
) -> None:
    path = kubeconfig(tmp_path, user(way, token, tmp_path / "token"), {"server": server})
    with pytest.raises(PipelineError) as raised:
        opened(launcher(path))
    assert raised.value.what == "No way to log in to the cluster"
    assert raised.value.kind is Kind.STOP
    assert "line break, a control character or a letter that is not ASCII" in raised.value.why
    assert SECRET not in str(raised.value)


def test_a_plugin_that_renews_its_token_by_one_that_no_header_carries_prints_it(tmp_path: Path, server: str) -> None:
    """Within a call, when the one it gave before has expired."""
    old = {**GIVEN, "status": {"token": SECRET, "expirationTimestamp": "2026-01-01T00:00:00Z"}}
    new, at = json.loads(json.dumps(old).replace(SECRET, f"{SECRET}€")), tmp_path / "new"
    gives = f"import os; print({json.dumps(new)!r} if os.path.exists({str(at)!r}) else {json.dumps(old)!r})"
    jobs = opened(launcher(kubeconfig(tmp_path, plugin(gives), {"server": server})))
    assert jobs.status("one").state is JobState.GONE
    at.touch()
    with pytest.raises(PipelineError, match="not ASCII") as raised:
        jobs.status("one")
    assert raised.value.kind is Kind.STOP
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("way", WAYS)
def test_a_token_of_nothing_but_white_space_makes_us_anonymous(tmp_path: Path, server: str, way: str) -> None:
    path = kubeconfig(tmp_path, user(way, "\n", tmp_path / "token"), {"server": server})
    with pytest.raises(PipelineError, match="white space") as raised:
        opened(launcher(path))
    assert raised.value.kind is Kind.STOP


def test_a_token_file_that_is_no_text_is_quoted(tmp_path: Path, server: str) -> None:
    (tmp_path / "token").write_bytes(b"hunter2\xff")
    with pytest.raises(PipelineError, match="invalid start byte") as raised:
        opened(launcher(kubeconfig(tmp_path, {"tokenFile": "token"}, {"server": server})))
    assert "0xff" not in str(raised.value)


@pytest.mark.parametrize("password", ["hunter2", "hünter", "hunter€"])
def test_a_password_with_a_letter_beyond_ascii_is_another_one_to_the_server(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    """kubectl sends UTF-8."""
    monkeypatch.setattr(Server, "scheme", "Basic")
    monkeypatch.setattr(Server, "takes", base64.b64encode(f"mé:{password}".encode()).decode())
    path = kubeconfig(tmp_path, {"username": "mé", "password": password}, {"server": server})
    before = path.read_text()
    assert opened(launcher(path)).status("one").state is JobState.GONE
    assert path.read_text() == before


@pytest.mark.parametrize("token", [f"{SECRET}\n{SECRET}", "\n"])
def test_a_pods_own_token_that_cant_be_sent_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    for name, text in {"token": token, "cert": "any"}.items():
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(incluster_config, f"SERVICE_{name.upper()}_FILENAME", str(tmp_path / name))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    with pytest.raises(PipelineError, match="the token ") as raised:
        opened(Launcher(kind="kubernetes", namespace="cron"))
    assert raised.value.kind is Kind.STOP
    assert SECRET not in str(raised.value)


def test_a_header_that_is_not_foreseen_is_printed_with_a_traceback(tmp_path: Path, server: str) -> None:
    jobs = opened(launcher(kubeconfig(tmp_path, {"token": SECRET}, {"server": server})))
    jobs._api.set_default_header("Cookie", f"{SECRET}\n{SECRET}")
    with pytest.raises(PipelineError, match="can't be written down: ValueError") as raised:
        jobs.status("one")
    assert SECRET not in str(raised.value)
    with pytest.raises(PipelineError, match="can't be written down"):
        next(iter(jobs._log_of("it", "c", None)))


ADDRESSES = ("https://u:hunter2@127.0.0.1:1", "https://u:two hunter2@127.0.0.1:1", "https://u:hunter2@[bad")


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_password_in_the_servers_address_is_printed(tmp_path: Path, address: str) -> None:
    jobs = opened(launcher(kubeconfig(tmp_path, {"token": "t"}, {"server": address})))
    with pytest.raises(PipelineError) as raised:
        jobs.status("one")
    assert raised.value.where.startswith("https://***@")
    assert SECRET not in str(raised.value)
    assert SECRET not in str(jobs._not_ours("one", "why")) + jobs.where("one")


@pytest.mark.parametrize("password", ["*hunter2", "!hunter2"])
def test_a_password_that_yaml_takes_for_a_sign_of_its_own_is_printed(tmp_path: Path, password: str) -> None:
    path = kubeconfig(tmp_path, {"username": "u", "password": "PASSWORD"})
    path.write_text(path.read_text().replace("PASSWORD", password))
    with pytest.raises(PipelineError, match=r"as a kubeconfig: \w+Error: line \d+\. Next") as raised:
        opened(launcher(path))
    assert SECRET not in str(raised.value)
