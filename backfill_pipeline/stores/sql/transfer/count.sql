-- How many ids belong: the total of the progress. Grouped, as that can be hashed where DISTINCT must sort.
SELECT count(*)
FROM (
    SELECT {key}
    {belongs}
    GROUP BY {key}
) AS members
