-- How many conversations belong: the total of the progress. Grouped, as that can be hashed where DISTINCT must sort.
SELECT count(*)
FROM (
    SELECT conversation_id
    {belongs}
    GROUP BY conversation_id
) AS members
