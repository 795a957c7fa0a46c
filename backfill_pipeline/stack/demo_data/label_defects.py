"""Chooses which labels of a day go wrong and how: rows that are not there, and rows as they were before a change."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from backfill_pipeline.domain.windows import ONE_DAY
from backfill_pipeline.stack.demo_data.broken_copy import older, replaced
from backfill_pipeline.stack.demo_data.label_rows import DAY_MILLIS, TABLE, LabelDay
from backfill_pipeline.stack.demo_data.planted import Defect, Kind
from backfill_pipeline.stack.demo_data.right_copy import shard_of

_ONE_IN = 75  # chats of a day per defect of each kind
_SECOND, _MINUTE, _HOUR = 1_000, 60_000, 3_600_000
_BEFORE = "as it was before"


@dataclass(frozen=True)
class Hit:
    """Rows of the right copy that one kind of defect has hit, and what the copy holds in their stead.

    of: indices into `LabelDay.rows`. rows: what lies there, none for `missing`. day: the UTC day of the right rows' end.
    shards_on: not 0 for rows that lie so many shards too far, beside the right ones and not in their stead.
    other_day: the UTC day of the end that `rows` have, where it is not the right one.
    """

    kind: Kind
    of: np.ndarray
    rows: pa.Table
    day: date
    shards_on: int = 0
    other_day: date | None = None


@dataclass(frozen=True)
class Choice:
    """A day's defects. superseded: indices of right rows beneath which older versions lie; FINAL removes those."""

    hits: list[Hit]
    superseded: np.ndarray


def choose(rng: np.random.Generator, day: LabelDay, dirty: list[date], other_day: date | None) -> Choice:
    """The defects of conversations that began on this day; none if it is not a dirty one.

    Args:
        dirty: the customer's days that may have defects.
        other_day: the dirty one onto which rows are moved; None if there is no other.
    """
    dealer = _Dealer(rng, day, other_day)
    if day.place.day not in dirty:
        return Choice([], dealer.free(1))
    some = max(1, round(day.chats / _ONE_IN))
    found = [*dealer.of_the_day(some)]
    if day.place.day + ONE_DAY in dirty:
        found.append(dealer.over_midnight(some))
    return Choice([hit for hit in found if len(hit.of)], dealer.free(some))


class _Dealer:
    """Deals conversations that PostgreSQL still has, each one only once."""

    def __init__(self, rng: np.random.Generator, day: LabelDay, other_day: date | None) -> None:
        self._day, self._other_day = day, other_day
        self._deck = rng.permutation(np.flatnonzero(~day.is_gone))

    def of_the_day(self, some: int) -> Iterator[Hit]:
        """Conversations that ended on the day on which they began, so that no defect falls on another one."""
        yield self._closed_later(some)  # first, as few conversations are suitable
        yield self._gone()
        # More than of others: a day's source must not be so much smaller that the pipeline's guard calls it broken.
        yield self._hit("missing", self._same_day(2 * some), rows=self._day.rows.slice(0, 0))
        stale, reassigned = self._same_day(some), self._same_day(some)
        yield self._hit("stale", stale, rows=outdated(self._rows(stale)))
        yield self._hit("reassigned", reassigned, rows=older(_with_agent(self._rows(reassigned))))
        if self._other_day:
            yield self._moved(self._same_day(some), self._other_day)
        if self._day.place.shards > 1:
            doubled = self._same_day(some)
            yield self._hit("doubled", doubled, rows=self._rows(doubled), shards_on=1)

    def over_midnight(self, some: int) -> Hit:
        """Rows that end a minute before the midnight that the conversation has since gone past."""
        midnight = (self._day.starts // DAY_MILLIS + 1) * DAY_MILLIS - _MINUTE
        of = self._deal(some, (self._day.nights == 1) & (self._day.starts < midnight))
        rows = older(_with_end(self._rows(of), midnight[of]))
        today = self._day.place.day
        return Hit("over_midnight", of, rows, today + ONE_DAY, other_day=today)

    def free(self, count: int) -> np.ndarray:
        return self._deal(count, np.ones(len(self._day.is_gone), bool))

    def _closed_later(self, some: int) -> Hit:
        """Rows that end in an earlier hour, a second after the start: the hour is in the older form's sorting key."""
        early = self._day.starts + _SECOND
        of = self._deal(some, (self._day.nights == 0) & (early // _HOUR < self._day.ends // _HOUR))
        return self._hit("closed_later", of, rows=older(_with_end(self._rows(of), early[of])))

    def _gone(self) -> Hit:
        of = np.flatnonzero(self._day.is_gone & (self._day.nights == 0))
        return self._hit("gone", of, rows=self._rows(of))

    def _moved(self, of: np.ndarray, other_day: date) -> Hit:
        """Rows that end at the same time of another day; of the last dirty day that is an earlier one, before the start."""
        off = (other_day - self._day.place.day).days * DAY_MILLIS
        rows = older(_with_end(self._rows(of), self._day.ends[of] + off))
        return self._hit("moved", of, rows=rows, other_day=other_day)

    def _hit(
        self, kind: Kind, of: np.ndarray, *, rows: pa.Table, shards_on: int = 0, other_day: date | None = None
    ) -> Hit:
        return Hit(kind, of, rows, self._day.place.day, shards_on, other_day)

    def _same_day(self, count: int) -> np.ndarray:
        return self._deal(count, self._day.nights == 0)

    def _deal(self, count: int, is_suitable: np.ndarray) -> np.ndarray:
        dealt: np.ndarray = self._deck[is_suitable[self._deck]][:count]
        self._deck = self._deck[~np.isin(self._deck, dealt)]
        return dealt

    def _rows(self, of: np.ndarray) -> pa.Table:
        return self._day.rows.take(pa.array(of))


def outdated(rows: pa.Table) -> pa.Table:
    """Older versions of these rows under the same keys, with labels that are certainly others."""
    labels = pa.array([[_BEFORE]] * rows.num_rows, pa.list_(pa.string()))
    return older(replaced(rows, "labels", labels))


def _with_agent(rows: pa.Table) -> pa.Table:
    return replaced(rows, "agent_user_id", pa.repeat(pa.scalar(_BEFORE), rows.num_rows))


def _with_end(rows: pa.Table, ends: np.ndarray) -> pa.Table:
    """ends: milliseconds since 1970."""
    column = "conversation_end_time"
    return replaced(rows, column, pa.array(ends, pa.int64()).cast(rows.schema.field(column).type))


def records(day: LabelDay, hits: list[Hit]) -> Iterator[Defect]:
    """What was chosen, in the words of planted.json."""
    place = day.place
    for hit in hits:
        right = day.rows.take(pa.array(hit.of))
        where = hit.rows if hit.rows.num_rows else right
        shard = int((shard_of(where, place.shards, place.labels_moment)[0] + hit.shards_on) % place.shards)
        ids = zip(right["profile_id"].to_pylist(), right["conversation_id"].to_pylist(), strict=True)
        yield Defect(
            kind=hit.kind, cluster=place.cluster, customer=place.customer, profile=place.profile, day=hit.day,
            dataset="labels", table=TABLE, ids=list(ids), shard=shard, other_day=hit.other_day,
        )  # fmt: skip
