-- Scorecards of one profile without a conversation, of templates of type 2, whose time lies in [start, end): which rows
-- belong is said here and only here. Appeals are not reindexed.
FROM director.scorecards
WHERE customer_id = {customer}
  AND profile_id = {profile}
  AND scorecard_time >= {start}
  AND scorecard_time < {end}
  AND scorecard_type IS NULL
  AND coalesce(conversation_id, '') = ''
  AND (template_id, template_revision) IN (
      SELECT template_id, revision FROM director.scorecard_template_revisions WHERE type = 2
  )
  {range}
  {changed}
