-- Rows of the target `conversation`. A time that ClickHouse or Arrow can't hold (infinite, before 1900, from 2300) is NULL.
WITH members AS ({members})
SELECT
    conversation_id,
    chat_id,
    agent_user_id,
    started_at AS conversation_start_time,
    CASE WHEN ended_at >= {oldest} AND ended_at < {newest} THEN ended_at END AS conversation_end_time
FROM members
