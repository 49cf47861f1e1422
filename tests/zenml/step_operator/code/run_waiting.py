"""Runs the pipeline `waiting`; started as a process of its own, to be killed."""

import sys

from runai_steps import waiting

if __name__ == "__main__":
    waiting(sys.argv[1], sys.argv[2])
