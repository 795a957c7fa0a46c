"""The list of kill points holds every call of the chain: what is not in it was never killed."""

from pathlib import Path

from backfill_pipeline_tests.faults import points
from backfill_pipeline_tests.faults.driver import calls, carry_out
from backfill_pipeline_tests.faults.windows import CLUSTER, Small

_RENEWALS = {"ledger.renew"}  # inside check_held, which is a point


def test_a_call_that_the_chain_makes_and_nobody_kills_would_be_an_untested_gap(small: Small, tmp_path: Path) -> None:
    small.damaged()
    made: list[str] = []
    with small.live.systems(CLUSTER) as systems, calls(systems, made.append):
        recorded = carry_out(systems, small.claim(), tmp_path)
    small.assert_right(recorded)
    killed = {p.call for p in points.ALL}
    assert set(made) - _RENEWALS == killed
    assert all(made.count(p.call) >= p.nth for p in points.ALL if not p.call.startswith("temporal.")), made
