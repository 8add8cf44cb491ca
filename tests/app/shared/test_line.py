"""The line for a place: whose turn it is."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from app.shared.line import Line


def test_places_go_round_the_visitors_and_not_to_who_asks_most() -> None:
    line = Line(1)
    assert line.enter("a0", "a") == 0
    assert [line.enter(f"a{i}", "a") for i in (1, 2, 3)] == [1, 2, 3]
    # Who comes later with one wish goes before the second of another.
    assert line.enter("b1", "b") == 1
    assert line.enter("c1", "c") == 2
    assert line.enter("a1", "a") == 3
    served = ["a0"]
    for _ in range(5):
        line.leave(served[-1])
        served += [who for who in ("a1", "a2", "a3", "b1", "c1") if who not in served
                   and line.enter(who, who[0]) == 0]  # fmt: skip
    assert served == ["a0", "b1", "c1", "a1", "a2", "a3"]


def test_a_visitor_has_no_more_places_than_one_may() -> None:
    line = Line(3, per_visitor=1)
    assert line.enter("a1", "a") == 0
    assert not line.full("b")
    assert line.full("a")
    assert line.enter("a2", "a") == 1
    assert line.enter("b1", "b") == 0
    line.leave("a1")
    assert line.enter("a2", "a") == 0


def test_among_equal_visitors_it_is_first_come_first_served() -> None:
    line = Line(2)
    assert [line.enter(who, who) for who in "abcd"] == [0, 0, 1, 2]
    assert [line.enter(who, who) for who in "dcba"] == [2, 1, 0, 0]
    line.leave("a")
    assert [line.enter(who, who) for who in "bcd"] == [0, 0, 1]
    line.leave("nobody")
    assert line.enter("a", "a") == 2


def test_who_leaves_the_line_lets_the_others_move_up() -> None:
    line = Line(1)
    for who in "abc":
        line.enter(who, who)
    assert line.enter("c", "c") == 2
    line.leave("b")
    assert line.enter("c", "c") == 1
    line.leave("b")
    line.leave("a")
    assert line.enter("c", "c") == 0


@given(
    st.integers(1, 4),
    st.integers(1, 4),
    st.lists(st.tuples(st.booleans(), st.integers(0, 11)), max_size=30),
)
def test_no_place_is_free_while_somebody_may_have_it(
    places: int, per_visitor: int, moves: list[tuple[bool, int]]
) -> None:
    line, present = Line(places, per_visitor), set()
    for enters, who in moves:
        if enters:
            present.add(who)
            line.enter(who, str(who % 4))
        else:
            present.discard(who)
            line.leave(who)
        before = {who: line.enter(who, str(who % 4)) for who in present}
        inside = Counter(who % 4 for who, count in before.items() if count == 0)
        waiting = {who % 4 for who, count in before.items() if count}
        assert inside.total() <= places
        assert all(count <= per_visitor for count in inside.values())
        if inside.total() < places:
            assert all(inside[visitor] == per_visitor for visitor in waiting)
