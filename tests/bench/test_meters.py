"""What work costs, by meters that are told what to show."""

import subprocess
import sys

from bench.meters import cpu_of, spent

# A process whose child has had 0.2 s of CPU, and is gone.
PARENT = """
import subprocess, sys
burn = "import time\\nwhile time.process_time() < 0.2: pass"
subprocess.run([sys.executable, "-c", burn])
print("ready", flush=True)
input()
"""


def test_each_meter_counts_what_went_on_between_its_two_readings() -> None:
    """Reading the inner one moves the outer one on by 5, and is no cost of the inner one."""
    shown = {"outer": 10.0, "inner": 500.0}

    def inner() -> float:
        shown["outer"] += 5
        return shown["inner"]

    def work() -> str:
        shown["outer"] += 1
        shown["inner"] += 1
        return "done"

    result, costs = spent(work, lambda: shown["outer"], inner)
    assert (result, costs) == ("done", [11, 1])


def test_a_process_costs_what_its_ended_children_cost_too() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert cpu_of(process)() >= 0.19  # the kernel tells it in hundredths of a second
        assert cpu_of(process, process)() >= 0.38
        process.communicate(b"\n")
