-- Upper ends of slices in the order of conversation_id, each with its number of conversations.
-- A conversation weighs 1 + its scorecards, appeals too: without a filter the index alone answers; a slice begins a new one once the rows before it fill one.
-- OFFSET 0 keeps the planner to one index probe per conversation. Left alone it was seen to scan and hash all scorecards
-- for every slice again: no slower at 300,000 of them, but it grows with the table instead of with the slice.
WITH members AS (
    SELECT conversation_id
    {belongs}
    GROUP BY conversation_id
),
weighed AS (
    SELECT members.conversation_id, 1 + scorecards.number AS weight
    FROM members
    CROSS JOIN LATERAL (
        SELECT count(*) AS number
        FROM director.scorecards
        WHERE customer_id = {customer}
          AND profile_id = {profile}
          AND conversation_id = members.conversation_id
        OFFSET 0
    ) AS scorecards
),
ordered AS (
    SELECT conversation_id, sum(weight) OVER (ORDER BY conversation_id) - weight AS rows_before
    FROM weighed
)
SELECT max(conversation_id) AS upto, count(*) AS conversations
FROM ordered
GROUP BY div(rows_before, {rows})
ORDER BY upto
