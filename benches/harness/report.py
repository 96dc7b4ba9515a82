"""Writes RESULTS.md and its plot from the figures that are kept."""


def write(bench):
    pass
