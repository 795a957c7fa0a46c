-- The next slice in the order of the ids: its last id and how many there are. Slices are cut by ids alone: to weigh what
-- hangs on them too cost as much as a fifth of reading it, and a slice whose rows take too much memory is cut again.
SELECT max({key}) AS upto, count(*) AS size
FROM (
    SELECT {key}
    {belongs}
    GROUP BY {key}
    ORDER BY {key}
    LIMIT {size}
) AS page
