-- Upper ends of slices in the order of conversation_id, each with its number of conversations. Slices are cut by
-- conversations alone: to weigh their scorecards too cost as much as a fifth of reading them, and a slice whose rows take
-- too much memory is cut again when it is read.
WITH members AS (
    SELECT conversation_id
    {belongs}
    GROUP BY conversation_id
),
numbered AS (
    SELECT conversation_id, row_number() OVER (ORDER BY conversation_id) - 1 AS position
    FROM members
)
SELECT max(conversation_id) AS upto, count(*) AS conversations
FROM numbered
GROUP BY position / {conversations}
ORDER BY upto
