"""How faults are declared, switched and asked: a fault is a function whose name is its switch.

The decorator says which question the function answers; its first parameter is the subject of the question, the
others are the fault's own arguments."""

import inspect
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

Answer = TypeVar("Answer")
Arguments = Mapping[str, Any]

_TARGETS = ("pair", "symbol", "exchange")


class Question(Generic[Answer]):
    """Something the simulator asks its faults at one place; used as the decorator of those that answer.

    `subjects`: how many parameters are not the fault's own. `shared`: arguments that every such fault takes."""

    def __init__(self, subjects: int = 1, shared: Sequence[str] = ()) -> None:
        self.functions: dict[str, Callable[..., Answer]] = {}
        self.subjects = subjects
        self.shared = frozenset(shared)

    def __call__(self, function: Callable[..., Answer]) -> Callable[..., Answer]:
        self.functions[function.__name__] = function
        return function

    def parameters(self, name: str) -> list[inspect.Parameter]:
        """The fault's own arguments and the shared ones, in order."""
        own = list(inspect.signature(self.functions[name]).parameters.values())[self.subjects :]
        shared = [
            inspect.Parameter(each, inspect.Parameter.KEYWORD_ONLY, default=None)
            for each in sorted(self.shared)
        ]
        return own + shared


class Catalogue:
    """The faults that answer some questions, by name."""

    def __init__(self, questions: Sequence[Question[Any]]) -> None:
        self._owners = {name: question for question in questions for name in question.functions}
        self.known: dict[str, Callable[..., Any]] = {
            name: question.functions[name] for name, question in self._owners.items()
        }

    def check(self, name: str, arguments: Arguments, on: bool = True) -> None:
        """Raises ValueError that names the unknown fault, the unknown argument or the missing one."""
        if name not in self.known:
            raise ValueError(f"no fault is called {name!r}; there are {', '.join(sorted(self.known))}")
        expected = {parameter.name: parameter for parameter in self._owners[name].parameters(name)}
        unknown = sorted(set(arguments) - set(expected))
        if unknown:
            raise ValueError(
                f"fault {name} does not take {', '.join(unknown)}; it takes {', '.join(expected) or 'nothing'}"
            )
        missing = [
            n for n, p in expected.items() if p.default is inspect.Parameter.empty and n not in arguments
        ]
        if on and missing:
            raise ValueError(f"fault {name} needs {', '.join(missing)}")

    def from_command_line(self, text: str) -> tuple[str, dict[str, Any]]:
        """NAME, NAME=VALUE (of its first argument) or NAME={"argument": value, …}. Raises ValueError."""
        name, separator, value = text.partition("=")
        if not separator or name not in self.known:
            self.check(name, {})
            return name, {}
        arguments = _parsed(value)
        if not isinstance(arguments, dict):
            first = self._owners[name].parameters(name)[:1]
            arguments = {parameter.name: arguments for parameter in first}
        self.check(name, arguments)
        return name, arguments


class Switches:
    """The faults of one catalogue that are on. Thread safe: readers see either the old list or the new one."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._on: tuple[tuple[str, Arguments], ...] = ()
        self._switching = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._on)

    def active(self) -> list[dict[str, Any]]:
        return [{"name": name, **arguments} for name, arguments in self._on]

    def names(self) -> set[str]:
        return {name for name, _ in self._on}

    def turn(self, name: str, on: bool, arguments: Arguments) -> list[Arguments]:
        """On replaces the same fault of the same target; off without a target ends all of that name.

        Returns the arguments of those that ended. Raises ValueError naming an unknown fault or argument."""
        self._catalogue.check(name, arguments, on)
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

    def ask(self, question: Question[Answer], subject: object, **where: object) -> Iterator[Answer]:
        """The answers of those faults that are on and concern the question.

        `where`: the value of each shared argument; a fault with another value is not asked."""
        for name, arguments in self._on:
            if name not in question.functions:
                continue
            if any(arguments.get(key) not in (None, value) for key, value in where.items()):
                continue
            own = {key: value for key, value in arguments.items() if key not in question.shared}
            yield question.functions[name](subject, **own)

    def fold(self, question: Question[Answer], subject: Answer) -> Answer:
        """The subject after each fault that is on has made another of it, in the order of switching on."""
        for name, arguments in self._on:
            if name in question.functions:
                subject = question.functions[name](subject, **arguments)
        return subject

    def first(self, question: Question[Answer], subject: object, **where: object) -> Answer | None:
        """The first answer that is not None."""
        answers = self.ask(question, subject, **where)
        return next((answer for answer in answers if answer is not None), None)

    def any(self, question: Question[bool], subject: object, **where: object) -> bool:
        return any(answer for answer in self.ask(question, subject, **where))

    def all(self, question: Question[bool], subject: object, **where: object) -> bool:
        return not self._on or all(answer for answer in self.ask(question, subject, **where))


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value
