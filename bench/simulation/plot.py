"""A plot of the shares, as SVG by hand: one group of bars a world, one bar a rule."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from simulation.tables import Summary

COLOURS = ("#0a6a8a", "#c44536", "#7d8491")
LEFT, WIDTH, RIGHT, BAR, GAP = 190, 420, 60, 13, 14
TOP, BOTTOM = 84, 34
TITLE = "Ramps rolled back, by what is true of the treatment"
READ_AS = "Good: none where it is as good as control or better, all where it is worse."


def draw(path: Path, rows: Mapping[str, Sequence[Summary]]) -> None:
    """Writes the share of ramps rolled back, by world and rule. `rows`: world → one summary for each rule."""
    rules = [of.rule for of in next(iter(rows.values()))]
    height = BAR * len(rules) + GAP
    bottom = TOP + height * len(rows)
    groups = (_group(world, of, TOP + height * number) for number, (world, of) in enumerate(rows.items()))
    width, full = LEFT + WIDTH + RIGHT, bottom + BOTTOM
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{full}" viewBox="0 0 {width} {full}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="#13212b"><title>{TITLE}</title>'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="16" y="24" font-size="15" font-weight="600">{TITLE}</text>'
        f'<text x="16" y="42" fill="#52626d">{READ_AS}</text>'
        f"{_legend(rules)}{_scale(bottom)}{''.join(groups)}</svg>\n",
        encoding="utf-8",
    )


def _legend(rules: Sequence[str]) -> str:
    return "".join(
        f'<rect x="{LEFT + 140 * n}" y="57" width="11" height="11" fill="{COLOURS[n]}"/>'
        f'<text x="{LEFT + 140 * n + 17}" y="67">{rule}</text>'
        for n, rule in enumerate(rules)
    )


def _scale(bottom: float) -> str:
    """Thin lines at each quarter, with their shares below."""
    return "".join(
        f'<line x1="{LEFT + WIDTH * share:g}" x2="{LEFT + WIDTH * share:g}" y1="{TOP - 4}" y2="{bottom}" '
        f'stroke="#d3dce1"/><text x="{LEFT + WIDTH * share:g}" y="{bottom + 18}" text-anchor="middle" '
        f'fill="#52626d">{share:.0%}</text>'
        for share in (0, 0.25, 0.5, 0.75, 1)
    )


def _group(world: str, summaries: Sequence[Summary], top: float) -> str:
    """The bars of one world. Each number stands on white, so that no line of the scale runs through it."""
    parts = [f'<text x="{LEFT - 10}" y="{top + BAR * len(summaries) / 2 + 4:g}" text-anchor="end">{world}</text>']
    for number, of in enumerate(summaries):
        share, y = of.share("rolled back"), top + BAR * number
        end, weight = LEFT + WIDTH * share, 600 if number == 0 else 400
        parts.append(
            f'<rect x="{LEFT}" y="{y}" width="{max(1.0, WIDTH * share):.1f}" height="{BAR - 2}" '
            f'fill="{COLOURS[number]}"/><text x="{end + 6:.1f}" y="{y + 10}" font-weight="{weight}" font-size="11" '
            f'paint-order="stroke" stroke="#fff" stroke-width="4">{share:.1%}</text>'
        )
    return "".join(parts)
