-- What the server itself compares before it ends a query with MEMORY_LIMIT_EXCEEDED.
SELECT 'clickhouse_memory_ratio' AS signal,
       toNullable(toFloat64((SELECT value FROM system.metrics WHERE metric = 'MemoryTracking')))
       / nullIf(toFloat64OrNull((SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage')), 0)
       AS value
