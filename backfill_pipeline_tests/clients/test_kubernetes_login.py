"""Logins that give nothing, and kubeconfigs that are none: told when the launcher is opened, by name."""

import json
import logging
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from backfill_pipeline.clients.kubernetes.login import opened
from backfill_pipeline.clients.launcher import JobState
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline_tests.clients.api_standin import Server, served
from backfill_pipeline_tests.clients.jobs import lives
from backfill_pipeline_tests.clients.kubeconfigs import NOWHERE, kubeconfig, launcher, plugin, plugin_that_gives

GIVEN = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "TOKEN"}}
MISSING_PLUGIN = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-plugin"}}


def refused(path: Path) -> PipelineError:
    with pytest.raises(PipelineError) as raised:
        opened(launcher(path))
    assert str(path) in raised.value.where
    return raised.value


@pytest.mark.parametrize(
    ("user", "said"),
    [
        (MISSING_PLUGIN, "no-such-plugin"),
        (plugin("import sys; sys.exit('the session has expired')"), f"the plugin {sys.executable} ended with 1"),
        (plugin("print('no JSON')"), "failed to decode process output"),
        (plugin_that_gives({}), "missing token or clientCertificateData"),
    ],
    ids=["missing", "failed", "no JSON", "nothing given"],
)
def test_a_login_plugin_that_gives_nothing_does_not_make_us_anonymous(
    tmp_path: Path, user: dict[str, Any], said: str
) -> None:
    """Whoever reads that system:anonymous lacks rights gives them to everybody."""
    error = refused(kubeconfig(tmp_path, user))
    assert error.kind is Kind.STOP
    assert error.why.startswith("exec of the context's user gave neither a token nor a certificate: ")
    assert said in error.why
    assert "log in, or renew the credentials" in error.next_step


def test_a_login_plugin_that_hangs_is_waited_for_without_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that it left behind, with its output open, does not keep us waiting either."""
    monkeypatch.setattr("backfill_pipeline.clients.kubernetes.login.PLUGIN_SECONDS", 1)
    file = tmp_path / "child"
    user = plugin(
        f"import subprocess; c = subprocess.Popen(['sleep', '60']); open({str(file)!r}, 'w').write(str(c.pid)); c.wait()"
    )
    started = time.monotonic()
    error = refused(kubeconfig(tmp_path, user))
    assert time.monotonic() - started < 10
    assert error.kind is Kind.UNREACHABLE
    assert f"the plugin {sys.executable} did not answer within 1 s" in error.why
    assert not lives(int(file.read_text()))


TELLS = (
    "import os, sys; print('password=hunter2', os.environ['PLANT'], os.environ['OWN'], file=sys.stderr); sys.exit(3)"
)


@pytest.mark.parametrize("way", ["exec", "auth-provider"])
def test_a_secret_that_a_login_plugin_tells_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("OWN", "hunter2")
    monkeypatch.setenv("PLANT", "hunter2")
    script = tmp_path / "plugin.py"
    script.write_text(TELLS)
    cmd = {"cmd-path": sys.executable, "cmd-args": f"{script} hunter2"}
    user = plugin(TELLS) if way == "exec" else {"auth-provider": {"name": "gcp", "config": cmd}}
    if way == "exec":
        user["exec"]["env"] = [{"name": "PLANT", "value": "hunter2"}]
    error = refused(kubeconfig(tmp_path, user))
    assert "process returned 3" in error.why
    assert sys.executable in error.why
    assert "hunter2" not in str(error)


AT_A_TERMINAL = """
import sys
from pathlib import Path
from backfill_pipeline.clients.kubernetes.login import opened
from backfill_pipeline_tests.clients.kubeconfigs import launcher
try:
    opened(launcher(Path(sys.argv[1])))
except Exception as error:
    print(error)
"""


def test_a_login_plugin_that_fails_at_a_terminal_is_told_as_a_fault_of_ours(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, plugin("import sys; sys.exit(3)"))
    ours, theirs = pty.openpty()
    ends = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    with subprocess.Popen([sys.executable, "-c", AT_A_TERMINAL, str(path)], **ends) as child:
        assert child.wait(60) == 0
    said = " ".join(os.read(ours, 65536).decode().split())
    assert f"the plugin {sys.executable} ended with 3" in said
    assert "why stands above" in said
    assert "NoneType" not in said


def test_a_login_plugin_that_fails_keeps_why_from_who_wants_to_see_it(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, plugin("import sys; sys.exit(1)"))
    assert f"`kubectl --kubeconfig {path} --context north auth whoami`" in refused(path).next_step


@pytest.fixture
def server() -> Iterator[str]:
    with served() as address:
        yield address


@pytest.mark.parametrize("way", ["token file", "plugin"])
def test_a_token_that_is_rotated_in_mid_window_ends_it(tmp_path: Path, server: str, way: str) -> None:
    token = tmp_path / "token"
    gives = f"import json; print(json.dumps({GIVEN!r}).replace('TOKEN', open({str(token)!r}).read()))"
    user = {"tokenFile": str(token)} if way == "token file" else plugin(gives)
    token.write_text("old")
    jobs = opened(launcher(kubeconfig(tmp_path, user, {"server": server})))
    for Server.takes in ("old", "new"):
        token.write_text(Server.takes)
        assert jobs.status("one").state is JobState.GONE
    Server.takes = "newer"
    with pytest.raises(PipelineError, match="Unauthorized") as raised:
        jobs.status("one")
    assert raised.value.kind is Kind.STOP, "once more, and no third time"


def test_a_login_plugin_that_hangs_when_its_token_has_expired_holds_a_call_without_an_end(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backfill_pipeline.clients.kubernetes.login.PLUGIN_SECONDS", 1)
    status = {"token": "old", "expirationTimestamp": "2026-01-01T00:00:00Z"}
    answer, waits = json.dumps({**GIVEN, "status": status}), f"os.path.exists({str(tmp_path / 'hangs')!r})"
    gives = f"import os, time; {waits} and time.sleep(60); print({answer!r})"
    jobs = opened(launcher(kubeconfig(tmp_path, plugin(gives), {"server": server})))
    Server.takes = "new"
    (tmp_path / "hangs").touch()
    started = time.monotonic()
    with pytest.raises(PipelineError, match="did not answer within 1 s") as raised:
        jobs.status("one")
    assert time.monotonic() - started < 10
    assert raised.value.kind is Kind.UNREACHABLE


def test_a_token_file_that_is_empty_does_not_make_us_anonymous(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("")
    error = refused(kubeconfig(tmp_path, {"tokenFile": "token"}))
    assert error.why == "tokenFile of the context's user gave neither a token nor a certificate"


def test_a_user_that_the_file_does_not_have_is_missing_by_its_name(tmp_path: Path) -> None:
    error = refused(kubeconfig(tmp_path, None))
    assert error.kind is Kind.MISSING
    assert "object with name u in" in error.why


@pytest.mark.parametrize("user", [{"token": "t"}, plugin_that_gives({"token": "t"}), {}], ids=["token", "exec", "none"])
def test_a_login_that_works_is_not_refused(tmp_path: Path, user: dict[str, Any]) -> None:
    """Without any way to log in it is somebody else's business: `kubectl proxy` logs in by itself."""
    opened(launcher(kubeconfig(tmp_path, user))).close()
    assert not [h for h in logging.getLogger().handlers if "kubernetes.login" in type(h).__module__]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("contexts: [", "as a kubeconfig: ParserError"),
        ("- a list", "as a kubeconfig: TypeError"),
        ("just a text", "as a kubeconfig: TypeError"),
        ("", "is empty"),
        ("contexts: 5", "as a kubeconfig: TypeError"),
        ("{contexts: [], clusters: [], users: []}", "north"),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    error = refused(path)
    assert error.kind is Kind.MISSING
    assert said in error.why


@pytest.mark.parametrize("key", ["certificate-authority-data", "proxy-url"])
def test_a_cluster_that_is_written_down_wrongly_is_named(tmp_path: Path, key: str) -> None:
    wrong = {"certificate-authority-data": "A", "proxy-url": "gopher://127.0.0.1:1"}
    error = refused(kubeconfig(tmp_path, {"token": "t"}, {"server": NOWHERE, key: wrong[key]}))
    assert error.kind is Kind.MISSING
    assert {"certificate-authority-data": "base64", "proxy-url": "ProxySchemeUnknown"}[key] in error.why


def test_no_token_is_printed_with_what_is_wrong_beside_it(tmp_path: Path) -> None:
    """The client names an entry by all that it holds."""
    path = kubeconfig(tmp_path, {})
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "users": [{"name": "u", "token": "hunter2"}]}))
    error = refused(path)
    assert "Expected key user" in error.why
    assert "hunter2" not in str(error)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path / "kubeconfig").kind is Kind.MISSING
