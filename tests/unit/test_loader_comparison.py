"""What a table answers is compared with what was expected, however both are cut into parts."""

import asyncio
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from services.loader.read_back import Comparison

_CUTS = st.lists(st.integers(0, 24), max_size=5)


def parts(whole: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({0, len(whole), *(min(cut, len(whole)) for cut in cuts)})
    return [whole[start:end] for start, end in pairwise(ends)]


def compared(arrived: list[bytes], expected: list[bytes]) -> bool:
    async def take_all() -> bool:
        comparison = Comparison(iter(expected))
        for part in arrived:
            await comparison.take(part)
        return comparison.same

    return asyncio.run(take_all())


@given(whole=st.binary(max_size=24), here=_CUTS, there=_CUTS)
@example(whole=b"", here=[], there=[])
def test_equal_bytes_are_the_same_however_they_are_cut(
    whole: bytes, here: list[int], there: list[int]
) -> None:
    assert compared(parts(whole, here), parts(whole, there))


@given(
    arrived=st.binary(max_size=24),
    expected=st.binary(max_size=24),
    here=_CUTS,
    there=_CUTS,
)
@example(arrived=b"ab", expected=b"abc", here=[], there=[2])
@example(arrived=b"abc", expected=b"ab", here=[2], there=[])
def test_other_bytes_are_not_the_same(
    arrived: bytes, expected: bytes, here: list[int], there: list[int]
) -> None:
    assert compared(parts(arrived, here), parts(expected, there)) == (arrived == expected)
