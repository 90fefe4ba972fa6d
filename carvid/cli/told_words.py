"""What is said at the start of a run of queries whose words choose among things."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from carvid.recipe import Recipe
from carvid.words.queries import Expressions


def tell_words(queries: Sequence[str], recipe: Recipe) -> None:
    """A line on stderr for each such query: what CLIP reads, and what is used to choose. Raises UsageError for queries
    that cannot be used."""
    if recipe.words and queries:
        for one in Expressions.of(queries).each:
            if one.speaks:
                typer.echo(f"carvid: {one.told()}", err=True)
