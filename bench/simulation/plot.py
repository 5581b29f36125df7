"""A plot of the shares, as SVG by hand: one group of bars a world, one bar a rule."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from simulation.tables import Summary

COLOURS = ("#1b6ca8", "#c44536", "#7d8491")
LEFT, WIDTH, BAR, GAP = 220, 420, 12, 16


def draw(path: Path, rows: Mapping[str, Sequence[Summary]]) -> None:
    """Writes the share of ramps rolled back, by world and rule. `rows`: world → one summary for each rule."""
    parts: list[str] = []
    top = 40
    for world, summaries in rows.items():
        middle = top + BAR * len(summaries) / 2 + 4
        parts.append(f'<text x="{LEFT - 8}" y="{middle:g}" text-anchor="end">{world}</text>')
        for number, of in enumerate(summaries):
            share, y = of.share("rolled back"), top + BAR * number
            parts.append(
                f'<rect x="{LEFT}" y="{y}" width="{max(1.0, WIDTH * share):.1f}" height="{BAR - 2}" '
                f'fill="{COLOURS[number]}"/><text x="{LEFT + WIDTH * share + 6:.1f}" y="{y + 9}">{share:.1%}</text>'
            )
        top += BAR * len(summaries) + GAP
    names = [of.rule for of in next(iter(rows.values()))]
    legend = "".join(
        f'<rect x="{LEFT + 140 * n}" y="10" width="10" height="10" fill="{COLOURS[n]}"/>'
        f'<text x="{LEFT + 140 * n + 16}" y="19">{name}</text>'
        for n, name in enumerate(names)
    )
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 60} {top + 10}" '
        'font-family="sans-serif" font-size="11"><title>Ramps rolled back</title>'
        f'<rect width="100%" height="100%" fill="#fff"/>{legend}{"".join(parts)}</svg>\n',
        encoding="utf-8",
    )
