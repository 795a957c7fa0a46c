-- Upper ends of slices in the order of conversation_id, each with its number of conversations.
-- A conversation weighs 1 + its scorecards; a slice begins a new one once the rows before it fill one.
WITH members AS (
    SELECT conversation_id
    {belongs}
    GROUP BY conversation_id
),
weighed AS (
    SELECT members.conversation_id, 1 + count(scorecards.scorecard_id) AS weight
    FROM members
    LEFT JOIN director.scorecards AS scorecards
      ON scorecards.customer_id = {customer}
     AND scorecards.profile_id = {profile}
     AND scorecards.conversation_id = members.conversation_id
     AND scorecards.scorecard_type IS NULL
    GROUP BY members.conversation_id
),
ordered AS (
    SELECT conversation_id, sum(weight) OVER (ORDER BY conversation_id) - weight AS rows_before
    FROM weighed
)
SELECT max(conversation_id) AS upto, count(*) AS conversations
FROM ordered
GROUP BY div(rows_before, {rows})
ORDER BY upto
