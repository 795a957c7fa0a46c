"""The steps of a window, a file each: typed input -> typed record of what was proved. No Dagster here.

A step may be run again at any moment, on any machine, and then continues or does nothing.
"""
