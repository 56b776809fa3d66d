"""Advice is right, or says that it cannot tell, in worlds where it is known what is right: a few of `make advice`."""

import pytest
from benchmarks.advice import STAY, SWAP, TASK, UNKNOWN, World, said, worlds

NAMED = {world.what: world for world in worlds()}


def test_there_are_twenty_worlds_and_what_is_right_in_most_is_one_thing() -> None:
    assert len(NAMED) == 20
    assert sum(len(world.right) == 1 for world in NAMED.values()) >= 14
    assert {one for world in NAMED.values() for one in world.right} >= {STAY, SWAP, TASK, UNKNOWN}


@pytest.mark.prove
@pytest.mark.parametrize(
    "world",
    [NAMED[what] for what in ("twins at a tenth of the price", "every task has a model of its own")],
    ids=["twins", "own"],
)
def test_what_is_plain_is_told(world: World) -> None:
    assert said(world) in world.right


@pytest.mark.prove
@pytest.mark.parametrize(
    "world",
    [
        NAMED[what]
        for what in (
            "30 equal models, 60 queries",
            "three equal models, 12 tasks of three queries",
            "two equal models whose luck differs",
            "0.60 instead of 0.82 for a hundredth",
            "a twentieth of the price is as good on two of three tasks",
        )
    ],
    ids=["many", "few", "luck", "worse", "saving"],
)
def test_what_is_not_so_is_not_said(world: World) -> None:
    assert said(world) in (*world.right, UNKNOWN)
