-- Rows of `conversation` as PostgreSQL says they must be. Times that ClickHouse can't hold are NULL there.
SELECT c.customer_id, c.profile_id, c.conversation_id, c.chat_id, c.agent_user_id,
       c.started_at AS conversation_start_time,
       CASE WHEN c.ended_at BETWEEN '1900-01-01 00:00:00+00' AND '2299-12-31 23:59:59.999999+00' THEN c.ended_at END
           AS conversation_end_time
FROM ({conversations_members}) AS c
