"""Jobs that do not start: why is told, and whether only a person can change it."""

import pytest

from backfill_pipeline.clients.kubernetes.jobs import KubernetesJobs
from backfill_pipeline.clients.launcher import JobState, JobStatus
from backfill_pipeline.domain.failures import Cause, diagnose
from backfill_pipeline_tests.kubernetes.cluster import Namespace, until
from backfill_pipeline_tests.kubernetes.real.image import REGISTRY
from backfill_pipeline_tests.kubernetes.real.jobs import cronjob
from backfill_pipeline_tests.kubernetes.test_launch import launch

pytestmark = [pytest.mark.real_node, pytest.mark.usefixtures("node")]


def said(jobs: KubernetesJobs, text: str) -> JobStatus:
    return until(text, lambda: (s := jobs.status("one")) and text in s.reason and s, seconds=60)


def test_an_image_that_cant_be_pulled_is_not_waited_for_until_the_deadline(
    alone: Namespace, jobs: KubernetesJobs
) -> None:
    cronjob(alone, "true", image=f"{REGISTRY}/absent:1")
    jobs.ensure(launch())
    for reason in ("ErrImagePull", "ImagePullBackOff"):
        found = said(jobs, reason)
        assert (found.state, found.is_stuck) == (JobState.PENDING, True)
        assert f"{REGISTRY}/absent:1" in found.reason
        assert diagnose([found.reason]).cause is Cause.IMAGE_PULL
    jobs.cancel("one")
    assert jobs.status("one").state is JobState.GONE


def test_an_image_that_may_not_be_pulled_is_not_waited_for_until_the_deadline(
    alone: Namespace, jobs: KubernetesJobs
) -> None:
    cronjob(alone, "true", image=f"{REGISTRY}/absent:1", imagePullPolicy="Never")
    jobs.ensure(launch())
    found = said(jobs, "ErrImageNeverPull")
    assert found.is_stuck
    assert diagnose([found.reason]).cause is Cause.IMAGE_PULL


def test_an_image_name_that_is_none_is_told_from_one_that_is_away(alone: Namespace, jobs: KubernetesJobs) -> None:
    cronjob(alone, "true", image="Not An Image")
    jobs.ensure(launch())
    found = said(jobs, "InvalidImageName")
    assert found.is_stuck
    assert diagnose([found.reason]).cause is Cause.IMAGE_PULL


def test_a_secret_that_is_not_there_is_not_waited_for_until_the_deadline(
    alone: Namespace, jobs: KubernetesJobs
) -> None:
    """What deploy/'s CronJobs meet on a cluster where nobody made the Secret yet."""
    cronjob(alone, "true", envFrom=[{"secretRef": {"name": "backfill-pipeline"}}])
    jobs.ensure(launch())
    found = said(jobs, 'secret "backfill-pipeline" not found')
    assert found.reason.startswith("CreateContainerConfigError")
    assert found.is_stuck
    assert diagnose([found.reason]).cause is Cause.MISSING


def test_a_pod_that_fits_on_no_node_is_told_and_may_yet_fit(alone: Namespace, jobs: KubernetesJobs) -> None:
    """It is not stuck: other pods end, and a cluster may grow."""
    cronjob(alone, "true", resources={"requests": {"cpu": "1000"}})
    jobs.ensure(launch())
    found = said(jobs, "Unschedulable")
    assert (found.state, found.is_stuck) == (JobState.PENDING, False)
    assert "Insufficient cpu" in found.reason
    assert diagnose([found.reason]).cause is Cause.UNSCHEDULABLE
