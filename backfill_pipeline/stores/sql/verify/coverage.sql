-- Scorecards of the window (by their own time), and those without a usable time, by template and by the dataset that they
-- belong to, or why to none. Appeals, and scorecards of dev users' conversations, are meant to be in no dataset.
SELECT cards.day, cards.template_id, r.type AS template_type,
       CASE
           WHEN cards.conversation_id <> '' AND chat.is_there IS NULL
               THEN 'scorecard of a conversation that app.chats does not have'
           WHEN cards.conversation_id <> '' AND NOT chat.is_usable
               THEN 'scorecard of a conversation without a usable started_at'
           WHEN cards.conversation_id <> '' THEN 'conversations'
           WHEN r.type IS NULL THEN 'scorecard without a template revision and without a conversation'
           WHEN r.type <> 2 THEN 'scorecard of type ' || r.type || ' without a conversation'
           WHEN cards.day IS NULL THEN 'process scorecard without a usable time'
           ELSE 'process_scorecards'
       END AS belongs,
       count(*) AS scorecards
FROM (
    SELECT s.customer_id, s.profile_id, s.conversation_id, s.template_id, s.template_revision,
           (s.scorecard_time AT TIME ZONE 'UTC')::date AS day
    FROM director.scorecards AS s
    WHERE s.customer_id = %(customer)s AND s.profile_id = ANY (%(profiles)s) AND s.scorecard_type IS NULL
      AND s.scorecard_time >= %(start)s AND s.scorecard_time < %(end)s
    UNION ALL
    SELECT s.customer_id, s.profile_id, s.conversation_id, s.template_id, s.template_revision, NULL
    FROM director.scorecards AS s
    WHERE s.customer_id = %(customer)s AND s.profile_id = ANY (%(profiles)s) AND s.scorecard_type IS NULL
      AND (s.scorecard_time IS NULL OR s.scorecard_time < '1900-01-01 00:00:00+00'
           OR s.scorecard_time >= '2300-01-01 00:00:00+00')
) AS cards
LEFT JOIN director.scorecard_template_revisions AS r
       ON r.template_id = cards.template_id AND r.revision = cards.template_revision
LEFT JOIN LATERAL (
    SELECT true AS is_there, bool_and(c.is_dev_user) AS is_dev_user,
           coalesce(bool_or(NOT c.is_dev_user AND c.started_at >= '1900-01-01 00:00:00+00'
                            AND c.started_at < '2300-01-01 00:00:00+00'), false) AS is_usable
    FROM app.chats AS c
    WHERE c.customer_id = cards.customer_id AND c.profile_id = cards.profile_id
      AND c.conversation_id = cards.conversation_id
    HAVING count(*) > 0
) AS chat ON true
WHERE chat.is_dev_user IS NOT TRUE
GROUP BY 1, 2, 3, 4
