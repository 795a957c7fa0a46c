"""The options that say which customers, datasets and days; and what they mean."""

from datetime import date
from typing import Annotated

import typer

Clusters = Annotated[list[str] | None, typer.Option("--cluster", help="Only this cluster; may be repeated.")]
Customers = Annotated[
    list[str] | None, typer.Option("--customer", help="Only this customer, or a glob such as 'acme*'; may be repeated.")
]
Datasets = Annotated[list[str] | None, typer.Option("--dataset", help="Only this dataset; may be repeated.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]


def day_of(text: str | None) -> date | None:
    """A day as people write it; None where none is given.

    Raises:
        Refused: it is none.
    """
    from backfill_pipeline.domain.windows import parse_day

    return parse_day(text) if text is not None else None
