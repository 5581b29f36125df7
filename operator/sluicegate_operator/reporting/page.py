"""The report as a page: one file that needs no network and no script, in the reader's light or dark.

Whatever is in a report may have been written by a caller or a model. All of it is escaped where the template puts it,
the pictures too: they are places and texts, and the template draws them. As a second wall the page forbids itself, by
its content security policy, every script, every request and every style but its own.
"""

import base64
import hashlib
from functools import cache
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template

from sluicegate_operator.reporting import outlook
from sluicegate_operator.reporting.difference_chart import difference_chart
from sluicegate_operator.reporting.evidence_chart import evidence_chart
from sluicegate_operator.reporting.report import Report
from sluicegate_operator.reporting.words import duration, moment, score, share, signed, visible
from sluicegate_operator.rollout.sentences import evidence_shown

TEMPLATE, STYLE = "page.html.jinja", "page.css"


def page(report: Report) -> str:
    """The HTML document."""
    style = _text_of(STYLE)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return _template().render(
        report=report,
        outlook=outlook,
        style=style,
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        evidence={"wide": evidence_chart(report, 920, 340, 96), "narrow": evidence_chart(report, 350, 300, 92)},
        differences={"wide": difference_chart(report, 920), "narrow": difference_chart(report, 350)},
    )


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(_text_of),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = (duration, evidence_shown, moment, score, share, signed, visible)
    environment.filters.update({word.__name__: word for word in words})
    return environment.get_template(TEMPLATE)


def _text_of(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
