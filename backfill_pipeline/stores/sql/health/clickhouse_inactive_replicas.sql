-- Without a session in Keeper a server counts 0 replicas, of which 0 are active: then it is itself the one that is not.
-- A plain table has no row.
SELECT 'clickhouse_inactive_replicas' AS signal, toNullable(toFloat64(max(
    if(is_readonly OR is_session_expired OR total_replicas = 0, 1, toInt64(total_replicas) - toInt64(active_replicas))
))) AS value
FROM system.replicas
WHERE database = {database:String} AND table IN {tables:Array(String)}
