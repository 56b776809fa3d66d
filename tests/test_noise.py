"""Noise on texts: deterministic, as strong as asked for, and harmless to what it does not touch."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrouterbench.studies.noise import KINDS, SYNONYMS, Noise, noisy_texts


@given(st.lists(st.text(max_size=60), max_size=4), st.sampled_from(KINDS), st.integers(0, 5))
def test_equal_seeds_give_equal_noise_whatever_the_neighbours(texts: list[str], kind: str, seed: int) -> None:
    noise = Noise(kind, 0.5, seed)
    together = noisy_texts(texts, noise)
    assert together == [noisy_texts([text], noise)[0] for text in texts]
    assert noisy_texts(texts, Noise(kind, 0.0, seed)) == texts


@given(st.text(max_size=60), st.integers(0, 5))
def test_swaps_keep_the_characters_and_drops_lose_one_a_word(text: str, seed: int) -> None:
    swapped = noisy_texts([text], Noise("swap", 1.0, seed))[0]
    assert sorted(swapped) == sorted(text)
    words = sum(len(word) > 1 for word in re.findall(r"\w+", text))
    assert len(noisy_texts([text], Noise("drop", 1.0, seed))[0]) == len(text) - words


def test_other_seeds_give_other_noise() -> None:
    text = "what is the largest number of apples that fit into this box " * 3
    assert len({noisy_texts([text], Noise("swap", 0.3, seed))[0] for seed in range(5)}) == 5


def test_the_rate_is_the_share_of_words() -> None:
    text = "words " * 4000
    changed = sum(word != "words" for word in noisy_texts([text], Noise("case", 0.2))[0].split())
    assert 0.17 < changed / 4000 < 0.23


def test_synonyms_go_both_ways_and_keep_the_capital() -> None:
    assert noisy_texts(["Big words"], Noise("synonym", 1.0)) == ["Large words"]
    assert all(word in SYNONYMS[other] for word, others in SYNONYMS.items() for other in others)


def test_bad_noise_is_refused() -> None:
    with pytest.raises(ValueError, match="no noise named 'swop'; did you mean 'swap'"):
        Noise("swop")
    with pytest.raises(ValueError, match="from 0 to 1, got 2"):
        Noise("swap", 2.0)
