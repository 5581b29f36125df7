"""The fault tests' own summary: each fault, how it ended, and the account that it left."""

from collections.abc import Iterator

import pytest

ENDED: list[tuple[str, str, str]] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Notes the end of each test here, with the last account that it printed."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.when == "call" or report.outcome == "skipped":
        accounts = [line for line in report.capstdout.splitlines() if line.startswith("acknowledged ")]
        ENDED.append(
            (item.name.removeprefix("test_").replace("_", " "), report.outcome, accounts[-1] if accounts else "")
        )
    return report  # type: ignore[return-value]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("faults")
    for fault, outcome, account in ENDED:
        terminalreporter.write_line(f"{outcome:8} {fault}")
        if account:
            terminalreporter.write_line(f"         {account}")
