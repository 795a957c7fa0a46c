"""Runs of any client carry tags of any bytes: of PostgreSQL, which takes no NUL, one of them would fail every look."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from backfill_pipeline.defs import ended_runs, tags
from backfill_pipeline.defs.ended_runs import outcomes_of
from backfill_pipeline.defs.partitions import range_tags
from backfill_pipeline.domain.retries import Outcome
from backfill_pipeline_tests.defs.ended import BY_HAND, WINDOW, Site, Status, windows

NO_TEXT = (tags.LAUNCHED_BY, tags.WHY, tags.SKIP_LOGS, "approved/rows", tags.CAUSE, tags.EVIDENCE)


@pytest.mark.parametrize("tag", NO_TEXT)
def test_a_tag_that_postgresql_does_not_take_stops_the_retries_of_all_others(site: Site, tag: str) -> None:
    """The instance of this test stores no half of a surrogate pair, others may: the next but one has it."""
    site.ran(Status.FAILURE, of=site.east)
    failed = site.ran(Status.FAILURE, **{tag: "a\0b"})
    assert {r.of for r in site.tick().due} == {site.acme, site.east}
    (last,) = {s.last.run_id: s.last for (of, _), s in site.tick().days.items() if of == site.acme}.values()
    assert last.run_id == failed
    assert "a b" in {*last.kept.values(), last.cause, last.evidence} or tag == "approved/rows"


def test_a_day_of_which_a_run_tells_no_text_is_not_given_up(site: Site) -> None:
    site.ran(Status.FAILURE, **{**BY_HAND, tags.EVIDENCE: "no such\0column", tags.WHY: "a\0b"})
    tick = site.shown()
    assert windows(tick) == []
    assert {s.last.evidence for s, why in tick.quarantine if why} == {"no such column"}


@pytest.mark.parametrize("name", ["approved/rows", "approved/rows\0"])
@pytest.mark.parametrize("value", ["true\0", "\udcfftrue"])
def test_an_approval_that_is_none_becomes_one_as_it_is_cleaned(site: Site, name: str, value: str) -> None:
    given = {**range_tags(WINDOW), name: value, tags.WHY: "a\udcffb"}
    run = dg.DagsterRun("job", asset_selection=frozenset(site.looker.keys), status=Status.FAILURE, tags=given)
    now = datetime.now(UTC)
    found, _ = outcomes_of(dg.RunRecord(1, run, now, now), site.looker.keys, now)
    assert found.kept == {tags.WHY: "a b"}


def test_a_run_that_nobody_foresaw_stops_the_retries_of_all_others(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def outcome(record: dg.RunRecord, *args: Any) -> Outcome:
        if record.dagster_run.run_id == odd:
            raise RecursionError("nobody foresaw it")
        return as_it_is(record, *args)

    as_it_is = ended_runs._outcome
    monkeypatch.setattr(ended_runs, "_outcome", outcome)
    site.ran(Status.FAILURE, of=site.east)
    odd = site.ran(Status.FAILURE)
    assert {r.of for r in site.tick().due} == {site.east}
    assert f"Run {odd} can't be read" in caplog.text
