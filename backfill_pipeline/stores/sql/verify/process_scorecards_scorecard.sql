-- Rows of `scorecard` without a conversation; their day is that of their own time.
SELECT s.customer_id, s.profile_id, s.scorecard_id, '' AS conversation_id,
       s.scorecard_time AS conversation_start_time,
       s.template_id, s.template_revision, s.submission_source, s.agent_user_id, s.creator_user_id, s.score,
       s.scorecard_time,
       CASE WHEN s.submitted_at BETWEEN '1900-01-01 00:00:00+00' AND '2299-12-31 23:59:59.999999+00'
            THEN s.submitted_at END AS submitted_at
FROM ({process_scorecards_members}) AS s
