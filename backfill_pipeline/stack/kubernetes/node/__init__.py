"""A node whose containers are processes of this machine: a stand-in for kubelet and container runtime.

It registers itself, runs what the scheduler binds to it, tells the API server how pods are and serves their logs. What it
can't show (images, limits of memory, volumes, probes, exec, port-forward, SIGTERM to PID 1) needs a real node.
"""
