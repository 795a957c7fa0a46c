-- Rows of the target `conversation`. Should two chats share one, the chat that changed last stands for it: the target holds
-- one row per conversation. A time that ClickHouse or Arrow can't hold (infinite, before 1900, from 2300) is NULL.
WITH members AS (
    SELECT DISTINCT ON (conversation_id) conversation_id, chat_id, agent_user_id, started_at, ended_at
    {belongs}
    ORDER BY conversation_id, updated_at DESC, chat_id
)
SELECT
    conversation_id,
    chat_id,
    agent_user_id,
    started_at AS conversation_start_time,
    CASE WHEN ended_at >= {oldest} AND ended_at < {newest} THEN ended_at END AS conversation_end_time
FROM members
