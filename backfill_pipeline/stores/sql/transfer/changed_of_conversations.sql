-- Narrows the members to conversations of which anything changed since then: the chat, a scorecard or a score.
AND conversation_id IN (
    SELECT conversation_id
    FROM app.chats
    WHERE customer_id = {customer} AND profile_id = {profile} AND updated_at >= {since}
    UNION
    SELECT conversation_id
    FROM director.scorecards
    WHERE customer_id = {customer} AND profile_id = {profile} AND updated_at >= {since}
    UNION
    SELECT scorecards.conversation_id
    FROM director.historic_scorecard_scores AS scores
    JOIN director.scorecards AS scorecards
      ON scorecards.customer_id = {customer}
     AND scorecards.profile_id = {profile}
     AND scorecards.scorecard_id = scores.scorecard_id
    WHERE scores.updated_at >= {since}
)
