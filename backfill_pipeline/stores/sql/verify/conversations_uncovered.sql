-- Rows of the customer that belong to no day of any window, by class. They are reported, never dropped in silence.
SELECT 'conversation without a usable started_at' AS class, count(*) AS rows
FROM app.chats AS c
WHERE c.customer_id = %(customer)s AND NOT c.is_dev_user AND c.conversation_id <> ''
  AND (c.started_at IS NULL
       OR NOT c.started_at BETWEEN '1900-01-01 00:00:00+00' AND '2299-12-31 23:59:59.999999+00')
UNION ALL
SELECT 'conversation of a profile that the configuration does not name', count(*)
FROM app.chats AS c
WHERE c.customer_id = %(customer)s AND NOT c.profile_id = ANY (%(profiles)s)
  AND NOT c.is_dev_user AND c.conversation_id <> ''
UNION ALL
SELECT CASE WHEN chat.is_there THEN 'scorecard of a conversation without a usable started_at'
            ELSE 'scorecard of a conversation that app.chats does not have' END, count(*)
FROM director.scorecards AS s
LEFT JOIN LATERAL (
    SELECT true AS is_there
    FROM app.chats AS c
    WHERE (c.customer_id, c.profile_id, c.conversation_id) = (s.customer_id, s.profile_id, s.conversation_id)
    HAVING count(*) > 0 AND NOT bool_and(c.is_dev_user)
) AS chat ON true
WHERE s.customer_id = %(customer)s AND s.profile_id = ANY (%(profiles)s)
  AND s.scorecard_type IS NULL AND s.conversation_id <> ''
  AND NOT EXISTS (
      SELECT FROM app.chats AS c
      WHERE (c.customer_id, c.profile_id, c.conversation_id) = (s.customer_id, s.profile_id, s.conversation_id)
        AND (c.is_dev_user
             OR c.started_at BETWEEN '1900-01-01 00:00:00+00' AND '2299-12-31 23:59:59.999999+00')
  )
GROUP BY 1
UNION ALL
SELECT 'scorecard of an unknown scorecard_type', count(*)
FROM director.scorecards AS s
WHERE s.customer_id = %(customer)s AND s.scorecard_type NOT IN (1, 2, 3)
UNION ALL
SELECT 'scorecard of a profile that the configuration does not name', count(*)
FROM director.scorecards AS s
WHERE s.customer_id = %(customer)s AND NOT s.profile_id = ANY (%(profiles)s)
  AND s.scorecard_type IS NULL AND s.conversation_id <> ''
