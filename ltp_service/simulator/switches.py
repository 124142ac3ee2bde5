"""How faults are declared, switched and asked: a fault is a function whose name is its switch.

The decorator says which question the function answers, and on which exchanges. Its first parameter is the subject of the
question, the others are the fault's own arguments."""

import inspect
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Answer = TypeVar("Answer")
Arguments = Mapping[str, Any]

KRAKEN = "kraken"
SPOT = "spot"
"""The two families of exchanges: Kraken, and all others."""

_TARGETS = ("pair",)


class Question(Generic[Answer]):
    """Something an exchange asks its faults at one place. A call gives the decorator of the faults that answer it.

    `subjects`: how many parameters are not the fault's own. `shared`: arguments that every such fault takes."""

    def __init__(self, subjects: int = 1, shared: Sequence[str] = ()) -> None:
        self.subjects = subjects
        self.shared = tuple(shared)

    def __call__(self, family: str | None = None) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
        """`family`: the only exchanges that have the fault; all of them by default."""

        def declare(function: Callable[..., Answer]) -> Callable[..., Answer]:
            KNOWN[function.__name__] = Fault(function, self, family)
            return function

        return declare


@dataclass(frozen=True)
class Fault:
    """One entry of the table."""

    function: Callable[..., Any]
    question: Question[Any]
    family: str | None

    def own(self) -> dict[str, bool]:
        """Its own arguments in order, and whether each is needed."""
        own = list(inspect.signature(self.function).parameters.values())[self.question.subjects :]
        return {each.name: each.default is inspect.Parameter.empty for each in own}

    def arguments(self) -> dict[str, bool]:
        """The shared ones, too."""
        return self.own() | dict.fromkeys((*self.question.shared, "exchange"), False)


KNOWN: dict[str, Fault] = {}
"""The table of all faults, by name."""

when_switched: Question[None] = Question(subjects=2)
"""Asked with the exchange, and whether the fault is on from now."""


def check(name: str, arguments: Arguments, on: bool = True) -> None:
    """Raises ValueError that names the unknown fault, the unknown argument or the missing one."""
    if name not in KNOWN:
        raise ValueError(f"no fault is called {name!r}; there are {', '.join(sorted(KNOWN))}")
    expected = KNOWN[name].arguments()
    unknown = sorted(set(arguments) - set(expected))
    if unknown:
        raise ValueError(f"fault {name} does not take {', '.join(unknown)}; it takes {', '.join(expected)}")
    missing = [each for each, needed in expected.items() if needed and each not in arguments]
    if on and missing:
        raise ValueError(f"fault {name} needs {', '.join(missing)}")


def from_command_line(text: str) -> tuple[str, dict[str, Any]]:
    """NAME, NAME=VALUE (of its first argument) or NAME={"argument": value, …}. Raises ValueError."""
    name, separator, value = text.partition("=")
    arguments = _parsed(value) if separator else {}
    if not isinstance(arguments, dict):
        check(name, {}, on=False)
        arguments = {next(iter(KNOWN[name].arguments())): arguments}
    check(name, arguments)
    return name, arguments


class Switches:
    """The faults of one exchange that are on. Thread safe: readers see either the old list or the new one."""

    def __init__(self, exchange: str, family: str) -> None:
        self._exchange = exchange
        self._family = family
        self._on: tuple[tuple[str, Arguments], ...] = ()
        self._switching = threading.Lock()

    def active(self) -> list[dict[str, Any]]:
        return [{"name": name, **arguments, "exchange": self._exchange} for name, arguments in self._on]

    def switch(self, name: str, on: bool, arguments: Arguments, subject: object) -> None:
        """On replaces the same fault of the same pair; off without a pair ends all of that name.

        Nothing happens where the exchange does not have the fault, or the arguments name another exchange. Raises
        ValueError naming an unknown fault or argument."""
        check(name, arguments, on)
        fault = KNOWN[name]
        if fault.family not in (None, self._family) or arguments.get("exchange") not in (
            None,
            self._exchange,
        ):
            return
        own = {key: value for key, value in arguments.items() if key != "exchange"}
        ended = self._turn(name, on, own)
        if fault.question is when_switched:
            for its in [own] if on else ended:
                fault.function(subject, on, **its)

    def clear(self, subject: object) -> None:
        for name in {name for name, _ in self._on}:
            self.switch(name, False, {}, subject)

    def ask(self, question: Question[Answer], subject: object, **where: object) -> Iterator[Answer]:
        """The answers of those faults that are on and concern the question.

        `where`: the value of each shared argument; a fault with another value is not asked."""
        for name, arguments in self._on:
            function = KNOWN[name].function
            if KNOWN[name].question is not question:
                continue
            if any(arguments.get(key) not in (None, value) for key, value in where.items()):
                continue
            own = {key: value for key, value in arguments.items() if key not in question.shared}
            yield function(subject, **own)

    def fold(self, question: Question[Answer], subject: Answer) -> Answer:
        """The subject after each fault that is on has made another of it, in the order of switching on."""
        for name, arguments in self._on:
            if KNOWN[name].question is question:
                subject = KNOWN[name].function(subject, **arguments)
        return subject

    def first(self, question: Question[Answer], subject: object, **where: object) -> Answer | None:
        """The first answer that is not None."""
        answers = self.ask(question, subject, **where)
        return next((answer for answer in answers if answer is not None), None)

    def any(self, question: Question[bool], subject: object) -> bool:
        return any(answer for answer in self.ask(question, subject))

    def all(self, question: Question[bool], subject: object) -> bool:
        return not self._on or all(answer for answer in self.ask(question, subject))

    def _turn(self, name: str, on: bool, arguments: Arguments) -> list[Arguments]:
        """The arguments of those that ended."""
        targets = {key: arguments[key] for key in _TARGETS if arguments.get(key)}
        with self._switching:
            ended = [
                each
                for each in self._on
                if each[0] == name and all(each[1].get(key) == value for key, value in targets.items())
            ]
            kept = tuple(each for each in self._on if each not in ended)
            self._on = (*kept, (name, arguments)) if on else kept
        return [its for _, its in ended]


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value
