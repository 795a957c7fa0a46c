-- On a replica: nothing received that is not replayed is no lag, however long ago the last commit was; but only while
-- something is being received. On a primary: the last of its replicas; none is no lag. A primary knows a replica's lag as
-- of its last reply and keeps it after the replica has caught up, or has none if it had: so positions decide, and the
-- reply's age is added. Subscribers of logical slots are no replicas. An account that may not see a replica gets NULL.
SELECT 'postgres_replica_lag_seconds' AS signal, CASE
    WHEN pg_is_in_recovery() THEN CASE
        WHEN EXISTS (SELECT FROM pg_stat_wal_receiver) AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
        ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())
    END
    ELSE (
        SELECT CASE WHEN bool_or(lag IS NULL) THEN NULL ELSE coalesce(extract(epoch FROM max(lag)), 0) END
        FROM (
            SELECT CASE
                WHEN r.replay_lsn >= pg_current_wal_lsn() THEN interval '0'
                ELSE coalesce(r.replay_lag, interval '0') + (clock_timestamp() - r.reply_time)
            END AS lag
            FROM pg_stat_replication AS r
            WHERE coalesce(r.state, '') NOT IN ('startup', 'backup', 'stopping') AND NOT EXISTS (
                SELECT FROM pg_replication_slots AS s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')
        ) AS replicas
    )
END::float8 AS value
