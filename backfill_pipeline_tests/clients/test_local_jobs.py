import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from backfill_pipeline.clients.launcher import JobState
from backfill_pipeline.domain.errors import Kind, PipelineError, Refused
from backfill_pipeline_tests.clients.jobs import LABELS, Folder, a_launch, a_manifest, lives, wait_for

DEPLOYED = Path(__file__).parents[2] / "deploy" / "cronjobs" / "cron-batch-reindex-conversations.yaml"
IGNORES_SIGTERM = "trap '' TERM; echo started $$; while :; do sleep 0.05; done"
# A launcher that is killed at a chosen point: it asks for the Job and dies inside `ensure`.
KILLED_LAUNCHER = """
import os, signal, sys
from pathlib import Path
from typing import Any
from backfill_pipeline.clients import local_jobs
from backfill_pipeline_tests.clients.jobs import Folder, a_launch
setattr(local_jobs, sys.argv[2], lambda *_: os.kill(os.getpid(), signal.SIGKILL))
Folder(Path(sys.argv[1])).launcher().ensure(a_launch())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    jobs = Folder(tmp_path)
    yield jobs
    jobs.end_all()


def nothing_is_left(folder: Folder) -> None:
    """A process lets go of its Job's lock an instant before it is gone."""
    wait_for(lambda: not folder.members(), "the end of all that the Job started", 3)


def launched_and_killed(folder: Folder, at: str) -> None:
    """A launcher that dies when it comes to the function `at`."""
    done = subprocess.run([sys.executable, "-c", KILLED_LAUNCHER, str(folder.root), at], timeout=60)
    assert done.returncode == -signal.SIGKILL


def test_a_new_job_runs_once_and_its_end_and_log_are_kept(folder: Folder) -> None:
    jobs = folder.runs("echo one; echo two >&2")
    handle = jobs.ensure(a_launch())
    assert (handle.name, handle.adopted) == ("job-1", False)
    status = folder.over()
    assert (status.state, status.exit_code) == (JobState.SUCCEEDED, 0)
    assert list(jobs.log("job-1")) == ["one", "two"]
    assert Path(jobs.where("job-1")).read_text() == "one\ntwo\n"


def test_the_windows_env_is_not_lost_behind_the_manifests(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_SECRET", "secret")
    folder.environment = {"CLUSTER": "north", "B": "cluster", "C": "cluster"}
    named = [{"name": n, "value": "manifest"} for n in "ABC"]
    secret = {"name": "FROM_SECRET", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}
    jobs = folder.runs("echo $A $B $C $CLUSTER $FROM_SECRET", env=[*named, secret])
    jobs.ensure(a_launch(env={"C": "window"}))
    folder.over()
    assert list(jobs.log("job-1")) == ["manifest cluster window north secret"]


def test_what_a_template_holds_in_plain_text_reaches_the_job_and_not_who_asks_for_its_manifest(folder: Folder) -> None:
    jobs = folder.has(a_manifest(["sh", "-c", "echo $DATABASE_URL"], [{"name": "DATABASE_URL", "value": "hunter2"}]))
    assert "hunter2" not in str(jobs.manifest(a_launch()))
    jobs.ensure(a_launch())
    folder.over()
    assert list(jobs.log("job-1")) == ["hunter2"]


def test_k2_twenty_launchers_at_once_start_one_process(folder: Folder) -> None:
    folder.runs("echo ran $$; exec sleep 0.3")
    with ThreadPoolExecutor(20) as pool:
        handles = list(pool.map(lambda _: folder.launcher().ensure(a_launch()), range(20)))
    assert folder.over().state is JobState.SUCCEEDED
    assert [h.adopted for h in handles].count(False) == 1
    assert len(list(folder.launcher().log("job-1"))) == 1


@pytest.mark.parametrize("script", ["exit 0", "exit 3"])
def test_k2_a_job_that_is_over_is_adopted_and_not_run_again(folder: Folder, script: str) -> None:
    jobs = folder.runs(f"echo ran; {script}")
    jobs.ensure(a_launch())
    ended = folder.over()
    assert jobs.ensure(a_launch()).adopted
    assert folder.launcher().status("job-1") == ended
    assert list(jobs.log("job-1")) == ["ran"]


@pytest.mark.parametrize("at", ["_call_runner", "_until"])
def test_k2_a_launcher_killed_before_it_could_answer_leaves_no_second_job(folder: Folder, at: str) -> None:
    jobs = folder.runs("echo ran; exec sleep 0.3")
    launched_and_killed(folder, at)
    assert jobs.ensure(a_launch()).adopted
    assert folder.over().state is JobState.SUCCEEDED
    assert list(jobs.log("job-1")) == ["ran"]


def test_a_launcher_that_ends_does_not_end_its_job(folder: Folder) -> None:
    jobs = folder.runs("exec sleep 0.5")
    launched_and_killed(folder, "_until")
    assert folder.over().state is JobState.SUCCEEDED
    assert jobs.status("job-1").exit_code == 0


def test_k2_a_job_of_the_same_name_that_is_somebody_elses_is_refused_and_left_alone(folder: Folder) -> None:
    jobs = folder.runs("echo started; exec sleep 30")
    jobs.ensure(a_launch())
    runner = folder.running()
    with pytest.raises(Refused, match="job-1 exists and is not ours"):
        jobs.ensure(a_launch(labels={**LABELS, "backfill-pipeline/attempt": "2"}))
    assert lives(runner)
    assert list(jobs.log("job-1")) == ["started"]


def test_two_names_are_two_jobs(folder: Folder) -> None:
    jobs = folder.runs("echo ran")
    assert not jobs.ensure(a_launch("job-1")).adopted
    assert not jobs.ensure(a_launch("job-2")).adopted
    assert folder.over("job-1").state is folder.over("job-2").state is JobState.SUCCEEDED


def test_a_check_makes_a_job_or_passes_over_one_that_is_not_ours(folder: Folder) -> None:
    jobs = folder.runs("true")
    jobs.check(a_launch())
    assert jobs.status("job-1").state is JobState.GONE
    jobs.ensure(a_launch())
    jobs.check(a_launch())
    with pytest.raises(Refused, match="is not ours"):
        jobs.check(a_launch(labels={"backfill-pipeline/attempt": "another"}))


def a_manifest_of_suspended_jobs() -> dict[str, Any]:
    manifest = a_manifest(["true"])
    manifest["spec"]["jobTemplate"]["spec"]["suspend"] = True
    return manifest


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        (a_manifest(["true"], suspend=True), "the CronJob is suspended"),
        (a_manifest_of_suspended_jobs(), "its Jobs begin suspended"),
        ("spec: [unclosed", "expected"),
        ("", "NoneType"),
        ("spec: words", "str"),
        ({"spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": []}}}}}}, "IndexError"),
        ({"spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": ["task"]}}}}}}, "Error"),
        ({"spec": {"schedule": "* * * * *"}}, "jobTemplate"),
        (a_manifest(None), "no command"),
        (a_manifest([]), "no command"),
    ],
)
def test_a_cronjob_that_can_not_be_used_is_missing_by_name_and_no_job_is_made(
    folder: Folder, manifest: object, why: str
) -> None:
    jobs = folder.has(manifest)
    with pytest.raises(PipelineError, match="can't be used"):
        jobs.check(a_launch())
    with pytest.raises(PipelineError, match="can't be used") as raised:
        jobs.ensure(a_launch())
    assert raised.value.kind is Kind.MISSING
    assert raised.value.where == str(folder.manifest)
    assert why in raised.value.why
    assert jobs.status("job-1").state is JobState.GONE


def test_a_cronjob_without_a_manifest_is_missing_by_name(folder: Folder) -> None:
    with pytest.raises(PipelineError, match="cron-made-up can't be used") as raised:
        folder.launcher().ensure(a_launch())
    assert raised.value.kind is Kind.MISSING
    assert str(folder.manifest) in str(raised.value)


def test_the_deployed_cronjob_runs_here_as_it_is(folder: Folder) -> None:
    deployed = yaml.safe_load(DEPLOYED.read_text())
    jobs = folder.has(deployed)
    jobs.ensure(a_launch(env={"REINDEX_MODE": "no-such-mode"}))
    assert folder.over(seconds=60).exit_code == 2, list(jobs.log("job-1"))
    assert any("REINDEX_MODE" in line for line in jobs.log("job-1"))


@pytest.mark.parametrize(
    ("script", "code"), [("exit 3", 3), ("kill -9 $$", 137), ("kill -15 $$", 143), ("exec no-such-command", 127)]
)
def test_k1_a_failed_job_keeps_its_exit_code(folder: Folder, script: str, code: int) -> None:
    folder.runs(script).ensure(a_launch())
    status = folder.over()
    assert (status.state, status.exit_code, status.reason) == (JobState.FAILED, code, f"exit code {code}")


def test_k1_a_command_that_is_not_there_fails_and_says_so_in_the_log(folder: Folder) -> None:
    jobs = folder.has(a_manifest(["no-such-command-anywhere"]))
    jobs.ensure(a_launch())
    assert folder.over().exit_code == 127
    assert any("could not be started" in line and "no-such-command-anywhere" in line for line in jobs.log("job-1"))


def test_k1_a_job_whose_runner_was_killed_counts_as_running_while_its_command_lives(folder: Folder) -> None:
    jobs = folder.runs("echo started; exec sleep 1")
    jobs.ensure(a_launch())
    os.kill(folder.running(), signal.SIGKILL)
    wait_for(lambda: not lives(int((folder.job() / "pid").read_text())), "the runner's end")
    assert folder.launcher().status("job-1").state is JobState.RUNNING
    status = folder.over()
    assert (status.state, status.exit_code) == (JobState.FAILED, None)
    assert "killed before it could say how it ended" in status.reason
    assert jobs.ensure(a_launch()).adopted
    assert list(jobs.log("job-1")) == ["started"], "a Job whose end is unknown was run again"


def test_k1_a_job_that_was_killed_altogether_is_not_waited_for(folder: Folder) -> None:
    folder.runs("echo started; exec sleep 30").ensure(a_launch())
    os.killpg(folder.running(), signal.SIGKILL)
    status = folder.over()
    assert (status.state, status.exit_code) == (JobState.FAILED, None)


@pytest.mark.parametrize("script", ["exec sleep 30", "sleep 30 & wait"])
def test_k1_a_job_that_hangs_is_ended_at_its_deadline_with_all_it_started(folder: Folder, script: str) -> None:
    jobs = folder.runs(f"echo started; {script}")
    jobs.ensure(a_launch(deadline_seconds=0.5))
    status = folder.over(seconds=10)
    assert (status.state, status.exit_code) == (JobState.FAILED, 137)
    assert "ended: still running after its deadline of 0.5 s" in list(jobs.log("job-1"))
    nothing_is_left(folder)


def test_d15_a_cancelled_job_gets_the_chance_to_end_by_itself(folder: Folder) -> None:
    jobs = folder.runs("trap 'echo goodbye; exit 5' TERM; echo started; while :; do sleep 0.05; done")
    jobs.ensure(a_launch())
    folder.running()
    jobs.cancel("job-1")
    assert jobs.status("job-1").exit_code == 5
    assert "goodbye" in list(jobs.log("job-1"))


@pytest.mark.parametrize("script", ["echo started; exec sleep 30", "echo started; sleep 30 & wait"])
def test_d15_nothing_writes_on_after_a_cancel(folder: Folder, script: str) -> None:
    jobs = folder.runs(script)
    jobs.ensure(a_launch())
    folder.running()
    jobs.cancel("job-1")
    nothing_is_left(folder)
    assert jobs.status("job-1").exit_code == 143


def test_d15_a_job_that_ignores_sigterm_is_ended_all_the_same(folder: Folder) -> None:
    jobs = folder.runs(IGNORES_SIGTERM)
    jobs.ensure(a_launch())
    wait_for(lambda: any("started" in line for line in jobs.log("job-1")), "the start")
    began = time.monotonic()
    jobs.cancel("job-1", deadline_seconds=1)
    assert time.monotonic() - began < 5
    nothing_is_left(folder)
    assert jobs.status("job-1").state is JobState.FAILED


def test_a_job_whose_runner_was_killed_can_still_be_cancelled(folder: Folder) -> None:
    jobs = folder.runs("echo started; exec sleep 30")
    jobs.ensure(a_launch())
    os.kill(folder.running(), signal.SIGKILL)
    jobs.cancel("job-1")
    nothing_is_left(folder)
    assert jobs.status("job-1").state is JobState.FAILED


def test_a_job_cancelled_before_it_started_never_starts(folder: Folder) -> None:
    jobs = folder.runs("echo ran")
    launched_and_killed(folder, "_call_runner")
    assert jobs.status("job-1").state is JobState.PENDING
    jobs.cancel("job-1")
    assert jobs.ensure(a_launch()).adopted
    assert jobs.status("job-1").exit_code == 143
    assert list(jobs.log("job-1")) == []


def test_a_cancel_changes_nothing_about_a_job_that_is_over_or_not_there(folder: Folder) -> None:
    jobs = folder.runs("exit 0")
    jobs.ensure(a_launch())
    ended = folder.over()
    jobs.cancel("job-1")
    assert jobs.status("job-1") == ended
    jobs.cancel("job-2")
    assert jobs.status("job-2").state is JobState.GONE


def test_the_log_is_readable_while_the_job_runs_and_whatever_it_writes(folder: Folder) -> None:
    jobs = folder.runs(r"printf 'ok\n\377\376 odd\nhalf'; echo; echo started; exec sleep 30")
    assert list(jobs.log("job-1")) == []
    jobs.ensure(a_launch())
    folder.running()
    assert list(jobs.log("job-1")) == ["ok", "\ufffd\ufffd odd", "half", "started"]
    jobs.cancel("job-1")


def test_k1_a_job_that_is_gone_is_neither_good_nor_bad(folder: Folder) -> None:
    jobs = folder.runs("exit 0")
    assert jobs.status("job-1").state is JobState.GONE
    jobs.ensure(a_launch())
    assert folder.over().state is JobState.SUCCEEDED
    shutil.rmtree(folder.job())
    gone = jobs.status("job-1")
    assert (gone.state, gone.exit_code) == (JobState.GONE, None)
    assert gone.state.is_over
    assert list(jobs.log("job-1")) == []
