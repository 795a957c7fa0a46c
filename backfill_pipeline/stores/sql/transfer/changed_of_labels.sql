-- Narrows the members to conversations of which anything changed since then: a chat, or an event of the assistance.
AND conversation_id IN (
    SELECT conversation_id
    FROM app.chats
    WHERE customer_id = {customer} AND profile_id = {profile} AND updated_at >= {since}
    UNION
    SELECT conversation_id
    FROM app.agent_assist_events
    WHERE customer_id = {customer} AND profile_id = {profile} AND occurred_at >= {since}
)
