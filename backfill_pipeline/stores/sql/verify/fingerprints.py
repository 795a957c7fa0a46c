"""A row's 64-bit fingerprint, computed alike by PostgreSQL and ClickHouse: first half of the MD5 of its values' text.

Every value becomes `v<text>` or `n` for NULL, joined by the unit separator; text goes in after its length in bytes, as does
each text of an array. '' and NULL, [] and [''], and values shifted to the next column then differ, whatever they hold.
Floats go in by their IEEE bits: the engines print 1e-07 and 1e-7. Source: data-path-facts.md, "Portable hash".
"""

from collections.abc import Mapping

from backfill_pipeline.domain.datasets import Content, Target

_POSTGRES: Mapping[Content, str] = {
    Content.TEXT: "octet_length({0}) || ':' || {0}",
    Content.INTEGER: "{0}::text",
    Content.FLOAT: "encode(float8send({0}), 'hex')",
    Content.MOMENT: "floor(extract(epoch FROM {0}) * 1000)::bigint::text",
    Content.FLAG: "({0})::int::text",
    Content.TEXTS: (
        "(SELECT coalesce(string_agg(octet_length(t) || ':' || t, '' ORDER BY n), '') "
        "FROM unnest({0}) WITH ORDINALITY AS u (t, n))"
    ),
}
_CLICKHOUSE: Mapping[Content, str] = {
    Content.TEXT: "concat(toString(length({0})), ':', {0})",
    Content.INTEGER: "toString({0})",
    Content.FLOAT: "lower(hex(reverse(reinterpretAsFixedString(assumeNotNull({0})))))",
    Content.MOMENT: "toString(toUnixTimestamp64Milli(toDateTime64(assumeNotNull({0}), 3, 'UTC')))",
    Content.FLAG: "toString(toUInt8(assumeNotNull({0})))",
    Content.TEXTS: "arrayStringConcat(arrayMap(t -> concat(toString(length(t)), ':', t), {0}))",
}


def compared(target: Target, columns: Mapping[str, str]) -> dict[str, Content]:
    """Ids and content columns that the server's table has, in a fixed order."""
    wanted = {**dict.fromkeys(target.ids, Content.TEXT), **target.content}
    return {name: kind for name, kind in wanted.items() if name in columns}


def postgres_fingerprint(columns: Mapping[str, Content]) -> str:
    """An expression of type bigint over columns of those names."""
    parts = [f"coalesce('v' || {_POSTGRES[kind].format(name)}, 'n')" for name, kind in columns.items()]
    text = " || chr(31) || ".join(parts)
    return f"('x' || substr(md5({text}), 1, 16))::bit(64)::bigint"


def clickhouse_fingerprint(columns: Mapping[str, Content]) -> str:
    """The same as an expression of type Int64."""
    parts = [f"if(isNull({n}), 'n', concat('v', {_CLICKHOUSE[k].format(n)}))" for n, k in columns.items()]
    text = "concat(" + ", char(31), ".join(parts) + ")"
    return f"reinterpretAsInt64(reverse(substring(MD5(assumeNotNull({text})), 1, 8)))"
