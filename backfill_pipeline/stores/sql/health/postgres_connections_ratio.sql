-- What kind of process a session is may be hidden; one with a database and a user takes one of the connections.
SELECT 'postgres_connections_ratio' AS signal, count(*)::float8 / current_setting('max_connections')::float8 AS value
FROM pg_stat_activity WHERE datid IS NOT NULL AND usesysid IS NOT NULL
