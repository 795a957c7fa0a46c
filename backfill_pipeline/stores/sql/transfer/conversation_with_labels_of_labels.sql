-- Rows of the target `conversation_with_labels`: one per ended conversation, with the kinds of its events as labels.
WITH members AS (
    SELECT conversation_id, agent_user_id, started_at, ended_at
    {belongs}
), labels AS (
    SELECT conversation_id, array_agg(DISTINCT kind COLLATE "C" ORDER BY kind COLLATE "C") AS kinds, count(*)::integer AS events
    FROM app.agent_assist_events
    WHERE customer_id = {customer}
      AND profile_id = {profile}
      AND conversation_id IN (SELECT conversation_id FROM members)
    GROUP BY conversation_id
)
SELECT
    conversation_id,
    coalesce(agent_user_id, '') AS agent_user_id,
    started_at AS conversation_start_time,
    ended_at AS conversation_end_time,
    coalesce(labels.kinds, ARRAY[]::text[]) AS labels,
    coalesce(labels.events, 0) AS agent_assist_events
FROM members
LEFT JOIN labels USING (conversation_id)
