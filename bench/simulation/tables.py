"""Tables of simulated ramps: shares with their Monte-Carlo error, and medians."""

import math
import multiprocessing
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from simulation.ramps import Ending, ramp
from simulation.rules import GrowthBook, Latched, PeekedTTest, Sluicegate
from simulation.worlds import WORLDS, World

RULES = {"Sluicegate": Sluicegate, "peeked t-test": PeekedTTest, "GrowthBook": GrowthBook, "latched": Latched}
CHUNK = 25

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of many runs of one world under one rule. Shares are 0 to 1."""

    world: World
    rule: str
    endings: Sequence[Ending]

    def share(self, how: str) -> float:
        return sum(ending.how == how for ending in self.endings) / len(self.endings)

    def median(self, how: str) -> tuple[float, float, float] | None:
        """Sessions, treatment's sessions, and sessions after the fall, of the runs that ended so."""
        ended = [ending for ending in self.endings if ending.how == how]
        if not ended:
            return None
        return (
            statistics.median(ending.sessions for ending in ended),
            statistics.median(ending.treatment for ending in ended),
            statistics.median(ending.after_fall for ending in ended),
        )


def error(share: float, runs: int) -> float:
    """Standard error of a share; of 0 and 1, that of one run in all."""
    return math.sqrt(max(share * (1 - share), 1 / runs * (1 - 1 / runs)) / runs)


def in_parallel(work: Callable[[Job], Result], jobs: Iterable[Job], processes: int, title: str) -> list[Result]:
    """All results, in the order of the jobs, with a line of progress on standard error."""
    todo = list(jobs)
    results: list[Result] = []
    with multiprocessing.Pool(processes) as pool:
        for result in pool.imap(work, todo):
            results.append(result)
            done = len(results) / len(todo)
            bar = "█" * int(30 * done)
            print(f"\r{title:44.44} {bar:30} {done:4.0%}", end="", file=sys.stderr, flush=True)
    print("\r" + " " * 82, end="\r", file=sys.stderr, flush=True)
    return results


def play(job: tuple[int, str, int, int]) -> list[Ending]:
    """Runs number `first` to `last` of a world, by its index, under a rule."""
    world, rule, first, last = job
    truth = WORLDS[world]
    return [ramp(truth, RULES[rule](), f"{truth.name}/{number}") for number in range(first, last)]


def summary(world: int, rule: str, runs: int, processes: int) -> Summary:
    jobs = [(world, rule, first, min(runs, first + CHUNK)) for first in range(0, runs, CHUNK)]
    chunks = in_parallel(play, jobs, processes, f"{rule}: {WORLDS[world].name}")
    return Summary(WORLDS[world], rule, [ending for chunk in chunks for ending in chunk])


def row(of: Summary) -> str:
    """One line: shares ± standard error, and the medians of those that were promoted and rolled back."""
    runs = len(of.endings)
    cells = [f"{of.world.name:27}"]
    for how in ("promoted", "rolled back"):
        share = of.share(how)
        medians = of.median(how)
        told = "–"
        if medians:
            sessions, treatment, after_fall = medians
            told = f"{sessions:.0f} ({treatment:.0f})"
            if of.world.falls_at and how == "rolled back":
                told = f"{after_fall:.0f} after"
        cells.append(f"{share:7.1%} ± {error(share, runs):4.1%}  {told:>12}")
    return "  ".join(cells)
