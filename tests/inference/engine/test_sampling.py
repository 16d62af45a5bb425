"""The draw: its distribution, its truncation, its stream of random numbers, and that neighbours do not matter."""

import hashlib
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from inference.engine.config import LEAST_TEMPERATURE, SamplingParams
from inference.engine.sampling import TOP_P_LOOK, Adjustment, Plan, Uniforms, draw, truncate


def draw_tokens(logits: Tensor, params: list[SamplingParams], u: list[float]) -> list[int]:
    return draw(logits, Plan(params, logits.device), [None] * len(u), u)[0]


def params(**settings: Any) -> SamplingParams:
    return SamplingParams(max_tokens=8, **settings)


def uniforms(
    count: int, *, seed: int = 0, key: str = "k", candidate: int = 0, namespace: str = ""
) -> list[float]:
    stream = Uniforms(namespace=namespace, seed=seed, key=key, candidate=candidate)
    return [stream.next() for _ in range(count)]


def test_a_stream_hangs_on_every_part_of_its_name() -> None:
    first = uniforms(100)
    assert uniforms(100) == first
    assert all(0 <= u < 1 for u in first)
    for other in (
        {"seed": 1},
        {"key": "l"},
        {"candidate": 1},
        {"namespace": "n"},
        {"seed": -1},
        {"seed": 2**70},
    ):
        assert not set(uniforms(100, **other)) & set(first)


def philox_block(counter: int, key: tuple[int, int]) -> list[int]:
    """Philox 4x64 with ten rounds, after the paper (Salmon et al. 2011, section 3.3), for a counter below 2**64."""
    word, x = 2**64 - 1, [counter, 0, 0, 0]
    for turn in range(10):
        a, b = x[0] * 0xD2E7470EE14C6C93, x[2] * 0xCA5A826395121157
        keys = [(key[0] + turn * 0x9E3779B97F4A7C15) & word, (key[1] + turn * 0xBB67AE8584CAA73B) & word]
        x = [(b >> 64) ^ x[1] ^ keys[0], b & word, (a >> 64) ^ x[3] ^ keys[1], a & word]
    return x


def test_the_stream_is_philox_by_the_paper_and_never_changes() -> None:
    digest = hashlib.blake2b(b'["ns", 5, "prompt", 2]', digest_size=16).digest()
    key = (int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little"))
    words = [word for counter in range(1, 26) for word in philox_block(counter, key)]
    assert uniforms(100, seed=5, key="prompt", candidate=2, namespace="ns") == [
        (w >> 11) / 2**53 for w in words
    ]
    # Written down once: samples of the past can only be drawn again while these stay.
    assert uniforms(2) == [0.7321938204217473, 0.5587711632985833]


def test_streams_are_uniform_and_do_not_follow_one_another() -> None:
    table = np.array([uniforms(200, candidate=c) for c in range(50)])
    counts = np.histogram(table, bins=20, range=(0, 1))[0]
    assert chi_square(counts, np.full(20, table.size / 20)) < limit(19)
    for a, b in ((table[:, 1:], table[:, :-1]), (table[1:], table[:-1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / math.sqrt(table.size)


def chi_square(seen: np.ndarray, wanted: np.ndarray) -> float:
    return float(((seen - wanted) ** 2 / wanted).sum())


def limit(freedom: int) -> float:
    """Passed by less than one in ten thousand of fair draws."""
    return freedom + 4 * math.sqrt(2 * freedom)


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_frequencies_follow_the_softmax(temperature: float) -> None:
    logits = torch.randn(1, 40, generator=torch.Generator().manual_seed(1)) * 2
    u = uniforms(20_000)
    seen = np.bincount(
        draw_tokens(logits.expand(len(u), -1), [params(temperature=temperature)] * len(u), u), minlength=40
    )
    wanted = (logits[0].double() / temperature).softmax(-1).numpy() * len(u)
    big = wanted >= 5
    seen, wanted = np.append(seen[big], seen[~big].sum()), np.append(wanted[big], wanted[~big].sum() + 1e-9)
    assert chi_square(seen, wanted) < limit(int(big.sum()))


def test_each_token_owns_its_part_of_the_unit_interval() -> None:
    logits = torch.tensor([[0.1, 0.2, 0.3, 0.4]]).log()
    for u, token in (
        (0.0, 0),
        (0.0999, 0),
        (0.1001, 1),
        (0.2999, 1),
        (0.3001, 2),
        (0.6001, 3),
        (1 - 2**-53, 3),
    ):
        assert draw_tokens(logits, [params()], [u]) == [token]


def test_the_least_temperature_is_as_good_as_none() -> None:
    """Logits as large as a broken model's: the most likely token, never one that infinity minus infinity points at."""
    logits = torch.randn(8, 300, generator=torch.Generator().manual_seed(0)) * 1e4
    least = params(temperature=LEAST_TEMPERATURE)
    tokens, logprobs, sound = draw(logits, Plan([least] * 8, logits.device), [None] * 8, [0.0, 0.999] * 4)
    assert tokens == logits.argmax(-1).tolist()
    assert all(math.isfinite(logprob) for logprob in logprobs)
    assert all(sound)


def test_a_token_without_probability_is_never_drawn() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]])
    for u in (0.0, 0.4999999, 0.5, 1 - 2**-53):
        assert draw_tokens(logits, [params()], [u])[0] in (1, 3)


def slow_keep(probabilities: list[float], top_k: int, top_p: float, min_p: float) -> set[int]:
    order = sorted(range(len(probabilities)), key=lambda i: -probabilities[i])
    kept = order[:top_k] if top_k else order
    total, mass = sum(probabilities[i] for i in kept), 0.0
    nucleus: list[int] = []
    for token in kept:
        if nucleus and mass >= top_p * total:
            break
        nucleus.append(token)
        mass += probabilities[token]
    return {i for i in nucleus if probabilities[i] >= min_p * probabilities[order[0]]}


@pytest.mark.parametrize("vocabulary", [30, TOP_P_LOOK + 300])
@pytest.mark.parametrize("scale", [0.05, 3.0])
def test_truncation_equals_the_slow_obvious_one(vocabulary: int, scale: float) -> None:
    settings = [(k, p, m) for k in (0, 1, 7, 10_000) for p in (0.0, 0.3, 0.9, 1.0) for m in (0.0, 0.2, 1.0)]
    generator = torch.Generator().manual_seed(2)
    rows = (torch.randn(len(settings), vocabulary, generator=generator, dtype=torch.float64) * scale).softmax(
        -1
    )
    columns = [torch.tensor(column) for column in zip(*settings, strict=True)]
    kept = truncate(rows, columns[0], columns[1].double(), columns[2].double())
    for row, setting in enumerate(settings):
        assert set(kept[row].nonzero().squeeze(1).tolist()) == slow_keep(rows[row].tolist(), *setting), (
            setting
        )
        assert torch.equal(kept[row][kept[row] > 0], rows[row][kept[row] > 0])


def test_a_nucleus_wider_than_the_look_is_drawn_from_exactly() -> None:
    logits = torch.randn(1, TOP_P_LOOK + 150, generator=torch.Generator().manual_seed(5)) * 0.1
    u = uniforms(6000)
    seen = np.bincount(
        draw_tokens(logits.expand(len(u), -1), [params(top_p=0.95)] * len(u), u), minlength=logits.shape[1]
    )
    probabilities = logits[0].double().softmax(-1).tolist()
    nucleus = sorted(slow_keep(probabilities, 0, 0.95, 0.0))
    assert len(nucleus) > TOP_P_LOOK
    assert seen.sum() == seen[nucleus].sum()
    wanted = np.array([probabilities[token] for token in nucleus])
    assert chi_square(seen[nucleus], wanted / wanted.sum() * len(u)) < limit(len(nucleus) - 1)


def test_a_rows_token_does_not_hang_on_its_neighbours_settings() -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(6, 2000, generator=generator) * 2
    mixed = [
        params(),
        params(temperature=0),
        params(temperature=0.7),
        params(top_p=0.9),
        params(top_k=5),
        params(min_p=0.1),
    ]
    for u in uniforms(50):
        together = draw(logits, Plan(mixed, logits.device), [None] * 6, [u] * 6)
        for row, each in enumerate(mixed):
            alone = draw(logits[row : row + 1], Plan([each], logits.device), [None], [u])
            assert [part[0] for part in alone] == [part[row] for part in together]


def test_rows_with_nan_or_infinity_are_unsound_and_others_are_not() -> None:
    logits = torch.zeros(4, 10)
    logits[1, 3], logits[2, 3], logits[3, 3] = torch.nan, torch.inf, -torch.inf
    for setting in (params(), params(temperature=0), params(top_p=0.5)):
        sound = draw(logits, Plan([setting] * 4, logits.device), [None] * 4, [0.5] * 4)[2]
        assert sound == [True, False, False, True]


def test_adjustments_follow_the_formulas() -> None:
    setting = params(
        frequency_penalty=0.5,
        presence_penalty=0.25,
        repetition_penalty=2.0,
        logit_bias={0: 1.0, 9: -3.0},
        min_tokens=4,
    )
    adjustment = Adjustment(setting, [2, 3, 3], ends={7})
    for token in (0, 1, 1):
        adjustment.took(token)
    logits = torch.tensor([1.0, -1.0, 4.0, -4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0])
    adjustment.apply(logits)
    # bias; then met tokens 0-3 halved when positive, doubled when negative; then counts 1 and 2; then the ban.
    wanted = [(1 + 1) / 2 - 0.75, -2.0 - 1.25, 2.0, -8.0, 5.0, 6.0, 7.0, -math.inf, 9.0, 7.0]
    assert logits.tolist() == wanted
    adjustment.took(5)
    again = torch.zeros(10)
    adjustment.apply(again)
    assert again[7] == 0
    assert Adjustment.needed(setting)
    assert not Adjustment.needed(params(temperature=0.3, top_k=4, stop=("x",)))


def test_reported_log_probabilities_are_raw() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    setting = params(temperature=0.5, logit_bias={0: 100.0})
    token, logprob, _ = draw(logits, Plan([setting], logits.device), [Adjustment(setting, [], set())], [0.5])
    assert token == [0]
    assert logprob[0] == pytest.approx(1 - math.log(math.exp(1) + math.exp(2) + math.exp(3)), abs=1e-6)


@pytest.mark.parametrize(
    "settings", [{"top_k": 1}, {"top_p": 0.3}, {"min_p": 0.9}, {"temperature": 0.5, "top_k": 1}]
)
def test_log_probabilities_are_of_the_whole_vocabulary_whatever_was_cut(settings: dict[str, float]) -> None:
    """Only the likeliest token can be drawn, and its probability is still that among all three."""
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    token, logprob, _ = draw(logits, Plan([params(**settings)], logits.device), [None], [0.5])
    assert token == [2]
    assert logprob[0] == pytest.approx(3 - math.log(math.exp(1) + math.exp(2) + math.exp(3)), abs=1e-6)
