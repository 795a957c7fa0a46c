"""The account that deploy/ makes, with its rights or without one of them."""

from collections.abc import Iterator
from contextlib import contextmanager

from kubernetes import client

from backfill_pipeline_tests.kubernetes.cluster import Namespace, deployed

ACCOUNT = "backfill-pipeline"


@contextmanager
def logged_in(alone: Namespace) -> Iterator[client.ApiClient]:
    for tree in deployed("rbac.yaml"):
        alone.apply(tree)
    core = client.CoreV1Api(alone.api)
    token = core.create_namespaced_service_account_token(ACCOUNT, alone.name, {"spec": {"expirationSeconds": 3600}})
    given = client.Configuration()
    given.host, given.ssl_ca_cert = alone.api.configuration.host, alone.api.configuration.ssl_ca_cert
    # With `api_key_prefix` client 36.0.3 drops "Bearer", and one is anonymous without a word.
    given.api_key = {"authorization": f"Bearer {token.status.token}"}
    with client.ApiClient(given) as api:
        yield api


def without(alone: Namespace, verb: str, resource: str) -> None:
    role = next(t for t in deployed("rbac.yaml") if t["kind"] == "Role")
    for given in role["rules"]:
        given["verbs"] = [v for v in given["verbs"] if (v, *given["resources"]) != (verb, resource)]
    kept = [given for given in role["rules"] if given["verbs"]]
    client.RbacAuthorizationV1Api(alone.api).patch_namespaced_role(ACCOUNT, alone.name, {"rules": kept})
