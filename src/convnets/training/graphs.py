"""A step's forward and backward pass recorded once and replayed: one launch instead of hundreds.

Small images leave a large accelerator waiting for the processor to launch each kernel (Nguyen,
Gimelshein and Krishna 2021, "Accelerating PyTorch with CUDA Graphs"). What is replayed is what was
recorded: so a graph is kept for each shape of batch and each rate of dropout, and what the
rehearsals of a recording changed (statistics, random numbers) is put back.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from convnets.training.objective import Part

REHEARSALS = 3
"""Passes before a recording, in which libraries settle on algorithms and take their memory."""
Capture = Callable[[Callable[[], Tensor], torch.device], tuple[Tensor, Callable[[], None]]]
"""Records a pass and returns the tensor in which each replay leaves its loss, and the replay."""


@dataclass(frozen=True, eq=False)
class Recorded:
    """A pass on ``part``, whose tensors are filled before each replay, and where it leaves things.

    ``gradients`` belong to the parameters in order; None for one that the loss does not reach.
    """

    part: Part
    replay: Callable[[], None]
    loss: Tensor
    gradients: tuple[Tensor | None, ...]


@dataclass(eq=False)
class StepGraphs:
    """Recorded passes of one network, by what they were recorded with."""

    capture: Capture
    kept: dict[Hashable, Recorded] = field(default_factory=dict)

    def gradients(self, model: nn.Module, part: Part, passed: Callable[[Part], Tensor]) -> Tensor:
        """Set the gradients of ``passed(part)``, a mean loss (0-d), and return it.

        ``passed`` runs the forward pass and ``backward``, and returns the loss. It must not look at
        the values of a tensor. Records if nothing like ``part`` has been before.
        """
        parameters = list(model.parameters())
        key = (_shapes(part), _rates(model))
        recorded = self.kept.get(key)
        if recorded is None:
            recorded = self.kept[key] = self._recorded(model, parameters, part, passed)
        for own, given in zip(_tensors(recorded.part), _tensors(part), strict=True):
            own.copy_(given)
        recorded.replay()
        # An unrecorded step in between, a smaller batch say, has put others in their place.
        for parameter, gradient in zip(parameters, recorded.gradients, strict=True):
            parameter.grad = gradient
        return recorded.loss.clone()

    def _recorded(
        self,
        model: nn.Module,
        parameters: Sequence[nn.Parameter],
        part: Part,
        passed: Callable[[Part], Tensor],
    ) -> Recorded:
        own = copy.deepcopy(part)
        before = [(value, value.clone()) for value in model.buffers()]

        def once() -> Tensor:
            for parameter in parameters:  # else a replay would add to the gradients of the last
                parameter.grad = None
            return passed(own)

        loss, replay = self.capture(once, part.images.device)
        for value, kept in before:
            value.copy_(kept)
        return Recorded(own, replay, loss, tuple(p.grad for p in parameters))


def captured(
    passed: Callable[[], Tensor], device: torch.device
) -> tuple[Tensor, Callable[[], None]]:
    """Record ``passed`` as a CUDA graph, after rehearsals on a stream of their own.

    Random numbers go on from where they were: a replay draws anew, as any pass would.
    """
    generator = torch.cuda.get_rng_state(device)
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for _ in range(REHEARSALS):
            passed()
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # Other threads, which decode images, may go on meanwhile.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        loss = passed()
    torch.cuda.set_rng_state(generator, device)
    return loss, graph.replay


def _tensors(part: Part) -> list[Tensor]:
    return [value for value in vars(part).values() if value is not None]


def _shapes(part: Part) -> tuple[Hashable, ...]:
    return tuple(None if value is None else tuple(value.shape) for value in vars(part).values())


def _rates(model: nn.Module) -> tuple[float, ...]:
    """Dropout's rates, which training that grows changes between its stages."""
    return tuple(m.p for m in model.modules() if isinstance(m, nn.Dropout | nn.Dropout2d))
