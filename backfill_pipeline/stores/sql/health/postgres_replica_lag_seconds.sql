-- On a replica: nothing received that is not replayed is no lag, however long ago the last commit was; but only while
-- something is being received. On a primary: the last of its streaming replicas; none is no lag, and so is one that says
-- nothing because it has caught up. Subscribers of logical slots are no replicas. An account that may not see a replica's
-- state gets NULL.
SELECT 'postgres_replica_lag_seconds' AS signal, CASE
    WHEN pg_is_in_recovery() THEN CASE
        WHEN EXISTS (SELECT FROM pg_stat_wal_receiver) AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
        ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())
    END
    ELSE (
        SELECT CASE
            WHEN bool_or(r.state IS NULL OR r.state = 'catchup' AND r.replay_lag IS NULL) THEN NULL
            ELSE coalesce(extract(epoch FROM max(r.replay_lag)), 0)
        END
        FROM pg_stat_replication AS r
        WHERE coalesce(r.state, '') NOT IN ('startup', 'backup', 'stopping')
          AND NOT EXISTS (SELECT FROM pg_replication_slots AS s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')
    )
END::float8 AS value
