-- Rows of `score`: the criteria of the scorecards above.
SELECT s.customer_id, s.profile_id, h.scorecard_id, h.criterion_id, s.conversation_id,
       c.started_at AS conversation_start_time,
       h.numeric_value, h.ai_value, h.text_value, h.not_applicable, h.weight
FROM director.historic_scorecard_scores AS h
JOIN director.scorecards AS s USING (scorecard_id)
JOIN (
    SELECT DISTINCT ON (customer_id, profile_id, conversation_id, (started_at AT TIME ZONE 'UTC')::date)
           customer_id, profile_id, conversation_id, started_at
    FROM app.chats
    WHERE customer_id = %(customer)s AND profile_id = ANY (%(profiles)s)
      AND started_at >= %(start)s AND started_at < %(end)s AND NOT is_dev_user AND conversation_id <> ''
    ORDER BY customer_id, profile_id, conversation_id, (started_at AT TIME ZONE 'UTC')::date, updated_at DESC, chat_id
) AS c USING (customer_id, profile_id, conversation_id)
WHERE s.scorecard_type IS NULL
