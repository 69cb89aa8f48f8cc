"""The controller's gradient against the expected reward's, differentiated by hand."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest
import torch

from convnets.search.controller import Policy, Reinforce
from convnets.search.spaces import Choice, Decision, FieldByField, Space
from convnets.search.strategies import Controller, draws

TWO = Space("two", "resnet20", (Decision("a", (0, 1)), Decision("b", (0, 1, 2))), FieldByField(()))
CHOICES = list(itertools.product(range(2), range(3)))
REWARDS = dict(zip(CHOICES, (0.1, 0.9, 0.3, 0.4, 0.2, 0.7), strict=True))


def probabilities(policy: Policy) -> dict[Choice, torch.Tensor]:
    return {choice: policy.log_probability(choice)[0].exp() for choice in CHOICES}


def controller(entropy: float = 0.0) -> Reinforce:
    made = Reinforce(TWO, 0, Controller(width=3, entropy=entropy))
    made.policy.double()
    with torch.no_grad():  # away from its small first weights, where all choices are alike
        for parameter in made.policy.parameters():
            parameter.mul_(10)
    return made


@pytest.mark.parametrize("baseline", [0.0, 0.35])
def test_its_steps_are_on_average_the_expected_rewards_gradient(baseline: float) -> None:
    made = controller()
    made.baseline = baseline
    policy = made.policy
    parameters = list(policy.parameters())
    shares = {choice: share.item() for choice, share in probabilities(policy).items()}
    average = [torch.zeros_like(parameter) for parameter in parameters]
    for choice, share in shares.items():
        gradients = torch.autograd.grad(-made.loss(choice, REWARDS[choice]), parameters)
        for total, gradient in zip(average, gradients, strict=True):
            total += share * gradient

    def expected() -> float:
        with torch.no_grad():
            found = probabilities(policy)
            return sum((share * REWARDS[choice]).item() for choice, share in found.items())

    step = 1e-5
    for parameter, gradient in zip(parameters, average, strict=True):
        flat = parameter.data.view(-1)
        for place in range(flat.numel()):
            before = flat[place].item()
            flat[place] = before + step
            above = expected()
            flat[place] = before - step
            below = expected()
            flat[place] = before
            assert gradient.view(-1)[place].item() == pytest.approx(
                (above - below) / (2 * step), abs=1e-8
            )


def test_probabilities_add_up_and_samples_follow_them() -> None:
    policy = controller().policy
    shares = {choice: share.item() for choice, share in probabilities(policy).items()}
    assert sum(shares.values()) == pytest.approx(1)
    drawn = Counter(policy.sample(draws(0, number, 0)) for number in range(4000))
    for choice, share in shares.items():
        assert drawn[choice] / 4000 == pytest.approx(share, abs=0.03)


def test_the_entropy_is_that_of_the_decisions_made() -> None:
    policy = controller().policy
    shares = {choice: share.item() for choice, share in probabilities(policy).items()}
    first = [sum(shares[a, b] for b in range(3)) for a in range(2)]
    second = [shares[1, b] / first[1] for b in range(3)]
    by_hand = -sum(share * math.log(share) for share in [*first, *second])
    assert policy.log_probability((1, 0))[1].item() == pytest.approx(by_hand)


def test_the_baseline_is_a_moving_average_of_the_rewards_before() -> None:
    made = Reinforce(TWO, 0, Controller(baseline_decay=0.5))
    seen = []
    for reward in (0.8, 0.4, 0.6):
        seen.append(made.baseline)
        made.tell((0, 0), reward)
    assert seen == [None, 0.8, pytest.approx(0.6)]
    assert made.baseline == pytest.approx(0.6)


def test_the_first_reward_moves_nothing_without_an_entropy_bonus() -> None:
    made = controller()
    before = [parameter.clone() for parameter in made.policy.parameters()]
    made.tell((1, 1), 0.7)
    assert all(map(torch.equal, before, made.policy.parameters()))


def test_what_is_captured_goes_on_as_it_would_have() -> None:
    one, other = controller(1e-3), controller(1e-3)
    for number in range(5):
        one.tell(one.ask(number), 0.1 * number)
    other.restore({k: v.clone() for k, v in one.captured().items()}, one.baseline)
    for made in (one, other):
        for choice in ((0, 1), (1, 2)):
            made.tell(choice, 0.9)
    assert all(map(torch.equal, one.policy.parameters(), other.policy.parameters()))
