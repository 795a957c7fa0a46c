-- Conversations and scorecards of the customer that belong to no day of any window, by class.
SELECT 'conversation without a usable started_at' AS class, count(*) AS rows
FROM app.chats AS c
WHERE c.customer_id = %(customer)s AND NOT c.is_dev_user AND c.conversation_id <> ''
  AND (c.started_at IS NULL
       OR NOT c.started_at BETWEEN '1900-01-01 00:00:00+00' AND '2299-12-31 23:59:59.999999+00')
UNION ALL
SELECT 'conversation without a usable ended_at', count(*)
FROM app.chats AS c
WHERE c.customer_id = %(customer)s AND NOT c.is_dev_user AND c.conversation_id <> '' AND isfinite(c.ended_at)
  AND NOT c.ended_at BETWEEN '1900-01-01 00:00:00+00' AND '2299-12-31 23:59:59.999999+00'
UNION ALL
SELECT 'conversation of a profile that the configuration does not name', count(*)
FROM app.chats AS c
WHERE c.customer_id = %(customer)s AND NOT c.profile_id = ANY (%(profiles)s)
  AND NOT c.is_dev_user AND c.conversation_id <> ''
UNION ALL
SELECT 'scorecard of an unknown scorecard_type', count(*)
FROM director.scorecards AS s
WHERE s.customer_id = %(customer)s AND s.scorecard_type NOT IN (1, 2, 3)
UNION ALL
SELECT 'scorecard of a profile that the configuration does not name', count(*)
FROM director.scorecards AS s
WHERE s.customer_id = %(customer)s AND NOT s.profile_id = ANY (%(profiles)s) AND s.scorecard_type IS NULL
