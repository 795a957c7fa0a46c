-- Narrows the members to scorecards of which anything changed since then: the scorecard or one of its scores.
AND scorecard_id IN (
    SELECT scorecard_id
    FROM director.scorecards
    WHERE customer_id = {customer} AND profile_id = {profile} AND updated_at >= {since}
    UNION
    SELECT scorecards.scorecard_id
    FROM director.historic_scorecard_scores AS scores
    JOIN director.scorecards AS scorecards
      ON scorecards.customer_id = {customer}
     AND scorecards.profile_id = {profile}
     AND scorecards.scorecard_id = scores.scorecard_id
    WHERE scores.updated_at >= {since}
)
