SELECT 'clickhouse_parts_per_partition' AS signal, toNullable(toFloat64(max(parts))) AS value
FROM (
    SELECT count() AS parts FROM system.parts
    WHERE active AND database = {database:String} AND table IN {tables:Array(String)} GROUP BY table, partition_id
)
