"""The report as a page, read by a real browser."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import pytest_asyncio
from browser import Browser, Scheme, Tab, a_browser
from reports import Run

from sluicegate.records import ScoreRecord
from sluicegate_operator.reporting.page import page
from sluicegate_operator.reporting.report import Report

HOSTILE = (
    "</style></script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "<svg/onload=document.title='owned'>{{ 7*7 }}{% raw %}&lt;b&gt; javascript:alert(1) ]]> --> \x00\u202eabc"
)

CUT_OFF = """
[...document.querySelectorAll('section *, header *, dl *')]
  .filter(e => e.scrollWidth > e.clientWidth + 1 && !e.closest('thead, svg'))
  .filter(e => getComputedStyle(e).display !== 'inline')
  .map(e => e.tagName + ' ' + e.className + ': ' + e.textContent.trim().slice(0, 40))
"""

OVERLAPPING = """
(() => {
  const found = [];
  for (const svg of document.querySelectorAll('svg')) {
    const outer = svg.getBoundingClientRect();
    if (outer.width === 0) continue;
    const texts = [...svg.querySelectorAll('text')].filter(t => t.textContent.trim());
    const boxes = texts.map(t => [t.textContent, t.getBoundingClientRect()]);
    boxes.forEach(([text, box], i) => {
      if (box.left < outer.left - 1 || box.right > outer.right + 1 || box.top < outer.top - 1
          || box.bottom > outer.bottom + 1) found.push('outside: ' + text);
      for (const [other, its] of boxes.slice(i + 1))
        if (box.left < its.right - 1 && its.left < box.right - 1 && box.top < its.bottom - 3
            && its.top < box.bottom - 3) found.push(text + ' over ' + other);
    });
  }
  return found;
})()
"""

FAINT = """
(() => {
  const parse = colour => colour.match(/[0-9.]+/g).map(Number);
  const linear = c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map(c => linear(c / 255))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || element.closest('style')) continue;
    const style = getComputedStyle(element);
    const ink = parse(element.closest('svg') ? style.fill : style.color);
    const [low, high] = [light(ink), light(ground(element))].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) found.push(walker.currentNode.textContent.trim() + ': ' + ratio.toFixed(2));
  }
  return found;
})()
"""

SEEN = "document.body.innerText"


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    async with a_browser(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def tab(browser: Browser) -> AsyncIterator[Tab]:
    async with browser.tab() as opened:
        yield opened


def written(folder: Path, report: Report) -> Path:
    path = folder / "report.html"
    path.write_text(page(report), encoding="utf-8")
    return path


def long_names(_: int, record: ScoreRecord) -> ScoreRecord:
    """Names as long as they may be, without a place to break them."""
    metric = "m" * 63
    scores = {**record.scores, metric: 3}
    return replace(record, session_id="s" * 256, scores=scores, reasons={metric: "w" * 600})


RUNS = {
    "empty": Run(),
    "short": Run(),
    "ramping": Run(),
    "harmful": Run(fall=1.0),
    "seam": Run(edit=lambda number, record: replace(record, judge_revision="r2") if number > 250 else record),
    "long names": Run(fall=0.3, edit=long_names),
}
SESSIONS = {"empty": 0, "short": 3, "ramping": 1_100, "harmful": 1_500, "seam": 500, "long names": 300}


@pytest.fixture(scope="module", params=RUNS)
def report(request: pytest.FixtureRequest) -> Report:
    made = RUNS[request.param].sessions(SESSIONS[request.param]).report()
    if request.param != "long names":
        return made
    name = "v" * 63
    treatment, control = made.variants
    gates = tuple(replace(gate, variant=name) if gate.variant == "warm" else gate for gate in made.gates)
    variants = (replace(treatment, name=name), control)
    return replace(made, experiment="e" * 63, treatment=name, variants=variants, gates=gates, steps=made.steps * 4)


async def test_it_can_be_read_at_every_width_and_in_both_schemes(tmp_path: Path, tab: Tab, report: Report) -> None:
    """Nothing is wider than the window, nothing in a picture is cut off or over something else, all has contrast."""
    path = written(tmp_path, report)
    for width in (360, 390, 801, 1_280):
        for scheme in get_args(Scheme):
            await tab.open(path, width, scheme)
            assert await tab.evaluate("document.documentElement.scrollWidth") <= width
            assert await tab.evaluate(CUT_OFF) == []
            assert await tab.evaluate(OVERLAPPING) == []
            assert await tab.evaluate(FAINT) == []
    assert tab.complaints == []


async def test_it_asks_for_nothing_and_runs_nothing(tmp_path: Path, tab: Tab) -> None:
    """One request, for itself; no script; and its own policy does not stand in its way."""
    text = page(Run().sessions(300).report())
    assert "<script" not in text
    assert not re.search(r"(?:src|href|url)\s*[=(]", text)
    await tab.call("Emulation.setScriptExecutionDisabled", value=True)
    await tab.open(written(tmp_path, Run().sessions(300).report()), 1_280)
    assert len(tab.requests) == 1
    assert tab.complaints == []
    assert "Evidence, session by session" in await tab.evaluate(SEEN)


async def test_light_and_dark_are_the_readers_own(tmp_path: Path, tab: Tab) -> None:
    """The ground is light where the reader's is, and dark where it is dark."""
    path = written(tmp_path, Run().sessions(50).report())
    grounds = []
    for scheme in get_args(Scheme):
        await tab.open(path, 1_280, scheme)
        colour = await tab.evaluate("getComputedStyle(document.body).backgroundColor")
        grounds.append(sum(map(int, re.findall(r"\d+", colour))))
    assert grounds[0] > 600
    assert grounds[1] < 150


async def test_the_numbers_are_there(tmp_path: Path, tab: Tab) -> None:
    """The decision's sentence, both lines with their evidence beside the line of 20, gates, history and reasons."""
    report = Run(fall=1.0).sessions(600).report()
    await tab.open(written(tmp_path, report), 1_280)
    seen = await tab.evaluate(SEEN)
    for part in (
        report.decision.message,
        "rolled back",
        "10% → 0%",
        "20 rolls back",
        "warm was given to",
        report.worst[0].session_id,
        next(iter(report.worst[0].reasons.values())),
        "overall_average",
        "Judged by m, revision r1",
    ):
        assert part in seen
    drawn = await tab.evaluate("[...document.querySelectorAll('svg.wide text')].map(t => t.textContent).join('|')")
    assert {"20 decides", "harm", "safety", "over 10000", "10%", "sessions compared"} <= set(drawn.split("|"))
    assert await tab.evaluate("document.querySelectorAll('svg.wide path.course').length") == 2


async def test_a_line_that_decides_crosses_the_line_of_20(tmp_path: Path, tab: Tab) -> None:
    """Harm ends above the line of 20, safety below it, on a scale where they began at one place: at 1."""
    await tab.open(written(tmp_path, Run(fall=1.0).sessions(600).report()), 1_280)
    places = await tab.evaluate(
        "['harm', 'safety'].map(k => document.querySelector(`svg.wide path.${k}`)).map(p => "
        "[p.getPointAtLength(0).y, p.getPointAtLength(p.getTotalLength()).y])"
    )
    line = float(await tab.evaluate("document.querySelector('svg.wide line.deciding').getAttribute('y1')"))
    (harm_first, harm_last), (safety_first, safety_last) = places
    assert harm_last < line < safety_last
    assert abs(harm_first - safety_first) < 10


async def test_hostile_content_is_only_shown(tmp_path: Path, tab: Tab) -> None:
    """Names, ids and reasons that would be scripts, images and templates come out as what they are: letters."""

    def hostile(_: int, record: ScoreRecord) -> ScoreRecord:
        scores = {**record.scores, HOSTILE: 1}
        reasons = dict.fromkeys(scores, HOSTILE)
        changes = {"session_id": HOSTILE, "end_reason": HOSTILE, "judge_model": HOSTILE, "judge_revision": HOSTILE}
        return replace(record, **changes, scores=scores, reasons=reasons)  # type: ignore[arg-type]

    report = Run(edit=hostile).sessions(100).report()
    names: dict[str, Any] = {"experiment": HOSTILE, "run_id": HOSTILE, "namespace": HOSTILE, "agent": HOSTILE}
    decision = replace(report.decision, message=HOSTILE, needed=HOSTILE)
    history = (replace(report.history[0], message=HOSTILE),)
    variants = (replace(report.variants[0], name=HOSTILE), report.variants[1])
    report = replace(
        report,
        **names,
        decision=decision,
        history=history,
        variants=variants,
        treatment=HOSTILE,
    )
    await tab.open(written(tmp_path, report), 390)
    assert "owned" not in (await tab.evaluate("document.title")).split("'")[0]
    assert (
        await tab.evaluate("document.querySelectorAll('script, img, iframe, object, [onload], [onerror]').length") == 0
    )
    assert len(tab.requests) == 1
    assert await tab.evaluate(SEEN + ".split(\"document.title='owned'\").length - 1") >= 30
    assert await tab.evaluate("document.documentElement.scrollWidth") <= 390


async def test_the_policy_is_a_second_wall(tmp_path: Path, tab: Tab) -> None:
    """Were something let through after all, the browser would neither run nor fetch it."""
    path = tmp_path / "report.html"
    let_through = "<script>document.title='owned'</script><img src='https://example.org/x.png'><p style='color: red'>"
    path.write_text(page(Run().sessions(10).report()).replace("<main>", f"<main>{let_through}"), encoding="utf-8")
    await tab.open(path, 1_280)
    assert await tab.evaluate("document.title") != "owned"
    assert not [url for url in tab.requests if url.startswith("https:") and url not in path.as_uri()] or tab.complaints
    assert any("Content Security Policy" in complaint for complaint in tab.complaints)
