-- Rows of `scorecard` that hang on a conversation of the window; appeals (scorecard_type set) are none of them.
SELECT s.customer_id, s.profile_id, s.scorecard_id, s.conversation_id,
       c.started_at AS conversation_start_time,
       s.template_id, s.template_revision, s.submission_source, s.agent_user_id, s.creator_user_id, s.score,
       CASE WHEN s.scorecard_time BETWEEN '1900-01-01 00:00:00+00' AND '2299-12-31 23:59:59.999999+00'
            THEN s.scorecard_time END AS scorecard_time,
       CASE WHEN s.submitted_at BETWEEN '1900-01-01 00:00:00+00' AND '2299-12-31 23:59:59.999999+00'
            THEN s.submitted_at END AS submitted_at
FROM director.scorecards AS s
JOIN ({conversations_members}) AS c USING (customer_id, profile_id, conversation_id)
WHERE s.scorecard_type IS NULL
