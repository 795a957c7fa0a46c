"""One profile's chats of one day: mostly ordinary ones, led by the starts, ends and ids that break loaders."""

import numpy as np
import pyarrow as pa

from backfill_pipeline.stack.demo_data.awkward import ID_TAIL, INFINITY, chosen
from backfill_pipeline.stack.demo_data.planted import Place

TIME = pa.timestamp("us", "UTC")
SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 24 * 60 * MINUTE
AWKWARD_CHATS = 12  # the first ones of a day, each awkward in its own way
LEAST = 30  # rows of a day below which the awkward ones and the defects would be most of it

AGENTS = (*(f"agent-{i:02d}" for i in range(1, 13)), None)
_AGENT_SHARES = [0.08] * 12 + [0.04]


def prefix(place: Place) -> str:
    """Start of a day's ids; ids of the configuration hold no colon, so `acme`'s never run into `acme-east`'s."""
    return f"{place.customer}:{place.profile}:{place.day:%y%m%d}"


def midnight_us(place: Place) -> int:
    """Microseconds since 1970 at which the day begins."""
    return int(np.datetime64(place.day, "us").astype(np.int64))


def chats(rng: np.random.Generator, place: Place, count: int) -> pa.Table:
    """Rows of `app.chats`, started on the place's day; infinite ends are written as `awkward.INFINITY`."""
    starts = _starts(rng, place, count)
    ends = starts + _durations(rng, count)
    ends[2] = starts[2] + 30 * MINUTE
    changed = ends + rng.integers(SECOND, 120 * MINUTE, count)
    return pa.table(
        {
            "customer_id": pa.repeat(place.customer, count),
            "profile_id": pa.repeat(place.profile, count),
            "chat_id": [f"{prefix(place)}:chat{i:05d}" for i in range(count)],
            "conversation_id": _conversation_ids(rng, place, count),
            "agent_user_id": _agents(rng, count),
            "is_dev_user": _dev_users(rng, count),
            "started_at": pa.array(starts).cast(TIME),
            "ended_at": _ended(rng, ends),
            "updated_at": pa.array(changed).cast(TIME),
        }
    )


def _starts(rng: np.random.Generator, place: Place, count: int) -> np.ndarray:
    """Two humps over working hours; the first three at midnight, one microsecond before the next and shortly before."""
    hours = np.where(rng.random(count) < 0.55, rng.normal(10.5, 2, count), rng.normal(15.5, 2.5, count))
    offsets = (hours * 60 * MINUTE).astype(np.int64) % DAY
    offsets[:3] = 0, DAY - 1, DAY - 10 * MINUTE
    return midnight_us(place) + offsets


def _durations(rng: np.random.Generator, count: int) -> np.ndarray:
    minutes = np.clip(rng.lognormal(1.8, 0.9, count), 0.2, 180)
    return (minutes * MINUTE).astype(np.int64)


def _ended(rng: np.random.Generator, ends: np.ndarray) -> pa.Array:
    is_open = rng.random(len(ends)) < 0.02
    is_open[:5] = [False, False, False, False, True]
    finite = ends.copy()
    finite[3] = INFINITY
    return pa.array(finite, mask=is_open).cast(TIME)


def _conversation_ids(rng: np.random.Generator, place: Place, count: int) -> pa.Array:
    ids: list[str | None] = [f"{prefix(place)}:c{i:05d}" for i in range(count)]
    # 0 to 2 have awkward starts, 3 and 4 awkward ends, 7 and 8 awkward agents, 11 is a dev user.
    ids[5] = f"{prefix(place)}:{ID_TAIL}"
    ids[6] = f"shared-{place.day}"  # the same id at every customer and profile
    ids[9], ids[10] = None, ""
    for i in np.flatnonzero(rng.random(count) < 0.05):
        if i > 10:
            ids[i] = None if i % 2 else ""
    return pa.array(ids, pa.string())


def _agents(rng: np.random.Generator, count: int) -> pa.Array:
    agents = chosen(rng, AGENTS, count, _AGENT_SHARES).to_pylist()
    agents[7], agents[8] = None, ""
    return pa.array(agents, pa.string())


def _dev_users(rng: np.random.Generator, count: int) -> pa.Array:
    is_dev = rng.random(count) < 0.02
    is_dev[:11], is_dev[11] = False, True
    return pa.array(is_dev)


def messages(rng: np.random.Generator, of: pa.Table) -> pa.Table:
    """Three messages of every tenth chat."""
    some = of.take(pa.array(np.repeat(np.arange(0, of.num_rows, 10), 3)))
    count = some.num_rows
    offsets = np.tile([0, 20, 45], count // 3) * SECOND
    starts = some["started_at"].combine_chunks().view(pa.int64()).to_numpy()
    bodies = ("Hello, where is my order?", "I'm looking into it 🙂", "Thanks'; --", 'It says "delivered"')
    return pa.table(
        {
            "chat_id": some["chat_id"],
            "speaker": pa.array(np.tile(["customer", "agent", "customer"], count // 3), pa.string()),
            "body": chosen(rng, bodies, count, [0.25] * 4),
            "sent_at": pa.array(starts + offsets).cast(TIME),
        }
    )
