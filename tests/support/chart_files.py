"""`make chart`: writes what is made from the chart, its table of values and the snapshots of what it renders."""

import tempfile
from pathlib import Path

from chart_values import readme
from helm_chart import CHART, SNAPSHOTS, VARIANTS, snapshot

if __name__ == "__main__":
    (CHART / "README.md").write_text(readme((CHART / "values.yaml").read_text(encoding="utf-8")), encoding="utf-8")
    with tempfile.TemporaryDirectory() as home:
        for variant in VARIANTS:
            (SNAPSHOTS / f"{variant}.yaml").write_text(snapshot(Path(home), variant), encoding="utf-8")
