"""When a run waits: one healthy set of readings, and one change at a time."""

import math
from dataclasses import replace

import pytest

from backfill_pipeline.domain.health import MEANING, Health, Reading, Signal, Signals, judge, said

MOST = {
    Signal.WAITING_LOCKS: 5,
    Signal.REPLICA_LAG: 300,
    Signal.CONNECTIONS: 0.9,
    Signal.PARTS: 300,
    Signal.MUTATIONS: 20,
    Signal.MEMORY: 0.9,
    Signal.INACTIVE_REPLICAS: 0,
}
each_signal = pytest.mark.parametrize("signal", list(Signal))


def server(signal: Signal) -> str:
    return "PostgreSQL p" if signal.startswith("postgres") else "ClickHouse c"


GOOD = tuple(Reading(s, server(s), 0) for s in Signal)


def with_one(signal: Signal, value: float | None, why: str = "") -> Signals:
    return tuple(replace(r, value=value, why=why) if r.signal is signal else r for r in GOOD)


def judged(signal: Signal, value: float | None, why: str = "") -> Health:
    return judge(with_one(signal, value, why), MOST)


def test_a_healthy_cluster_keeps_nobody_waiting() -> None:
    assert judge(GOOD, MOST).is_good
    assert judge(GOOD, MOST).judged == tuple((r, MOST[r.signal]) for r in GOOD)


@each_signal
def test_no_signal_above_its_threshold_is_passed_over(signal: Signal) -> None:
    assert judged(signal, MOST[signal]).is_good
    (reason,) = judged(signal, MOST[signal] + 0.05, "host:1 is away").reasons
    assert reason == (
        f"{server(signal)}: {MEANING[signal]}: {said(MOST[signal] + 0.05)}, above {said(MOST[signal])} (host:1 is away) "
        f"[health.{signal}]"
    )


@each_signal
@pytest.mark.parametrize("value", [None, math.nan])
def test_unknown_is_never_taken_for_zero(signal: Signal, value: float | None) -> None:
    (reason,) = judged(signal, value, "not permitted").reasons
    assert "not permitted" in reason
    assert f"[health.{signal}]" in reason


@each_signal
def test_a_signal_that_nobody_read_is_never_taken_for_zero(signal: Signal) -> None:
    (reason,) = judge(tuple(r for r in GOOD if r.signal is not signal), MOST).reasons
    assert reason == f"nobody read {MEANING[signal]} [health.{signal}]"


@each_signal
@pytest.mark.parametrize("value", [None, math.inf])
def test_what_an_operator_switched_off_keeps_nobody_waiting(signal: Signal, value: float | None) -> None:
    switched_off = {**MOST, signal: None}
    assert judge(with_one(signal, value), switched_off).is_good
    assert judge(tuple(r for r in GOOD if r.signal is not signal), switched_off).is_good


def test_no_reason_is_hidden_behind_the_first_nor_one_server_behind_another() -> None:
    twice = (*GOOD, *(replace(r, server="ClickHouse d", value=math.inf) for r in GOOD if "clickhouse" in r.signal))
    assert len(judge(twice, MOST).reasons) == 4
    assert all("ClickHouse d" in r for r in judge(twice, MOST).reasons)
    assert len(judge(tuple(replace(r, value=1000) for r in GOOD), MOST).reasons) == len(Signal)


def test_a_server_that_does_not_answer_is_one_reason_that_names_all_that_is_unknown() -> None:
    silent = tuple(replace(r, value=None, why="refused") if "postgres" in r.signal else r for r in GOOD)
    (reason,) = judge(silent, MOST).reasons
    assert reason.startswith("PostgreSQL p: unknown, which is not zero: sessions that wait for a lock, seconds that")
    assert ": refused [health.postgres_waiting_locks, health." in reason
