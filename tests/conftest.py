"""What all tests need of the process they run in."""

import os
import signal

# One thread per process: the tests' models are tiny, and idle OpenMP threads would spin against each other. Set before
# torch is imported; the processes that tests start inherit it.
os.environ["OMP_NUM_THREADS"] = "1"

# A shell that starts a command in the background has it ignore SIGINT, and its children would ignore it too; tests of
# Ctrl-C could then never end.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
