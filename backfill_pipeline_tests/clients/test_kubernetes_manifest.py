"""The Job that is sent, made from a CronJob's template."""

import copy
from typing import Any

import pytest
import yaml

from backfill_pipeline.clients.kubernetes.manifest import GRACE_SECONDS, LOG_SECONDS, job_of, masked
from backfill_pipeline.clients.kubernetes.state import DEFAULT_CONTAINER
from backfill_pipeline.domain.plans import Launch
from backfill_pipeline.stack.processes import PROJECT

LAUNCH = Launch(
    "one", "task", {"REINDEX_MODE": "process", "MARK": "m"}, {"backfill-pipeline/attempt": "a1"}, {"who": "me"}, 60.9
)


def cronjob() -> dict[str, Any]:
    file = PROJECT / "deploy" / "cronjobs" / "cron-batch-reindex-conversations.yaml"
    return dict(yaml.safe_load(file.read_text()))


def env(job: dict[str, Any]) -> list[dict[str, Any]]:
    return list(job["spec"]["template"]["spec"]["containers"][0]["env"])


def test_a_value_of_the_template_is_replaced_and_never_given_twice() -> None:
    given = env({"spec": cronjob()["spec"]["jobTemplate"]["spec"]})
    assert [e["value"] for e in given if e["name"] == "REINDEX_MODE"] == ["conversation"]
    made = env(job_of(cronjob(), LAUNCH))
    assert [e["value"] for e in made if e["name"] == "REINDEX_MODE"] == ["process"]
    assert {e["name"] for e in made} == {e["name"] for e in given} | {"MARK"}


def test_a_value_that_refers_to_one_of_ours_gets_the_reference_itself() -> None:
    """Kubernetes puts in only what stands before it, and leaves `$(NAME)` as it is where nothing does."""
    template = cronjob()
    [container] = template["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    container["env"] = [
        {"name": "BEFORE", "value": "theirs"},
        {"name": "REINDEX_MODE", "value": "$(BEFORE)"},
        {"name": "A", "value": "from-$(REINDEX_MODE)"},
        {"name": "REINDEX_MODE", "value": "once more"},
        {"name": "B", "value": "from-$(MARK)"},
    ]
    assert [(e["name"], e["value"]) for e in env(job_of(template, LAUNCH))] == [
        ("MARK", "m"),
        ("BEFORE", "theirs"),
        ("REINDEX_MODE", "process"),
        ("A", "from-$(REINDEX_MODE)"),
        ("B", "from-$(MARK)"),
    ]


def test_k2_a_pod_that_dies_is_not_started_again_by_kubernetes() -> None:
    template = cronjob()
    template["spec"]["jobTemplate"]["spec"] |= {"backoffLimit": 6, "completions": 3, "parallelism": 3}
    template["spec"]["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] = "OnFailure"
    made = job_of(template, LAUNCH)["spec"]
    assert (made["backoffLimit"], made["completions"], made["parallelism"]) == (0, 1, 1)
    assert made["template"]["spec"]["restartPolicy"] == "Never"


def test_k1_no_job_without_a_deadline() -> None:
    assert job_of(cronjob(), LAUNCH)["spec"]["activeDeadlineSeconds"] == 60


@pytest.mark.parametrize(("given", "kept"), [(0, 1), (3, 3), (600, GRACE_SECONDS)])
def test_d16_a_pod_without_a_grace_is_forgotten_while_its_process_writes(given: int, kept: int) -> None:
    """The API server deletes it at once and asks no kubelet; whoever cancels takes it for ended."""
    template = cronjob()
    template["spec"]["jobTemplate"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = given
    assert job_of(template, LAUNCH)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == kept


def test_k4_a_short_ttl_of_the_template_does_not_take_the_log_away() -> None:
    template = cronjob()
    template["spec"]["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] = 5
    assert job_of(template, LAUNCH)["spec"]["ttlSecondsAfterFinished"] == LOG_SECONDS


def test_job_and_pod_carry_the_marks_and_keep_the_templates_own() -> None:
    job = job_of(cronjob(), LAUNCH)
    for metadata in (job["metadata"], job["spec"]["template"]["metadata"]):
        assert metadata["labels"]["backfill-pipeline/attempt"] == "a1"
        assert metadata["annotations"]["who"] == "me"
    assert job["metadata"]["labels"]["app.kubernetes.io/name"] == "batch-reindex-conversations"


def test_the_cronjob_itself_is_left_as_it_was() -> None:
    template = cronjob()
    before = copy.deepcopy(template)
    job_of(template, LAUNCH)
    assert template == before


# What a Job's spec can say, each accepted by a real API server (1.36), so that a pod is made after the first.
MORE_PODS: dict[str, dict[str, Any]] = {
    "a failure that does not count": {
        "podFailurePolicy": {
            "rules": [{"action": "Ignore", "onExitCodes": {"operator": "NotIn", "values": [0]}}],
        },
        "podReplacementPolicy": "Failed",
    },
    "a limit per index": {
        "completionMode": "Indexed",
        "completions": 5,
        "parallelism": 2,
        "backoffLimitPerIndex": 3,
        "maxFailedIndexes": 4,
    },
    "success by index": {
        "completionMode": "Indexed",
        "completions": 3,
        "successPolicy": {"rules": [{"succeededIndexes": "0-2"}]},
    },
}


@pytest.mark.parametrize("more", MORE_PODS.values(), ids=MORE_PODS)
def test_k2_nothing_of_the_template_makes_a_second_pod(more: dict[str, Any]) -> None:
    template = cronjob()
    template["spec"]["jobTemplate"]["spec"] |= more
    assert job_of(template, LAUNCH) == job_of(cronjob(), LAUNCH)


@pytest.mark.parametrize("kept", [{"suspend": True}, {"managedBy": "kueue.x-k8s.io/multikueue"}])
def test_a_job_that_somebody_else_shall_start_is_not_started_behind_their_back(kept: dict[str, Any]) -> None:
    template = cronjob()
    template["spec"]["jobTemplate"]["spec"] |= kept
    assert kept.items() <= job_of(template, LAUNCH)["spec"].items()


RULES = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [3]}}]
SIDECAR = {"name": "mesh", "image": "i", "restartPolicy": "Always"}


def test_k2_a_container_that_ended_is_not_begun_again_by_a_policy_of_its_own() -> None:
    template = cronjob()
    pod = template["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    pod["containers"][0] |= {"restartPolicy": "OnFailure", "restartPolicyRules": RULES}
    pod["initContainers"] = [SIDECAR | {"restartPolicyRules": RULES}]
    made = job_of(template, LAUNCH)["spec"]["template"]["spec"]
    assert made["containers"] == job_of(cronjob(), LAUNCH)["spec"]["template"]["spec"]["containers"]
    assert made["initContainers"] == [SIDECAR], "what makes it a sidecar is kept"


def test_the_log_of_a_sidecar_that_is_put_in_later_is_not_read_for_the_tasks() -> None:
    made = job_of(cronjob(), LAUNCH)["spec"]["template"]
    assert made["metadata"]["annotations"][DEFAULT_CONTAINER] == made["spec"]["containers"][0]["name"]
    template = cronjob()
    pod = template["spec"]["jobTemplate"]["spec"]["template"]
    pod["metadata"]["annotations"] = {DEFAULT_CONTAINER: "second"}
    assert job_of(template, LAUNCH)["spec"]["template"]["metadata"]["annotations"][DEFAULT_CONTAINER] == "second"


SECRETS = ("DB_PASSWORD", "DATABASE_URL", "REDIS_URL", "DB_PASS", "PGPASS", "SENTRY_AUTH", "SALT", "REINDEX_MODE")


def test_a_secret_that_a_template_holds_in_plain_text_is_shown_to_whoever_asks_for_the_plan() -> None:
    """No name tells which value is one: all that are not the launch's own are masked."""
    template = cronjob()
    pod = template["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    container["env"] += [{"name": n, "value": "hunter2"} for n in SECRETS]
    container["env"] += [{"name": "FROM", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
    pod["initContainers"] = [{"name": "first", "env": [{"name": "ANY", "value": "hunter2"}]}]
    shown = job_of(masked(template), LAUNCH)
    assert "hunter2" in str(job_of(template, LAUNCH)), "the Job itself needs it"
    assert "hunter2" not in str(shown)
    assert {e["name"]: e["value"] for e in env(shown) if e.get("value", "***") != "***"} == LAUNCH.env
    assert {e["name"] for e in env(shown)} >= {*SECRETS, "FROM"}, "what there is can be seen"


def test_a_password_in_an_address_is_shown_to_whoever_asks_for_the_plan() -> None:
    template = cronjob()
    [container] = template["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    container["image"] = "https://me:hunter/2@registry/app:1"
    [shown] = job_of(masked(template), LAUNCH)["spec"]["template"]["spec"]["containers"]
    assert shown["image"] == "https://***@registry/app:1"


GET = {"httpGet": {"port": 1, "httpHeaders": [{"name": "Authorization", "value": "hunter2"}]}}
RUNS = {"exec": {"command": ["curl", "-H", "Authorization: hunter2"]}}
SAID = {"annotations": {"vault/token": "hunter2"}}
PLACES: dict[str, dict[str, Any]] = {
    "command": {"command": ["sh", "-c", "curl -H 'Authorization: Bearer hunter2' http://x"]},
    "args": {"args": ["--password", "hunter2", "--password=hunter2"]},
    "header of a probe": {"livenessProbe": GET},
    "header of a hook": {"lifecycle": {"preStop": GET}},
    "query of a probe": {"livenessProbe": {"httpGet": {"port": 1, "path": "/healthz?token=hunter2"}}},
    "command of a probe": {"readinessProbe": RUNS},
    "command of a hook": {"lifecycle": {"postStart": RUNS}},
}


def shown_with(**more: Any) -> str:
    """The manifest as it is shown, whose template's container, init container, metadata and volumes hold this."""
    template = cronjob()
    job = template["spec"]["jobTemplate"]
    pod = job["spec"]["template"]
    pod["spec"]["containers"][0] |= more.get("container", {})
    pod["spec"]["initContainers"] = [{"name": "first", **more.get("container", {})}]
    pod["spec"]["volumes"] = more.get("volumes", [])
    job["metadata"] |= more.get("metadata", {})
    pod["metadata"] |= more.get("metadata", {})
    assert "hunter2" in str(job_of(template, LAUNCH)), "the Job itself needs it"
    return str(job_of(masked(template), LAUNCH))


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_secret_in_a_command_or_a_header_is_shown_to_whoever_asks_for_the_plan(place: dict[str, Any]) -> None:
    assert "hunter2" not in shown_with(container=place)


def test_a_secret_in_an_annotation_is_shown_to_whoever_asks_for_the_plan() -> None:
    assert "hunter2" not in shown_with(metadata=SAID)
    assert "'who': 'me'" in shown_with(metadata=SAID, container=PLACES["args"]), "what a launch adds is no secret"
    volume = {"name": "v", "csi": {"driver": "d", "volumeAttributes": {"token": "hunter2"}}}
    assert "hunter2" not in shown_with(volumes=[volume])


def test_what_a_jobs_task_is_can_be_seen() -> None:
    [shown] = job_of(masked(cronjob()), LAUNCH)["spec"]["template"]["spec"]["containers"]
    assert shown["command"] == ["python", "-m", "backfill_pipeline.worker.tasks.batch_reindex_conversations"]
