-- Chats of one profile whose conversation started in [start, end): which rows belong is said here and only here.
-- Chats of dev users and chats without a conversation are not reindexed.
FROM app.chats
WHERE customer_id = {customer}
  AND profile_id = {profile}
  AND started_at >= {start}
  AND started_at < {end}
  AND NOT is_dev_user
  AND conversation_id IS NOT NULL
  AND conversation_id <> ''
  {range}
  {changed}
