"""One thread per process: the tests' models are tiny, and idle OpenMP threads would spin against each other."""

import os

# Before torch is imported; the processes that tests start inherit it.
os.environ["OMP_NUM_THREADS"] = "1"
