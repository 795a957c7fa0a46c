-- Chats of one profile whose conversation ended in [start, end) and began at {reach} or later: which rows belong is said
-- here and only here. Chats of dev users and chats without a conversation are not labelled. Should several chats share a
-- conversation, the one that changed last stands for it: the target holds one row per conversation, on whatever day.
FROM app.chats AS chats
WHERE customer_id = {customer}
  AND profile_id = {profile}
  AND ended_at >= {start}
  AND ended_at < {end}
  AND started_at >= {reach}
  AND started_at < {newest}
  AND NOT is_dev_user
  AND conversation_id IS NOT NULL
  AND conversation_id <> ''
  AND NOT EXISTS (
      SELECT FROM app.chats AS others
      WHERE others.customer_id = {customer}
        AND others.profile_id = {profile}
        AND others.conversation_id = chats.conversation_id
        AND NOT others.is_dev_user
        AND (others.updated_at > chats.updated_at
             OR others.updated_at = chats.updated_at AND others.chat_id < chats.chat_id)
  )
  {range}
  {changed}
