-- pg_locks and the database of a session are shown to every account; what a session waits for is not.
SELECT 'postgres_waiting_locks' AS signal, count(DISTINCT l.pid)::float8 AS value
FROM pg_locks AS l
JOIN pg_stat_activity AS a ON a.pid = l.pid AND a.datname = current_database()
WHERE NOT l.granted AND l.waitstart < clock_timestamp() - interval '1 second'
