-- Scorecards of the window that hang on no conversation, of templates of type 2; appeals (scorecard_type set) are none of them.
SELECT s.*
FROM director.scorecards AS s
JOIN director.scorecard_template_revisions AS r ON r.template_id = s.template_id AND r.revision = s.template_revision
WHERE s.customer_id = %(customer)s AND s.profile_id = ANY (%(profiles)s)
  AND s.scorecard_time >= %(start)s AND s.scorecard_time < %(end)s
  AND s.scorecard_type IS NULL AND (s.conversation_id IS NULL OR s.conversation_id = '') AND r.type = 2
