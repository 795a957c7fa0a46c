"""What gives each cause of a failure away, a file per system; `domain/failures.py` says in which order they are asked."""
