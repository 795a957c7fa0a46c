"""Port-forwards for addresses that only `kubectl port-forward` leads to.

A forward has a folder, a keeper and holders. Holders are the processes that need it: each holds a lock that the kernel
drops however the process ends. The keeper is a process of its own (`python -m backfill_pipeline.clients.port_forward`):
it owns kubectl, watches it, opens it again, and ends itself when it has seen no holder for a few seconds. A keeper that
was killed is started again by whichever holder sees it first, at the same port.

A port belongs to one forward for as long as anybody holds to it, also while nothing listens there: otherwise, between
the end of a kubectl and its next start, a forward of another cluster could take it, and its rows would be deleted there.
"""
