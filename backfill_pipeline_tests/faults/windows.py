"""A small window that is wrong before each case, and what must be true after the case."""

import json
import signal
import time
from collections import Counter
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from backfill_pipeline.clients.temporal import WorkflowState
from backfill_pipeline.config import ClickHouseAddress, required
from backfill_pipeline.domain.plans import Claim
from backfill_pipeline.domain.windows import Window
from backfill_pipeline.steps.records import Recorded
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline_tests.faults.driver import KillPoint, carry_out, start
from backfill_pipeline_tests.live import Live

CLUSTER, CUSTOMER = "north", "acme"
THREE_DAYS = Window(date(2026, 1, 1), date(2026, 1, 4))
LEASE_SECONDS = 1.5
DEADLINE_SECONDS = 60

_OF_ACME = f"customer_id = '{CUSTOMER}' AND conversation_id != ''"
_DAMAGE = (
    "INSERT INTO conversation SELECT * REPLACE ('stale' AS agent_user_id, update_time + toIntervalMicrosecond(1) AS "
    f"update_time) FROM conversation FINAL WHERE {_OF_ACME} AND cityHash64(conversation_id) % 3 = 0",
    "INSERT INTO conversation SELECT * REPLACE (concat(conversation_id, '-gone') AS conversation_id) "
    f"FROM conversation FINAL WHERE {_OF_ACME} ORDER BY conversation_id LIMIT 2",
    f"DELETE FROM score WHERE {_OF_ACME} AND cityHash64(scorecard_id) % 5 = 0",
)


@dataclass(frozen=True)
class Small:
    """Three days of acme on the live stack, under a lease that a test can wait out."""

    live: Live

    def damaged(self) -> None:
        """Stale rows, rows gone from the source, and missing ones, all older than the next marker."""
        clickhouse = ClickHouse(self._address())
        for statement in _DAMAGE:
            clickhouse.shards[0].client().command(statement, settings={"lightweight_deletes_sync": 2})
        clickhouse.close()
        assert self.live.differences(CLUSTER, CUSTOMER, THREE_DAYS), "nothing would be proved"

    def claim(self) -> Claim:
        return self.live.claim(CLUSTER, CUSTOMER, THREE_DAYS)

    def run(self, claim: Claim, folder: Path) -> Recorded:
        """In this process, from whatever record the folder has."""
        folder.mkdir(exist_ok=True)
        with self.live.systems(CLUSTER) as systems:
            return carry_out(systems, claim, folder)

    def killed(self, folder: Path, point: KillPoint) -> Claim:
        """The claim of a run that was ended by SIGKILL at the point; its records lie in the folder."""
        folder.mkdir(exist_ok=True)
        claim = self.claim()
        process = start(self.live.config, claim, folder, point)
        process.join(DEADLINE_SECONDS)
        assert process.exitcode == -signal.SIGKILL, f"not killed at {point} but ended with {process.exitcode}"
        return claim

    def redone_after_kill(self, folder: Path, point: KillPoint) -> None:
        """A new attempt, once the dead one's lease has ended, makes every day right."""
        self.damaged()
        dead, heir = self.killed(folder / "dead", point), self.claim()
        time.sleep(LEASE_SECONDS + 0.2)
        self.assert_right(self.run(heir, folder / "heir"))
        self.assert_nothing_goes_on(dead, heir)

    def continued_after_kill(self, folder: Path, point: KillPoint) -> None:
        """The same attempt goes on from its last record, with the one Job that it has or makes."""
        self.damaged()
        claim = self.killed(folder / "same", point)
        self.assert_right(self.run(claim, folder / "same"))
        self.assert_nothing_goes_on(claim)
        assert self.jobs_per_attempt()[claim.attempt_id] == 1

    def assert_right(self, recorded: Recorded) -> None:
        """Every day is MATCH, and an independent judge finds no row missing, stale, surplus or doubled."""
        assert [d.verdict for d in recorded.verification.days] == ["MATCH"] * 3, recorded.verification.days
        assert not recorded.doubled
        found = self.live.differences(CLUSTER, CUSTOMER, THREE_DAYS)
        assert not found, str(found)
        assert found.expected > 0

    def assert_nothing_goes_on(self, *claims: Claim) -> None:
        """One Job per attempt at most, no workflow of theirs is open, no lease and no emptied window is left."""
        jobs = self.jobs_per_attempt()
        assert all(jobs[c.attempt_id] <= 1 for c in claims), jobs
        with self.live.systems(CLUSTER) as systems:
            for claim in claims:
                found = systems.temporal.of_attempt("ReindexConversations", CUSTOMER, THREE_DAYS, claim.attempt_id)
                # Asked again by its id: the list may show one as running that has just closed.
                states = {f.workflow_id: systems.temporal.status(f.workflow_id).state for f in found}
                assert WorkflowState.RUNNING not in states.values(), states
            assert [e for e in systems.ledger.emptied() if e.customer == CUSTOMER] == []
            probe = self.claim()
            systems.ledger.release(probe.attempt_id, systems.ledger.take(probe))

    def jobs_per_attempt(self) -> Counter[str]:
        folder = self.live.config.cluster(CLUSTER).launcher.jobs / CLUSTER
        specs = [json.loads(p.read_text()) for p in folder.glob("*/spec.json")]
        return Counter(s["labels"]["backfill-pipeline/attempt"] for s in specs)

    def _address(self) -> ClickHouseAddress:
        return required(self.live.config.cluster(CLUSTER).clickhouse, CLUSTER, "clickhouse")


def small_window(engines: Live) -> Small:
    """Data made anew, on a configuration with a short lease and quick polls."""
    hasty = engines.config.limits.model_copy(update={"lease_seconds": LEASE_SECONDS, "poll_seconds": 0.1})
    live = replace(engines, config=engines.config.model_copy(update={"limits": hasty}))
    live.make_data(size=0.01, days=3)
    return Small(live)
