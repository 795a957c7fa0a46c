-- How many conversations the members are: the total of the progress.
SELECT count(*) FROM ({members}) AS members
