"""January once more: what took operators four days by hand, at 1/1000 of its volume, with its faults, in one command.

`python -m benchmarks.january`: 8 clusters, 260 customers, 31 days. `--short`: 2 clusters, 6 customers, 11 days, in minutes.
"""
