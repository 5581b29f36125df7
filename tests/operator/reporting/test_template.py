"""The page's template, read as a text."""

import re
from pathlib import Path

from sluicegate_operator.reporting.page import page


def test_one_text_alone_is_not_escaped() -> None:
    """The style, which is our own file. Whatever else a template marks as safe is a hole."""
    template = Path(page.__code__.co_filename).with_name("page.html.jinja").read_text(encoding="utf-8")
    assert re.findall(r"\{\{[^}]*\bsafe\b[^}]*\}\}", template) == ["{{ style | safe }}"]
    assert "autoescape" not in template
