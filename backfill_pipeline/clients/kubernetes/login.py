"""A launcher for the cluster that a configuration names."""

from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException

from backfill_pipeline.clients.kubernetes.jobs import KubernetesJobs
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.reach import Launcher


def opened(given: Launcher) -> KubernetesJobs:
    """Nothing is asked of the cluster before the first call.

    Raises:
        PipelineError: MISSING, the context or its file, or this is no pod.
    """
    try:
        return KubernetesJobs(_client(given), given.namespace, given.context)
    except (ConfigException, OSError) as error:
        raise PipelineError(
            "No way to log in to the cluster",
            where=f"{given.kubeconfig or 'KUBECONFIG or ~/.kube/config'}, context {given.context or '(of the pod)'}",
            why=" ".join(str(error).split()),
            next_step="correct `launcher.context` or `launcher.kubeconfig`; `kubectl config get-contexts` lists them",
            kind=Kind.MISSING,
        ) from None


def _client(given: Launcher) -> client.ApiClient:
    if given.context:
        return config.new_client_from_config(str(given.kubeconfig) if given.kubeconfig else None, given.context)
    configuration = client.Configuration()
    config.load_incluster_config(client_configuration=configuration)
    return client.ApiClient(configuration)
