-- Rows of `conversation_with_labels` as PostgreSQL says they must be: one per ended conversation, on the day of its end.
-- Of chats that share a conversation that which changed last stands for it; while that one is open there is no row.
SELECT c.customer_id, c.profile_id, c.conversation_id, coalesce(c.agent_user_id, '') AS agent_user_id,
       c.started_at AS conversation_start_time, c.ended_at AS conversation_end_time,
       coalesce(events.kinds, ARRAY[]::text[]) AS labels, coalesce(events.total, 0) AS agent_assist_events
FROM app.chats AS c
JOIN LATERAL (
    SELECT o.chat_id FROM app.chats AS o
    WHERE o.customer_id = c.customer_id AND o.profile_id = c.profile_id AND o.conversation_id = c.conversation_id
      AND NOT o.is_dev_user
    ORDER BY o.updated_at DESC, o.chat_id LIMIT 1
) AS newest ON newest.chat_id = c.chat_id
LEFT JOIN LATERAL (
    SELECT array_agg(DISTINCT e.kind COLLATE "C" ORDER BY e.kind COLLATE "C") AS kinds, count(*) AS total
    FROM app.agent_assist_events AS e
    WHERE e.customer_id = c.customer_id AND e.profile_id = c.profile_id AND e.conversation_id = c.conversation_id
) AS events ON true
WHERE c.customer_id = %(customer)s AND c.profile_id = ANY (%(profiles)s) AND NOT c.is_dev_user
  AND c.conversation_id <> '' AND c.ended_at >= %(start)s AND c.ended_at < %(end)s
  AND c.started_at BETWEEN '1900-01-01 00:00:00+00' AND '2299-12-31 23:59:59.999999+00'
