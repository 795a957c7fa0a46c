"""What ClickHouse should hold of a day: every source row in the target's columns, and which of them belong there."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backfill_pipeline.stack.demo_data.awkward import INFINITY, MINUS_INFINITY
from backfill_pipeline.stack.demo_data.chats import DAY
from backfill_pipeline.stack.demo_data.planted import TableName
from backfill_pipeline.stack.demo_data.scorecards import NO_CHAT
from backfill_pipeline.stack.demo_data.source_day import SourceDay

TABLES: tuple[TableName, ...] = ("conversation", "scorecard", "score")
SHARD_TIME = "conversation_start_time"
_MILLIS = pa.timestamp("ms", "UTC")
_COPY_DELAY = 90 * 1_000_000  # microseconds by which the copy's version is behind the change that it holds


@dataclass(frozen=True)
class CopyDay:
    """Per target table: all rows in its columns, which of them are right, and which are of appeals."""

    rows: dict[TableName, pa.Table]
    right: dict[TableName, np.ndarray]
    appeals: dict[TableName, np.ndarray]


def copy_of(source: SourceDay) -> CopyDay:
    chat, scorecard = source.chat_of_scorecard, source.scorecard_of_score
    cards = _scorecards(source)
    is_appeal = source.scorecards["scorecard_type"].is_valid().to_numpy()
    belongs = is_conversation(source)
    is_right = ~is_appeal & ((chat == NO_CHAT) | belongs[np.maximum(chat, 0)])
    none = np.zeros(len(belongs), bool)
    return CopyDay(
        rows={"conversation": _conversations(source), "scorecard": cards, "score": _scores(source, cards)},
        right={"conversation": belongs, "scorecard": is_right, "score": is_right[scorecard]},
        appeals={"conversation": none, "scorecard": is_appeal, "score": is_appeal[scorecard]},
    )


def is_conversation(source: SourceDay) -> np.ndarray:
    """Of each chat, whether it is a conversation of no dev user."""
    has_id = pc.fill_null(pc.not_equal(source.chats["conversation_id"], ""), False)
    mask: np.ndarray = pc.and_not(has_id, source.chats["is_dev_user"]).to_numpy()
    return mask


def _conversations(source: SourceDay) -> pa.Table:
    chats = source.chats
    return pa.table(
        {
            "customer_id": chats["customer_id"],
            "profile_id": chats["profile_id"],
            "conversation_id": chats["conversation_id"].fill_null(""),
            "chat_id": chats["chat_id"],
            "agent_user_id": chats["agent_user_id"],
            "conversation_start_time": millis(chats["started_at"]),
            "conversation_end_time": millis(chats["ended_at"]),
            "update_time": version(chats),
        }
    )


def _scorecards(source: SourceDay) -> pa.Table:
    cards = source.scorecards
    as_is = ("template_id", "template_revision", "submission_source", "agent_user_id", "creator_user_id", "score")
    return pa.table(
        {
            "customer_id": cards["customer_id"],
            "profile_id": cards["profile_id"],
            "scorecard_id": cards["scorecard_id"],
            "conversation_id": cards["conversation_id"].fill_null(""),
            "conversation_start_time": _shard_time(source),
            **{name: cards[name] for name in as_is},
            "scorecard_time": millis(cards["scorecard_time"]),
            "submitted_at": millis(cards["submitted_at"]),
            "update_time": version(cards),
        }
    )


def _shard_time(source: SourceDay) -> pa.Array:
    """The conversation's start; of a process scorecard its own time."""
    chat = source.chat_of_scorecard
    starts = source.chats["started_at"].combine_chunks().take(pa.array(np.maximum(chat, 0)))
    return millis(pc.if_else(pa.array(chat == NO_CHAT), source.scorecards["scorecard_time"], starts))


def _scores(source: SourceDay, cards: pa.Table) -> pa.Table:
    scores, of = source.scores, pa.array(source.scorecard_of_score)
    from_card = cards.select(["customer_id", "profile_id", "conversation_id", "conversation_start_time"]).take(of)
    as_is = ("numeric_value", "ai_value", "text_value", "not_applicable", "weight")
    return pa.table(
        {
            "customer_id": from_card["customer_id"],
            "profile_id": from_card["profile_id"],
            "scorecard_id": scores["scorecard_id"],
            "criterion_id": scores["criterion_id"],
            "conversation_id": from_card["conversation_id"],
            "conversation_start_time": from_card["conversation_start_time"],
            **{name: scores[name] for name in as_is},
            "update_time": version(scores),
        }
    )


def version(rows: pa.Table) -> pa.ChunkedArray:
    """`update_time` of a copy of these source rows."""
    return shifted(rows["updated_at"], _COPY_DELAY)


def shifted(times: pa.ChunkedArray, microseconds: int) -> pa.ChunkedArray:
    return pc.add(times, pa.scalar(microseconds, pa.duration("us")))


def millis(times: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Cut to milliseconds (rounding would move 23:59:59.999999 to the next day); infinities become NULL."""
    numbers = times.cast(pa.int64())
    finite = pc.and_(pc.not_equal(numbers, INFINITY), pc.not_equal(numbers, MINUS_INFINITY))
    return pc.if_else(finite, times, None).cast(_MILLIS, safe=False)


def shard_of(rows: pa.Table, shards: int, moment: str = SHARD_TIME) -> np.ndarray:
    """`toRelativeDayNum(moment, 'UTC') % shards`: the sharding expression of the `_d` tables."""
    moments = rows[moment].cast(pa.int64()).to_numpy()
    shard: np.ndarray = moments // (DAY // 1000) % shards
    return shard
