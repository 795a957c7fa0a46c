-- The conversations that belong. Should two chats share one, the chat that changed last stands for it: the target
-- holds one row per conversation.
SELECT DISTINCT ON (conversation_id) conversation_id, chat_id, agent_user_id, started_at, ended_at
{belongs}
ORDER BY conversation_id, updated_at DESC, chat_id
