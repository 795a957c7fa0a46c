"""Property tests on a shared machine: no time limit per example, which would fail for the neighbours' work."""

from hypothesis import settings

settings.register_profile("shared", deadline=None)
settings.load_profile("shared")
