"""Tables of parametrized tests."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

Given = TypeVar("Given")
Result = TypeVar("Result")


def by_result(groups: Mapping[Result, Iterable[Given]]) -> list[tuple[Given, Result]]:
    """One row for each thing given, with the result that it shares with its group."""
    return [(given, result) for result, every in groups.items() for given in every]
