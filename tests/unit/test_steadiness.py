"""A benchmark compares times of one round, where the machine's cores were equally quick."""

from benchmarks.steadiness import Ratio, Timed, ratio

_ALIKE, _UNLIKE = (1.0, 1.1), (1.0, 1.4)


def test_pairs_that_met_cores_of_unequal_speed_are_left_out() -> None:
    floors = [Timed(1, _ALIKE)] * 9
    loads = [*[Timed(3, _ALIKE)] * 5, *[Timed(9, _UNLIKE)] * 4]

    assert ratio(loads, floors) == Ratio(3, pairs=5, taken=9)


def test_cores_that_changed_between_two_acts_are_unequal_too() -> None:
    floors = [*[Timed(1, (1.0, 1.0))] * 5, Timed(1, (1.4, 1.4))]
    loads = [Timed(number, (1.0, 1.0)) for number in range(1, 7)]

    assert ratio(loads, floors) == Ratio(3, pairs=5, taken=6)


def test_all_pairs_count_where_few_are_steady() -> None:
    floors = [Timed(1, _ALIKE)] * 5
    loads = [*[Timed(3, _ALIKE)] * 2, *[Timed(9, _UNLIKE)] * 3]

    assert ratio(loads, floors) == Ratio(9, pairs=5, taken=5)
