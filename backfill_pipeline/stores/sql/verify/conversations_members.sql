-- Conversations of the window, one row per conversation and day: of chats that share one, that which changed last.
-- Chats of dev users and chats without a conversation are none.
SELECT DISTINCT ON (customer_id, profile_id, conversation_id, (started_at AT TIME ZONE 'UTC')::date)
       customer_id, profile_id, conversation_id, chat_id, agent_user_id, started_at, ended_at
FROM app.chats
WHERE customer_id = %(customer)s AND profile_id = ANY (%(profiles)s)
  AND started_at >= %(start)s AND started_at < %(end)s AND NOT is_dev_user AND conversation_id <> ''
ORDER BY customer_id, profile_id, conversation_id, (started_at AT TIME ZONE 'UTC')::date, updated_at DESC, chat_id
