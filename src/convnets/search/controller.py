"""A controller writes architectures as strings and learns from their rewards.

Zoph and Le 2016 (arXiv:1611.01578), Section 3: a recurrent network emits one decision after the
other, each a softmax over its options given all decisions before it, and is trained by REINFORCE
(Williams 1992) to emit strings of high reward.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from convnets.search.spaces import Choice, Space
from convnets.search.strategies import Controller, draws

START = 0.1
"""Weights begin evenly between -0.1 and 0.1 (Zoph et al. 2017, Appendix A.2)."""


class Policy(nn.Module):
    """An LSTM that reads the token of each decision and scores the options of the next one."""

    def __init__(self, space: Space, width: int) -> None:
        super().__init__()
        counts = [len(decision.options) for decision in space.decisions]
        self.start = nn.Parameter(torch.empty(width))
        self.tokens = nn.ModuleList(nn.Embedding(count, width) for count in counts[:-1])
        self.memory = nn.LSTM(width, width)
        self.scores = nn.ModuleList(nn.Linear(width, count) for count in counts)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -START, START)

    def logits(self, choice: Choice) -> list[Tensor]:
        """The scores of each decision's options, given the decisions of ``choice`` before it."""
        before = [
            embed.weight[place]
            for embed, place in zip(self.tokens, choice[:-1], strict=True)
            if isinstance(embed, nn.Embedding)
        ]
        seen, _ = self.memory(torch.stack([self.start, *before]))
        return [score(state) for score, state in zip(self.scores, seen, strict=True)]

    def log_probability(self, choice: Choice) -> tuple[Tensor, Tensor]:
        """Of emitting ``choice`` (0-d), and the entropies of its decisions added up (0-d)."""
        shares = [scores.log_softmax(0) for scores in self.logits(choice)]
        chosen = [share[place] for share, place in zip(shares, choice, strict=True)]
        entropies = [-(share.exp() * share).sum() for share in shares]
        return torch.stack(chosen).sum(), torch.stack(entropies).sum()

    @torch.no_grad()
    def sample(self, draw: random.Random) -> Choice:
        """A choice, decision by decision."""
        choice: list[int] = []
        token: Tensor = self.start
        state = None
        for place, score in enumerate(self.scores):
            seen, state = self.memory(token[None], state)
            shares = score(seen[0]).softmax(0).tolist()
            choice.append(draw.choices(range(len(shares)), shares)[0])
            if place < len(self.tokens):
                embed = self.tokens[place]
                assert isinstance(embed, nn.Embedding)
                token = embed.weight[choice[-1]]
        return tuple(choice)


class Reinforce:
    """The controller: a policy, Adam, and the baseline that rewards are compared with.

    Each trial moves the policy's parameters along (R - b) times the gradient of the log-probability
    of what it emitted (Eq. 3 and 4, with m = 1); b is an exponential moving average of the rewards
    before. An entropy bonus keeps it from settling early (Pham et al. 2018).
    """

    def __init__(self, space: Space, seed: int, settings: Controller) -> None:
        self.seed, self.settings = seed, settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.policy = Policy(space, settings.width)
        self.optimizer = torch.optim.Adam(self.policy.parameters(), settings.learning_rate)
        self.baseline: float | None = None

    def ask(self, number: int, turn: int = 0) -> Choice:
        return self.policy.sample(draws(self.seed, number, turn))

    def tell(self, choice: Choice, reward: float) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(self.loss(choice, reward))
        self.optimizer.step()
        before = reward if self.baseline is None else self.baseline
        decay = self.settings.baseline_decay
        self.baseline = decay * before + (1 - decay) * reward

    def loss(self, choice: Choice, reward: float) -> Tensor:
        """What is minimised (0-d); the first reward has no baseline but itself."""
        log_probability, entropy = self.policy.log_probability(choice)
        baseline = reward if self.baseline is None else self.baseline
        return -(reward - baseline) * log_probability - self.settings.entropy * entropy

    def captured(self) -> dict[str, Tensor]:
        """The policy's and the optimizer's tensors by name; the baseline is a number beside."""
        tensors = {f"policy.{name}": value for name, value in self.policy.state_dict().items()}
        for name, parameter in self.policy.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"{key}.{name}"] = value
        return tensors

    def restore(self, tensors: Mapping[str, Tensor], baseline: float | None) -> None:
        """Put back what was captured; raises ``KeyError`` or ``RuntimeError`` where it does not
        fit."""
        own = {name: tensors[f"policy.{name}"] for name in self.policy.state_dict()}
        self.policy.load_state_dict(own)
        for name, parameter in self.policy.named_parameters():
            if f"exp_avg.{name}" in tensors:
                keys = ("step", "exp_avg", "exp_avg_sq")
                self.optimizer.state[parameter] = {key: tensors[f"{key}.{name}"] for key in keys}
        self.baseline = baseline
