-- Rows of `conversation` as PostgreSQL says they must be, one per conversation and day: of chats that share one, that which
-- changed last. Times that ClickHouse can't hold are NULL there.
SELECT DISTINCT ON (c.customer_id, c.profile_id, c.conversation_id, (c.started_at AT TIME ZONE 'UTC')::date)
       c.customer_id, c.profile_id, c.conversation_id, c.chat_id, c.agent_user_id,
       c.started_at AS conversation_start_time,
       CASE WHEN c.ended_at BETWEEN '1900-01-01 00:00:00+00' AND '2299-12-31 23:59:59.999999+00' THEN c.ended_at END
           AS conversation_end_time
FROM app.chats AS c
WHERE c.customer_id = %(customer)s AND c.profile_id = ANY (%(profiles)s)
  AND c.started_at >= %(start)s AND c.started_at < %(end)s
  AND NOT c.is_dev_user AND c.conversation_id <> ''
ORDER BY c.customer_id, c.profile_id, c.conversation_id, (c.started_at AT TIME ZONE 'UTC')::date,
         c.updated_at DESC, c.chat_id
