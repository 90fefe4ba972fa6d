"""Templates: how a query is worded before it is embedded."""

from __future__ import annotations

from carvid.errors import UsageError

#: What a template holds where the query goes.
SLOT = "{}"


def check_template(template: str) -> None:
    """Raise UsageError for a template without `{}`."""
    if SLOT not in template:
        raise UsageError(f"the template {template!r} has no place for the query: expected {SLOT} in it")


def fill(template: str, query: str) -> str:
    """Put `query` into `template` at every `{}`; all other braces, in either, are plain text.

    Raises UsageError for a template without `{}`.
    """
    check_template(template)
    return template.replace(SLOT, query)
