"""One profile's scorecards and scores of one day: ordinary ones, appeals, process scorecards (no conversation)."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backfill_pipeline.stack.demo_data.awkward import INFINITY, MINUS_INFINITY, chosen, floats, texts
from backfill_pipeline.stack.demo_data.chats import AGENTS, DAY, MINUTE, SECOND, TIME, midnight_us, prefix
from backfill_pipeline.stack.demo_data.planted import Place

NO_CHAT = -1
LEAST_PROCESS = 24  # enough for every kind of defect, and few enough of each that no guard calls the source broken
CRITERIA = tuple(f"criterion-{i}" for i in range(1, 7))
PROCESS_TEMPLATE = "tpl-coaching"
_TEMPLATES = (("tpl-quality", 1), ("tpl-quality", 2), ("tpl-compliance", 1))
_PER_CONVERSATION = ([0, 1, 2, 3], [0.13, 0.53, 0.25, 0.09])  # 1.3 on average


def template_revisions() -> pa.Table:
    """Rows of `director.scorecard_template_revisions`, the same for every customer of a database."""
    revisions = [(*t, 1) for t in _TEMPLATES] + [(PROCESS_TEMPLATE, 1, 2)]
    criteria = "[" + ", ".join(f'{{"id": "{c}", "weight": 1}}' for c in CRITERIA) + "]"
    ids, numbers, types = zip(*revisions, strict=True)
    titles = [f"{i.removeprefix('tpl-').title()} {n}" for i, n, _ in revisions]
    return pa.table(
        {
            "template_id": ids,
            "revision": pa.array(numbers, pa.int32()),
            "type": pa.array(types, pa.int32()),
            "title": titles,
            "criteria": [criteria] * len(revisions),
        }
    )


def chats_of_scorecards(rng: np.random.Generator, chats: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Of each scorecard the index of its chat (NO_CHAT: a process scorecard) and its scorecard_type (0: NULL)."""
    has_id = pc.fill_null(pc.not_equal(chats["conversation_id"], ""), False).to_numpy()
    count = np.where(has_id, rng.choice(_PER_CONVERSATION[0], chats.num_rows, p=_PER_CONVERSATION[1]), 0)
    count[:9] = np.where(has_id[:9], np.maximum(count[:9], 1), 0)
    regular = np.repeat(np.arange(chats.num_rows), count)
    appealable = regular[~chats["is_dev_user"].to_numpy()[regular]]
    appealed = rng.choice(appealable, max(1, chats.num_rows // 100), replace=False)
    process = np.full(max(LEAST_PROCESS, chats.num_rows // 8), NO_CHAT)
    of = np.concatenate([regular, np.repeat(appealed, 3), process])
    types = np.concatenate([np.zeros_like(regular), np.tile([1, 2, 3], len(appealed)), np.zeros_like(process)])
    return of, types


def scorecards(rng: np.random.Generator, place: Place, chats: pa.Table, of: np.ndarray, types: np.ndarray) -> pa.Table:
    """Rows of `director.scorecards` for the chats that `of` names, with the given types."""
    count, is_process = len(of), of == NO_CHAT
    ids = chats["conversation_id"].combine_chunks().take(pa.array(np.maximum(of, 0)))
    no_id = chosen(rng, (None, ""), count, [0.5, 0.5])
    template, revision = _templates(rng, is_process)
    moments = _moments(rng, place, chats, of)
    return pa.table(
        {
            "customer_id": pa.repeat(place.customer, count),
            "profile_id": pa.repeat(place.profile, count),
            "scorecard_id": [f"{prefix(place)}:s{i:05d}" for i in range(count)],
            "conversation_id": pc.if_else(pa.array(is_process), no_id, ids),
            "template_id": template,
            "template_revision": revision,
            "scorecard_type": pa.array(types.astype(np.int32), mask=types == 0),
            "submission_source": pa.array(rng.integers(0, 4, count, np.int32), mask=rng.random(count) < 0.2),
            "agent_user_id": chosen(rng, AGENTS, count, [0.08] * 12 + [0.04]),
            "creator_user_id": chosen(rng, ("coach-1", "coach-2", "", None), count, [0.1, 0.1, 0.05, 0.75]),
            "score": floats(rng, count, 0.1),
            "scorecard_time": _awkward_time(rng, moments, (INFINITY,), is_process),
            "submitted_at": _awkward_time(rng, moments + 5 * MINUTE, (INFINITY, MINUS_INFINITY), None),
            "updated_at": pa.array(moments + rng.integers(6 * MINUTE, 120 * MINUTE, count)).cast(TIME),
        }
    )


def _templates(rng: np.random.Generator, is_process: np.ndarray) -> tuple[pa.Array, pa.Array]:
    which = np.where(is_process, len(_TEMPLATES), rng.choice(len(_TEMPLATES), len(is_process)))
    ids, revisions = zip(*_TEMPLATES, (PROCESS_TEMPLATE, 1), strict=True)
    return pa.array(ids).take(pa.array(which)), pa.array(revisions, pa.int32()).take(pa.array(which))


def _moments(rng: np.random.Generator, place: Place, chats: pa.Table, of: np.ndarray) -> np.ndarray:
    """When each was scored (microseconds since 1970): some time after the start; process scorecards within the day."""
    starts = chats["started_at"].combine_chunks().view(pa.int64()).to_numpy()[np.maximum(of, 0)]
    after = starts + rng.integers(MINUTE, 90 * MINUTE, len(of))
    return np.where(of == NO_CHAT, midnight_us(place) + rng.integers(0, DAY, len(of)), after)


def _awkward_time(
    rng: np.random.Generator, moments: np.ndarray, infinities: tuple[int, ...], keep: np.ndarray | None
) -> pa.Array:
    """The moments, a tenth of them NULL and the first ones infinite, except where they must be kept."""
    values, null = moments.copy(), rng.random(len(moments)) < 0.1
    values[: len(infinities)] = infinities
    null[: len(infinities)] = False
    if keep is not None:
        values, null = np.where(keep, moments, values), null & ~keep
    return pa.array(values, mask=null).cast(TIME)


def scores(rng: np.random.Generator, scorecards: pa.Table) -> pa.Table:
    """Rows of `director.historic_scorecard_scores`: one per scorecard and criterion, scorecard after scorecard."""
    count = scorecards.num_rows * len(CRITERIA)
    of = pa.array(np.repeat(np.arange(scorecards.num_rows), len(CRITERIA)))
    changed = scorecards["updated_at"].combine_chunks().take(of).view(pa.int64()).to_numpy()
    weights = pa.array([1.0, 0.5, 0.25, None])
    return pa.table(
        {
            "scorecard_id": scorecards["scorecard_id"].combine_chunks().take(of),
            "criterion_id": pa.array(np.tile(CRITERIA, scorecards.num_rows), pa.string()),
            "numeric_value": floats(rng, count, 0.1),
            "ai_value": floats(rng, count, 0.4),
            "text_value": texts(rng, count),
            "not_applicable": pa.array(rng.random(count) < 0.1),
            "weight": weights.take(pa.array(rng.choice(4, count, p=[0.7, 0.15, 0.1, 0.05]))),
            "updated_at": pa.array(changed + rng.integers(0, SECOND, count)).cast(TIME),
        }
    )
