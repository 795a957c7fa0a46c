"""deploy/rbac-port-forward.yaml is what the real kubectl asks a real API server for, no more; what is missing is named.

Bytes don't go through here: the node of these tests forwards nothing.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from backfill_pipeline.clients.port_forward.holder import Held
from backfill_pipeline.config import Forward
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.stack.kubernetes.kubebox import kubebox
from backfill_pipeline.stack.plan import IMAGE
from backfill_pipeline_tests.clients.forwards import PACE, Standin, gone
from backfill_pipeline_tests.kubernetes.cluster import Namespace, deployed, until

ACCOUNT = "backfill-pipeline"
CONTEXT = "account"
ROLE = "rbac-port-forward.yaml"


@pytest.fixture
def kubeconfig(alone: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Logged in as the account that deploy/ makes; with the kubectl of the API server's own version."""
    monkeypatch.setenv("PATH", f"{kubebox(print)}:/usr/bin:/bin")
    account = next(t for t in deployed("rbac.yaml") if t["kind"] == "ServiceAccount")
    for tree in (account, *deployed(ROLE)):  # not the launcher's rights: the namespace of a database is another one
        alone.apply(tree)
    core = client.CoreV1Api(alone.api)
    token = core.create_namespaced_service_account_token(ACCOUNT, alone.name, {"spec": {"expirationSeconds": 3600}})
    given = alone.api.configuration
    tree = {
        "clusters": [{"name": "c", "cluster": {"server": given.host, "certificate-authority": given.ssl_ca_cert}}],
        "users": [{"name": "u", "user": {"token": token.status.token}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": "c", "user": "u"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(tree))
    yield path
    gone(Standin(tmp_path))


@pytest.fixture
def it(alone: Namespace) -> None:
    """A pod that runs, and its service."""
    core = client.CoreV1Api(alone.api)
    container = {"name": "c", "image": IMAGE, "command": ["sleep", "600"]}
    core.create_namespaced_pod(
        alone.name, {"metadata": {"name": "it-0", "labels": {"a": "it"}}, "spec": {"containers": [container]}}
    )
    core.create_namespaced_service(
        alone.name, {"metadata": {"name": "it"}, "spec": {"selector": {"a": "it"}, "ports": [{"port": 80}]}}
    )
    until("the pod's start", lambda: core.read_namespaced_pod("it-0", alone.name).status.phase == "Running")


def failure(alone: Namespace, kubeconfig: Path, *, seconds: float = 8, **changes: Any) -> PipelineError:
    fields = {"target": "service/it", "port": 80, "context": CONTEXT, "namespace": alone.name, **changes}
    forward = Forward(kubeconfig=kubeconfig, **fields)
    held = Held(forward, "http", root=kubeconfig.parent / "root", pace=replace(PACE, start=30))
    with held, pytest.raises(PipelineError) as raised:
        held.port(seconds)
    return raised.value


def without(alone: Namespace, verb: str, resource: str) -> None:
    role = next(t for t in deployed(ROLE) if t["kind"] == "Role")
    kept = [r for r in role["rules"] if (r["verbs"], r["resources"]) != ([verb], [resource])]
    assert len(kept) == len(role["rules"]) - 1
    api = client.RbacAuthorizationV1Api(alone.api)
    api.patch_namespaced_role(role["metadata"]["name"], alone.name, {"rules": kept})


@pytest.mark.usefixtures("it")
@pytest.mark.parametrize("target", ["service/it", "pod/it-0"])
def test_its_rights_are_enough_to_come_as_far_as_the_node(alone: Namespace, kubeconfig: Path, target: str) -> None:
    error = failure(alone, kubeconfig, target=target)
    assert error.code is None, error
    assert error.kind in (Kind.RETRY, Kind.UNREACHABLE)
    assert "error upgrading connection" in error.why


@pytest.mark.usefixtures("it")
@pytest.mark.parametrize(
    ("verb", "resource"), [("create", "pods/portforward"), ("get", "pods"), ("list", "pods"), ("get", "services")]
)
def test_a_missing_right_is_named_with_account_and_rule(
    alone: Namespace, kubeconfig: Path, verb: str, resource: str
) -> None:
    without(alone, verb, resource)
    error = failure(alone, kubeconfig)
    assert error.code == "403"
    assert error.why == f"system:serviceaccount:{alone.name}:{ACCOUNT} may not {verb} {resource}"
    assert f'{{apiGroups: [""], resources: [{resource}], verbs: [{verb}]}}' in error.next_step


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"target": "service/no-such"}, 'services "no-such" not found'),
        ({"target": "pod/no-such"}, 'pods "no-such" not found'),
        ({"context": "no-such"}, "no-such"),
        ({"port": 81}, "does not have a service port 81"),
    ],
)
@pytest.mark.usefixtures("it")
def test_a_name_that_is_wrong_is_missing_by_that_name(
    alone: Namespace, kubeconfig: Path, changes: dict[str, Any], why: str
) -> None:
    error = failure(alone, kubeconfig, **changes)
    assert error.kind is Kind.MISSING
    assert why in error.why


def test_a_service_without_a_pod_is_named_at_the_deadline(alone: Namespace, kubeconfig: Path) -> None:
    core = client.CoreV1Api(alone.api)
    core.create_namespaced_service(
        alone.name, {"metadata": {"name": "it"}, "spec": {"selector": {"a": "it"}, "ports": [{"port": 80}]}}
    )
    error = failure(alone, kubeconfig, seconds=15)
    assert error.kind is Kind.RETRY
    assert "the service has no pod that runs" in error.why


def test_a_token_that_is_not_accepted_is_named(alone: Namespace, kubeconfig: Path) -> None:
    tree = yaml.safe_load(kubeconfig.read_text())
    tree["users"][0]["user"]["token"] = "of-nobody"
    kubeconfig.write_text(yaml.safe_dump(tree))
    error = failure(alone, kubeconfig)
    assert error.kind is Kind.STOP
    assert "credentials" in error.next_step
    assert "of-nobody" not in str(error)


def test_an_api_server_that_is_away_is_named_at_the_deadline(alone: Namespace, kubeconfig: Path) -> None:
    tree = yaml.safe_load(kubeconfig.read_text())
    tree["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    kubeconfig.write_text(yaml.safe_dump(tree))
    error = failure(alone, kubeconfig)
    assert error.kind is Kind.UNREACHABLE
    assert "API server is away" in error.why
