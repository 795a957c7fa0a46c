"""Events of the agents' assistance, from which labels are computed: about two in five conversations have some."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backfill_pipeline.stack.demo_data.awkward import INFINITY
from backfill_pipeline.stack.demo_data.chats import SECOND, TIME

# A text that ends a statement, and kinds of which a language's order is not that of their bytes.
KINDS = ("hint", "Summary", "article", "'; --", "🙂", "Überleitung")
_SHARE = 0.4
_MOST = 4
_ALWAYS = [2, 5, 6]  # over midnight, and the awkward ids: they must not lack labels by chance
_OPEN_LENGTH = 12 * SECOND  # of a chat without an end; no chat is shorter


@dataclass(frozen=True)
class AssistEvents:
    """Rows of `app.agent_assist_events`, and of each one the index of its chat."""

    rows: pa.Table
    chat: np.ndarray


def assist_events(rng: np.random.Generator, chats: pa.Table) -> AssistEvents:
    """Events of chats that have a conversation, those of dev users and open ones too; all within the chat's time."""
    of = np.repeat(np.arange(chats.num_rows), _counts(rng, chats))
    some = chats.take(pa.array(of))
    kinds = pa.array(KINDS, pa.string()).take(pa.array(rng.integers(0, len(KINDS), len(of))))
    rows = pa.table(
        {
            "customer_id": some["customer_id"],
            "profile_id": some["profile_id"],
            "conversation_id": some["conversation_id"],
            "kind": kinds,
            "occurred_at": pa.array(_moments(rng, some)).cast(TIME),
        }
    )
    return AssistEvents(rows, of)


def _counts(rng: np.random.Generator, chats: pa.Table) -> np.ndarray:
    has_id = pc.fill_null(pc.not_equal(chats["conversation_id"], ""), False).to_numpy()
    has_some = rng.random(chats.num_rows) < _SHARE
    has_some[_ALWAYS] = True
    return np.where(has_id & has_some, rng.integers(1, _MOST + 1, chats.num_rows), 0)


def _moments(rng: np.random.Generator, chats: pa.Table) -> np.ndarray:
    """A moment of each chat, in microseconds since 1970."""
    starts = chats["started_at"].cast(pa.int64()).to_numpy()
    ends = chats["ended_at"].cast(pa.int64()).fill_null(INFINITY).to_numpy()
    lengths = np.where(ends == INFINITY, _OPEN_LENGTH, ends - starts)
    moments: np.ndarray = starts + (rng.random(len(starts)) * lengths).astype(np.int64)
    return moments
