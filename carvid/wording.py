"""Templates: how a query is worded before it is embedded."""

from __future__ import annotations

from carvid.errors import UsageError

#: The placeholder for the query in a template.
SLOT = "{}"


def check_template(template: str) -> None:
    """Raise UsageError for a template without `{}`."""
    if SLOT not in template:
        raise UsageError(f"the template {template!r} has no place for the query: expected {SLOT} in it")


def fill(template: str, query: str) -> str:
    """Put `query` in place of every `{}` in `template`; other braces, in either text, are kept as they are.

    Raises UsageError for a template without `{}`.
    """
    check_template(template)
    return template.replace(SLOT, query)
