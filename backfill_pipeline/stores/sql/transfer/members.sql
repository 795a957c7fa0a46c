-- Conversations of one profile that started in [start, end): which rows belong to the dataset is said here and only here.
-- Chats of dev users and chats without a conversation are not reindexed. Should two chats share a conversation,
-- the one that changed last stands for it: the target holds one row per conversation.
SELECT DISTINCT ON (conversation_id) conversation_id, chat_id, agent_user_id, started_at, ended_at
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
ORDER BY conversation_id, updated_at DESC, chat_id
