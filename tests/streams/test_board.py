"""What is newest, and what has changed since when."""

from ltp_service.streams.board import Board


class Shelf:
    """Two subjects and how often each was rendered."""

    def __init__(self) -> None:
        self.values = {"a": 1, "b": 1}
        self.rendered: list[int] = []
        self.board: Board[str, int] = Board(
            lambda asked: [self.values[each] for each in asked], abs, self._render
        )
        self.board.look("ab")

    def _render(self, value: int) -> bytes:
        self.rendered.append(value)
        return b"%d" % value


def test_a_change_is_told_once_and_remembered_in_order() -> None:
    shelf = Shelf()
    before = shelf.board.version
    shelf.values["b"] = 2

    shelf.board.look("ab")
    between = shelf.board.version
    shelf.board.look("ab")
    assert shelf.board.version == between
    shelf.values["a"] = 3
    shelf.board.look("ab")
    assert shelf.board.changed_since(before, "ab") == ["a", "b"]
    assert shelf.board.changed_since(between, "ab") == ["a"]


def test_a_value_with_the_same_key_is_no_change_but_is_shown() -> None:
    shelf = Shelf()
    before = shelf.board.version
    shelf.values["a"] = -1
    shelf.board.look("a")

    assert shelf.board.version == before
    assert shelf.board.item("a") == b"-1"


def test_a_subject_is_rendered_once_between_two_looks() -> None:
    shelf = Shelf()
    assert [shelf.board.item("a"), shelf.board.item("a")] == [b"1", b"1"]
    shelf.board.look("a")
    shelf.board.item("a")
    assert shelf.rendered == [1, 1]


def test_a_forgotten_subject_is_new_again() -> None:
    shelf = Shelf()
    before = shelf.board.version
    shelf.board.forget("a")
    shelf.board.look("a")

    assert shelf.board.changed_since(before, "a") == ["a"]
