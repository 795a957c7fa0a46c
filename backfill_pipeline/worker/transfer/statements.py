"""The statements of the transfer: the templates of stores/sql/transfer filled with typed, quoted values.

ADBC's bound parameters would switch COPY off, so values stand in the text; psycopg.sql quotes every one of them.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import resources

from psycopg.sql import SQL, Composable, Identifier, Literal

from backfill_pipeline.worker.transfer.recipes import Recipe
from backfill_pipeline.worker.transfer.slices import Request, Slice

OLDEST = datetime(1900, 1, 1, tzinfo=UTC)  # DateTime64's first year
NEWEST = datetime(2300, 1, 1, tzinfo=UTC)  # behind its last
_FOLDER = resources.files("backfill_pipeline.stores.sql.transfer")


def read_rows(recipe: Recipe, table: str, request: Request, part: Slice, keys: Sequence[str] | None = None) -> str:
    """All rows of a target table that belong to a slice.

    Args:
        keys: the parents' ids, for a table whose rows are found by them (`Recipe.parents`).
    """
    values = {"oldest": Literal(OLDEST), "newest": Literal(NEWEST)}
    if keys is not None:
        return _filled(recipe, table, keys=text_array(keys), **values, of=request)
    return _filled(recipe, table, belongs=_belongs(recipe, request, part), **values, of=request)


def text_array(values: Sequence[str]) -> Composable:
    """One quoted `text[]` literal, as `Literal(list(values))` gives it, in a tenth of its time (13 ms for 10,000 ids).

    Escapes all values joined by NUL at once: the one character that text in PostgreSQL can't hold.
    """
    escaped = "\0".join(values).replace("\\", r"\\").replace('"', r"\"")
    items = '"' + escaped.replace("\0", '","') + '"' if values else ""
    return Literal("{" + items + "}") + SQL("::text[]")


def page(recipe: Recipe, request: Request, whole: Slice, size: int) -> str:
    """`(upto, size)` of the first so many ids of a slice."""
    return _filled(recipe, "page", belongs=_belongs(recipe, request, whole), size=Literal(size), of=request)


def count(recipe: Recipe, request: Request) -> str:
    everything = Slice(request.start, request.end)
    return _filled(recipe, "count", belongs=_belongs(recipe, request, everything), of=request)


def _belongs(recipe: Recipe, request: Request, part: Slice) -> Composable:
    return _composed(
        recipe,
        "belongs",
        of=request,
        start=Literal(part.start),
        end=Literal(part.end),
        reach=Literal(request.reach or OLDEST),
        newest=Literal(NEWEST),
        range=_range(recipe, part),
        changed=_composed(recipe, "changed", of=request, since=Literal(part.since)) if part.since else SQL(""),
    )


def _range(recipe: Recipe, part: Slice) -> Composable:
    key = Identifier(recipe.key)
    after = SQL("AND {} > {}").format(key, Literal(part.after)) if part.after is not None else SQL("")
    upto = SQL(" AND {} <= {}").format(key, Literal(part.upto)) if part.upto is not None else SQL("")
    return after + upto


def _filled(recipe: Recipe, name: str, *, of: Request, **values: Composable) -> str:
    return _composed(recipe, name, of=of, **values).as_string(None)


def _composed(recipe: Recipe, name: str, *, of: Request, **values: Composable) -> Composable:
    template = SQL(_template(recipe.dataset.name, name))
    same = {"customer": Literal(of.customer), "profile": Literal(of.profile), "key": Identifier(recipe.key)}
    return template.format(**same, **values)


@cache
def _template(dataset: str, name: str) -> str:
    """A template without its comments: braces in prose would be taken for placeholders."""
    own = _FOLDER.joinpath(f"{name}_of_{dataset}.sql")
    file = own if own.is_file() else _FOLDER.joinpath(f"{name}.sql")
    lines = file.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("--"))
