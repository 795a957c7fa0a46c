"""Chooses which rows of a day go wrong and how: whole conversations with all that hangs on them, and single rows."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backfill_pipeline.stack.demo_data.chats import AWKWARD_CHATS
from backfill_pipeline.stack.demo_data.planted import DatasetName, Defect, Kind, RowId, TableName
from backfill_pipeline.stack.demo_data.right_copy import TABLES, CopyDay, shard_of
from backfill_pipeline.stack.demo_data.scorecards import NO_CHAT
from backfill_pipeline.stack.demo_data.source_day import SourceDay

Masks = dict[TableName, np.ndarray]
_ID_COLUMNS = {
    "conversation": ("profile_id", "conversation_id"),
    "scorecard": ("profile_id", "scorecard_id"),
    "score": ("profile_id", "scorecard_id", "criterion_id"),
}
_ONE_IN = 200  # conversations of a day per defect of each kind


@dataclass(frozen=True)
class Choice:
    """Rows of each target table, as masks over CopyDay.rows, for every way of going wrong.

    gone: in ClickHouse only. missing: in PostgreSQL only. stale: older contents in ClickHouse. appeal: in ClickHouse,
    though it is an appeal. other_day, other_shard: there twice. superseded: older physical rows beneath the right
    ones, which is no defect, as FINAL removes them.
    """

    gone: Masks
    missing: Masks
    stale: Masks
    appeal: Masks
    other_day: Masks
    other_shard: Masks
    superseded: Masks = field(default_factory=dict)


def choose(rng: np.random.Generator, source: SourceDay, copy: CopyDay, *, is_clean: bool, other_day: bool) -> Choice:
    """The day's defects: none on a clean day; doubles on another day only where there is one."""
    is_spread = source.place.shards > 1
    dealer = _Dealer(rng, source, copy)
    some = 0 if is_clean else max(1, round(len(copy.right["conversation"]) / _ONE_IN))
    appeal = dealer.appeals(some)  # first, as a small day has only one conversation with an appeal
    of_conversations = _dealt(dealer, some, appeal, other_day=other_day, is_spread=is_spread)
    process = _ProcessDealer(rng, source, copy)
    some = 0 if is_clean else max(1, round(process.left / _ONE_IN))
    of_process = _dealt(process, some, process.wholes(0), other_day=other_day, is_spread=is_spread)
    return Choice(**{name: _both(masks, vars(of_process)[name]) for name, masks in vars(of_conversations).items()})


def _dealt(dealer: "_Dealer | _ProcessDealer", some: int, appeal: Masks, *, other_day: bool, is_spread: bool) -> Choice:
    return Choice(
        gone=dealer.wholes_and_parts(some),
        missing=dealer.wholes_and_parts(some),
        stale=dealer.single_rows(some),
        appeal=appeal,
        other_day=dealer.wholes(some if other_day else 0),
        other_shard=dealer.wholes(some if is_spread else 0),
        superseded=dealer.single_rows(max(1, some)),
    )


def _both(one: Masks, other: Masks) -> Masks:
    return {table: one[table] | other[table] for table in TABLES}


class _ProcessDealer:
    """Deals process scorecards as the other one deals conversations: each only once, with its scores or in parts."""

    def __init__(self, rng: np.random.Generator, source: SourceDay, copy: CopyDay) -> None:
        self._source, self._chats = source, len(copy.right["conversation"])
        cards = np.flatnonzero(source.chat_of_scorecard == NO_CHAT)
        rng.shuffle(cards)
        self._deck = list(cards)

    @property
    def left(self) -> int:
        return len(self._deck)

    def wholes(self, count: int) -> Masks:
        """Whole scorecards with their scores."""
        card = self._deal(count)
        return self._masks(card, card[self._source.scorecard_of_score])

    def wholes_and_parts(self, count: int) -> Masks:
        """Whole scorecards, and as many single scores of others."""
        return _both(self.wholes(count), self._masks(self._none(), self._first_scores(self._deal(count))))

    def single_rows(self, count: int) -> Masks:
        """Single scorecards, and single scores of others."""
        return self._masks(self._deal(count), self._first_scores(self._deal(count)))

    def _masks(self, card: np.ndarray, score: np.ndarray) -> Masks:
        return {"conversation": np.zeros(self._chats, bool), "scorecard": card, "score": score}

    def _none(self) -> np.ndarray:
        return np.zeros(len(self._source.chat_of_scorecard), bool)

    def _deal(self, count: int) -> np.ndarray:
        dealt, self._deck = self._deck[:count], self._deck[count:]
        mask = self._none()
        mask[dealt] = True
        return mask

    def _first_scores(self, scorecards: np.ndarray) -> np.ndarray:
        return _first_scores(self._source, scorecards)


class _Dealer:
    """Deals conversations that have a right scorecard, each one only once, so that defects never meet in a row."""

    def __init__(self, rng: np.random.Generator, source: SourceDay, copy: CopyDay) -> None:
        self._source, self._copy, self._rng = source, copy, rng
        of_right = source.chat_of_scorecard[copy.right["scorecard"]]
        number = np.bincount(of_right[of_right >= 0], minlength=len(copy.right["conversation"]))
        suitable = np.flatnonzero(number > 0)
        rng.shuffle(suitable)
        # Few scorecards first: a small day must not lose so many that the pipeline's own guard calls its source broken.
        # Awkward ones last: PostgreSQL should keep them, for the loader to meet.
        order = np.lexsort((number[suitable], suitable < AWKWARD_CHATS))
        self._deck = list(suitable[order])

    def _deal(self, count: int) -> np.ndarray:
        dealt, self._deck = self._deck[:count], self._deck[count:]
        return np.array(dealt, dtype=np.int64)

    def wholes(self, count: int) -> Masks:
        """Conversations with their scorecards and scores."""
        chats = self._deal(count)
        conversation = np.zeros(len(self._copy.right["conversation"]), bool)
        conversation[chats] = True
        return self._with_scores(conversation, np.isin(self._source.chat_of_scorecard, chats))

    def wholes_and_parts(self, count: int) -> Masks:
        """Whole conversations, as many single scorecards with their scores, and as many single scores."""
        whole = self.wholes(count)
        parts = self._with_scores(np.zeros_like(whole["conversation"]), self._first_scorecards(count))
        score = self._first_scores(self._first_scorecards(count))
        both = {t: whole[t] | parts[t] for t in TABLES}
        return {**both, "score": both["score"] | score}

    def single_rows(self, count: int) -> Masks:
        """Single rows of each table, each of another conversation."""
        conversation = np.zeros(len(self._copy.right["conversation"]), bool)
        conversation[self._deal(count)] = True
        scorecard, score = self._first_scorecards(count), self._first_scores(self._first_scorecards(count))
        return {"conversation": conversation, "scorecard": scorecard, "score": score}

    def appeals(self, count: int) -> Masks:
        """Appeal scorecards, with their scores, of conversations in which nothing else goes wrong."""
        dealable = np.isin(self._source.chat_of_scorecard, self._deck)
        candidates = np.flatnonzero(self._copy.appeals["scorecard"] & dealable)
        some = self._rng.choice(candidates, min(count, len(candidates)), replace=False)
        self._deck = [c for c in self._deck if c not in set(self._source.chat_of_scorecard[some])]
        scorecard = np.zeros(len(dealable), bool)
        scorecard[some] = True
        score = scorecard[self._source.scorecard_of_score]
        return {"conversation": self._copy.appeals["conversation"], "scorecard": scorecard, "score": score}

    def _first_scorecards(self, count: int) -> np.ndarray:
        """The first right scorecard of each of `count` newly dealt conversations."""
        of = np.where(self._copy.right["scorecard"], self._source.chat_of_scorecard, -1)
        mask = np.zeros(len(of), bool)
        mask[[int(np.argmax(of == chat)) for chat in self._deal(count)]] = True
        return mask

    def _first_scores(self, scorecards: np.ndarray) -> np.ndarray:
        return _first_scores(self._source, scorecards)

    def _with_scores(self, conversation: np.ndarray, scorecard: np.ndarray) -> Masks:
        right = scorecard & self._copy.right["scorecard"]
        score = right[self._source.scorecard_of_score]
        return {"conversation": conversation, "scorecard": right, "score": score}


def _first_scores(source: SourceDay, scorecards: np.ndarray) -> np.ndarray:
    """The first score of each of these scorecards."""
    of = source.scorecard_of_score
    is_first = np.concatenate([[True], of[1:] != of[:-1]])
    first: np.ndarray = scorecards[of] & is_first
    return first


def records(source: SourceDay, copy: CopyDay, choice: Choice, other_day: date | None) -> Iterator[Defect]:
    """What was chosen, in the words of planted.json; `other_day` is the day onto which rows were doubled."""
    yield from _records_of("missing", source, copy, choice.missing)
    yield from _records_of("gone", source, copy, choice.gone)
    yield from _records_of("stale", source, copy, choice.stale)
    yield from _records_of("appeal", source, copy, choice.appeal)
    yield from _records_of("doubled", source, copy, choice.other_shard, shards_on=1)
    if other_day:
        days = (other_day - source.place.day).days
        yield from _records_of("doubled", source, copy, choice.other_day, shards_on=days, other_day=other_day)


def _records_of(
    kind: Kind, source: SourceDay, copy: CopyDay, masks: Masks, shards_on: int = 0, other_day: date | None = None
) -> Iterator[Defect]:
    place = source.place
    for dataset, table, rows in _by_dataset(copy, masks):
        if rows.num_rows:
            shard = int((shard_of(rows, place.shards)[0] + shards_on) % place.shards)
            yield Defect(
                kind=kind, cluster=place.cluster, customer=place.customer, profile=place.profile, day=place.day,
                dataset=dataset, table=table, ids=_ids(table, rows), shard=shard, other_day=other_day,
            )  # fmt: skip


def _by_dataset(copy: CopyDay, masks: Masks) -> Iterator[tuple[DatasetName, TableName, pa.Table]]:
    for table in TABLES:
        rows = copy.rows[table].filter(masks[table])
        is_process = pc.equal(rows["conversation_id"], "")
        yield "conversations", table, rows.filter(pc.invert(is_process))
        yield "process_scorecards", table, rows.filter(is_process)


def _ids(table: TableName, rows: pa.Table) -> list[RowId]:
    columns = (rows[name].to_pylist() for name in _ID_COLUMNS[table])
    return list(zip(*columns, strict=True))
