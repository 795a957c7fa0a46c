"""What the stack's clusters hold before the first run: `python -m ...prepare --kubeconfig ADMIN --folder F CLUSTER...`

A namespace per cluster with the CronJobs and rights of deploy/, a Secret with what a Job needs to know, and a kubeconfig of
the account that these rights are given to, which is all that the pipeline ever uses. Run at each start; made anew are only
the token and the Secret.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from backfill_pipeline.config import ENV_CONFIG
from backfill_pipeline.stack.kubernetes.access import CONTEXT, write_kubeconfig
from backfill_pipeline.stack.password import ENV_PASSWORD
from backfill_pipeline.stack.processes import PROJECT
from backfill_pipeline.steps.systems import ENV_CLUSTER

ACCOUNT, SECRET = "backfill-pipeline", "backfill-pipeline"
TOKEN_SECONDS = 30 * 24 * 3600
DEPLOY = PROJECT / "deploy"
CONFLICT = 409

Tree = dict[str, Any]


def namespace_of(cluster: str) -> str:
    return f"cron-{cluster.lower()}"


def kubeconfig_of(folder: Path, cluster: str) -> Path:
    return folder / f"{cluster}.kubeconfig"


def main() -> None:
    given = _arguments()
    with config.new_client_from_config(str(given.kubeconfig), CONTEXT) as api:
        for cluster in given.clusters:
            _prepare(api, cluster)
            token = _token(api, namespace_of(cluster))
            authority = Path(str(api.configuration.ssl_ca_cert))
            target = kubeconfig_of(given.folder, cluster)
            write_kubeconfig(target, str(api.configuration.host), authority, token, namespace_of(cluster))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="prepare", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True, help="the administrator's")
    parser.add_argument("--folder", type=Path, required=True, help="where the accounts' kubeconfigs go")
    parser.add_argument("clusters", nargs="+")
    return parser.parse_args()


def _prepare(api: client.ApiClient, cluster: str) -> None:
    core, batch, rights = client.CoreV1Api(api), client.BatchV1Api(api), client.RbacAuthorizationV1Api(api)
    here = namespace_of(cluster)
    _made(core.create_namespace, {"metadata": {"name": here}})
    makers = {
        "ServiceAccount": core.create_namespaced_service_account,
        "Role": rights.create_namespaced_role,
        "RoleBinding": rights.create_namespaced_role_binding,
        "CronJob": batch.create_namespaced_cron_job,
    }
    for tree in manifests(here):
        _made(makers[tree["kind"]], here, tree)
    secret = {"metadata": {"name": SECRET}, "stringData": _job_environment(cluster)}
    _made(core.create_namespaced_secret, here, secret)
    core.patch_namespaced_secret(SECRET, here, secret)


def manifests(namespace: str) -> list[Tree]:
    """deploy/'s, moved to a namespace."""
    files = [DEPLOY / "rbac.yaml", *sorted((DEPLOY / "cronjobs").glob("*.yaml"))]
    trees = [tree for file in files for tree in yaml.safe_load_all(file.read_text())]
    return [_moved(tree, namespace) for tree in trees]


def _moved(tree: Tree, namespace: str) -> Tree:
    moved: Tree = {**tree, "metadata": {**tree["metadata"], "namespace": namespace}}
    if "subjects" in tree:
        moved["subjects"] = [{**subject, "namespace": namespace} for subject in tree["subjects"]]
    return moved


def _job_environment(cluster: str) -> dict[str, str]:
    wanted = {name: os.environ[name] for name in (ENV_CONFIG, ENV_PASSWORD) if name in os.environ}
    return {ENV_CLUSTER: cluster, **wanted}


def _token(api: client.ApiClient, namespace: str) -> str:
    asked = {"spec": {"expirationSeconds": TOKEN_SECONDS}}
    made = client.CoreV1Api(api).create_namespaced_service_account_token(ACCOUNT, namespace, asked)
    return str(made.status.token)


def _made(create: Any, *args: Any) -> None:
    """Made, or there already."""
    try:
        create(*args)
    except ApiException as error:
        if error.status != CONFLICT or json.loads(error.body)["reason"] != "AlreadyExists":
            raise


if __name__ == "__main__":
    main()
