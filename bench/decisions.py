"""How decisions about a ramp turn out where the truth is known, beside two tests that are usual elsewhere.

Prints what was promised beside what is measured, with its Monte-Carlo error; asserts nothing. Minutes on two cores:

    PYTHONPATH=proto:operator python bench/decisions.py [--runs 400] [--jobs 2] [--plot FILE.svg]
"""

import argparse
import math
import os
import statistics
from collections.abc import Sequence
from pathlib import Path

from simulation import correlated, gates, plot, premises, returning
from simulation.ramps import Ending
from simulation.tables import RULES, Summary, error, in_parallel, row, summary
from simulation.worlds import WORLDS
from sluicegate.policy import Confirm

COMPARED = ("Sluicegate", "peeked t-test", "GrowthBook")
CONFIRMATIONS: tuple[Confirm, ...] = ("None", "UpperBound")


def decisions(runs: int, jobs: int) -> dict[str, list[Summary]]:
    """The table of operating characteristics, world by world, for every rule."""
    print(f"{'truth':27}  {'promoted':>15}  {'after':>12}  {'rolled back':>15}  {'after':>12}  promised")
    found: dict[str, list[Summary]] = {}
    for index, world in enumerate(WORLDS):
        found[world.name] = [summary(index, rule, runs, jobs) for rule in COMPARED]
        print(f"{row(found[world.name][0])}  {world.promised}", flush=True)
    for number, rule in enumerate(COMPARED[1:], start=1):
        print(f"\n{rule}, which knows no safety and goes on after 50 sessions a step")
        for summaries in found.values():
            print(row(summaries[number]))
    print("\nsafety that counts for ever once it was reached")
    print(row(summary(len(WORLDS) - 1, "latched", runs, jobs)), "(rolled back: ≥ 99 % as it should be)")
    return found


def told(name: str, endings: Sequence[Ending]) -> str:
    """One line: how many were promoted and rolled back, and after how many sessions."""
    cells = []
    for how in ("promoted", "rolled back"):
        ended = [ending.sessions for ending in endings if ending.how == how]
        share = len(ended) / len(endings)
        after = f" after {statistics.median(ended):.0f}" if ended else ""
        cells.append(f"{how} {share:6.1%} ± {error(share, len(endings)):.1%}{after}")
    return f"{name:53}  {'; '.join(cells)}"


def four_metrics(runs: int, jobs: int) -> None:
    print("\nfour metrics, correlated at one half")
    for number, change in enumerate(correlated.CHANGES):
        endings = in_parallel(correlated.four, [(number, run) for run in range(runs)], jobs, change.name)
        print(told(change.name, endings), flush=True)


def returning_callers(runs: int, jobs: int) -> None:
    print("\ncallers who return, up to 4,000 sessions of 2,000 callers, some of whom call often")
    for shift in returning.SHIFTS:
        for once in (True, False):
            name = f"{shift:+.1f}, a caller counts {'once' if once else 'with every session (broken)'}"
            endings = in_parallel(returning.returning, [(shift, once, run) for run in range(runs)], jobs, name)
            print(told(name, endings), flush=True)


def kept_and_broken(runs: int, jobs: int) -> None:
    print("\nmean E at the stopping time: at most 1 while a rule is kept")
    for name in premises.RULES:
        cells = []
        for followed in (True, False):
            work = [(name, followed, run) for run in range(runs)]
            values = in_parallel(premises.evidence_at_stop, work, jobs, name)
            cells.append(f"{statistics.mean(values):5.2f} ± {statistics.stdev(values) / math.sqrt(runs):4.2f}")
        print(f"{name:53}  kept {cells[0]}   broken {cells[1]}", flush=True)


def gate_alarms(runs: int, jobs: int) -> None:
    print("\ngates: floor 3.5, one hour, 30 sessions an hour, watched for 1,000 sessions")
    for confirm in CONFIRMATIONS:
        cells = []
        for mean in (3.8, 4.0):
            work = [(mean, confirm, run) for run in range(runs)]
            share = sum(in_parallel(gates.false_alarm, work, jobs, f"gate {confirm}")) / runs
            cells.append(f"false alarm at {mean}: {share:5.1%} ± {error(share, runs):.1%}")
        found = in_parallel(gates.delay, [(confirm, run) for run in range(runs)], jobs, f"gate {confirm}")
        delays = [sessions for sessions in found if sessions is not None]
        after = f"{statistics.median(delays):.0f}" if delays else "never"
        print(f"confirm {confirm:10}  {'; '.join(cells)}; after a fall from 4.1 to 3.0: {after} sessions")


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=400, help="of each row; 2000 for errors of half a point")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--plot", type=Path, help="write the shares rolled back as SVG")
    return parser.parse_args(arguments)


def main() -> None:
    asked = options()
    print(f"{asked.runs} runs of each row, up to 2,000 sessions; medians are of sessions (and of the treatment's)\n")
    assert set(COMPARED) <= set(RULES)
    found = decisions(asked.runs, asked.jobs)
    four_metrics(asked.runs, asked.jobs)
    returning_callers(asked.runs, asked.jobs)
    kept_and_broken(5 * asked.runs, asked.jobs)
    gate_alarms(asked.runs, asked.jobs)
    if asked.plot:
        plot.draw(asked.plot, found)
        print(f"\nwritten: {asked.plot}")


if __name__ == "__main__":
    main()
