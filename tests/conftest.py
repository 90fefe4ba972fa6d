"""What all tests need of the process they run in, and which of them may skip where none should."""

import os
import signal
import sys

import pytest
from hypothesis import settings

# Other work on the machine makes an example slow, which is no fault of what it tests.
settings.register_profile("without a deadline", deadline=None)
settings.load_profile("without a deadline")

# One thread per process: the tests' models are tiny, and idle OpenMP threads would spin against each other. Set before
# torch is imported; the processes that tests start inherit it.
os.environ["OMP_NUM_THREADS"] = "1"

# A shell that starts a command in the background has it ignore SIGINT, and its children would ignore it too; tests of
# Ctrl-C could then never end.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

NO_SKIPS = "CARVID_NO_SKIPS"
"""Set to 1, this environment variable fails a run in which a test skipped for a reason not in ALLOWED_SKIPS."""

ALLOWED_SKIPS = [
    # Either the first two or the third: root may do anything, and only root may mount.
    "root may write anywhere",
    "root may read everything",
    "mounting a small disk needs root",
    "this processor has no exact int8 products",
    # Not among the development packages; the last two ask for other versions of numpy, Pillow and OpenCV.
    "could not import 'label_studio_converter",
    "could not import 'label_studio_sdk",
    "could not import 'datumaro",
]
if sys.version_info >= (3, 13):
    ALLOWED_SKIPS.append("could not import 'pydensecrf")  # see pyproject.toml


def pytest_configure(config):
    # Under xdist only the controller sees all reports.
    if os.environ.get(NO_SKIPS) == "1" and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkipWatch())


class SkipWatch:
    """Fails the run, and names the tests, if one skipped for another reason than those allowed."""

    def __init__(self):
        self._forbidden = []

    def pytest_runtest_logreport(self, report):
        if report.skipped and not hasattr(report, "wasxfail"):
            self._note(report)

    def pytest_collectreport(self, report):
        if report.skipped:
            self._note(report)

    def _note(self, report):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not reason.startswith(tuple(ALLOWED_SKIPS)):
            self._forbidden.append(f"{report.nodeid}: {reason}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session):
        if self._forbidden and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        if self._forbidden:
            terminalreporter.section(f"skipped, which {NO_SKIPS} forbids", red=True)
            for line in self._forbidden:
                terminalreporter.line(line)
