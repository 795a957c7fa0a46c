SELECT 'clickhouse_running_mutations' AS signal, toNullable(toFloat64(count())) AS value
FROM system.mutations
WHERE NOT is_done AND NOT is_killed AND database = {database:String} AND table IN {tables:Array(String)}
