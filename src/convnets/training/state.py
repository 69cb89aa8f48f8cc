"""Everything that a training run must remember, and the pair that saves and restores it."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from convnets.errors import BadModelFile, first_problem
from convnets.records import EpochRecord
from convnets.training.engine import Engine
from convnets.training.graphs import StepGraphs, captured
from convnets.training.objective import WithAuxiliary
from convnets.training.optimizers import MOMENTS, build_optimizer
from convnets.training.regularisation import prepare
from convnets.training.settings import Optimisation
from convnets.training.spread import cut_like, replicate, shard, whole


class Progress(BaseModel):
    """The numbers of a run, as JSON holds them. ``seconds`` counts training steps alone."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    step: int = Field(default=0, ge=0)
    seconds: float = Field(default=0.0, ge=0)
    loss_sum: float = 0.0
    loss_samples: int = Field(default=0, ge=0)
    split: int = Field(default=1, ge=1)
    epoch_losses: list[float] = []
    curve: list[EpochRecord] = []


class TrainingState:
    """A model in training: its optimizer, its average if any, and its progress."""

    def __init__(self, model: nn.Module, settings: Optimisation, engine: Engine) -> None:
        prepare(model, settings)
        self.model = engine.place(model)
        averages = settings.ema_decay is not None or settings.swa_start is not None
        self.average = copy.deepcopy(self.model) if averages else None
        self.replica = self._spread(settings.auxiliary_weight is not None, engine)
        self.forward = engine.callable(self.replica)
        self.optimizer = build_optimizer(self.model, settings.optimizer, settings.layer_decay)
        if engine.sharded:  # torch has no fused optimizer of shards
            for group in self.optimizer.param_groups:
                group["fused"] = None
        self.progress = Progress(split=settings.accumulation)
        self.rehearsed = 0
        self.graphs = StepGraphs(captured) if engine.graphs else None
        self.seed = torch.initial_seed()
        self.device = engine.device

    def _spread(self, auxiliary: bool, engine: Engine) -> nn.Module:
        """The network as the ranks train it; the network itself where there is one rank."""
        if engine.sharded:
            shard(self.model)
            if self.average is not None:
                shard(self.average)
        module = WithAuxiliary(self.model) if auxiliary else self.model
        if engine.ranks.world == 1 or engine.sharded:
            return module
        return replicate(module, unused=hasattr(self.model, "auxiliary") and not auxiliary)

    @property
    def tested_model(self) -> nn.Module:
        """The weights that count: the average where there is one."""
        return self.model if self.average is None else self.average


def capture(state: TrainingState) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the run's tensors by name and its numbers; ``restore`` takes both back.

    Optimizer state is keyed by parameter name, random generators are byte tensors. What lies in
    shards is put together, in one order on all ranks, so that any number can take it back.
    """
    tensors = {f"model.{name}": whole(value) for name, value in state.model.state_dict().items()}
    if state.average is not None:
        average = state.average.state_dict()
        tensors |= {f"average.{name}": whole(value) for name, value in average.items()}
    for name, parameter in state.model.named_parameters():
        for key, value in sorted(state.optimizer.state.get(parameter, {}).items()):
            if isinstance(value, Tensor):
                tensors[f"optimizer.{name}.{key}"] = whole(value)
    generators = random_state(state.device)
    tensors |= {f"random.{name}": value for name, value in generators.items()}
    return tensors, state.progress.model_dump(mode="json")


def restore(state: TrainingState, tensors: Mapping[str, Tensor], numbers: Any) -> None:
    """Put a captured run back, strictly: raises ``BadModelFile`` if anything lacks or is left."""
    left = dict(tensors)
    _load(state.model, _take(left, "model."))
    if state.average is not None:
        _load(state.average, _take(left, "average."))
    saved = _take(left, "optimizer.")
    for name, parameter in state.model.named_parameters():
        own = _take(saved, f"{name}.")
        if own and own.keys() != MOMENTS[type(state.optimizer)]:
            raise BadModelFile(f"checkpoint's optimizer keeps {sorted(own)} of {name}")
        if own:
            state.optimizer.state[parameter] = {
                key: _like(value, parameter, f"{key} of {name}") for key, value in own.items()
            }
    generators = _take(left, "random.")
    if left or saved:
        raise BadModelFile(f"checkpoint holds unknown tensors: {sorted(left | saved)[:5]}")
    try:
        set_random_state(generators, state.device)
        state.progress = Progress.model_validate(numbers)
    except (KeyError, TypeError, RuntimeError) as error:
        raise BadModelFile(f"checkpoint's random state does not fit: {error}") from error
    except ValidationError as error:
        reason = first_problem(error.errors())
        raise BadModelFile(f"checkpoint's progress does not fit: {reason}") from error


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The generators that a run on ``device`` draws from, as byte tensors."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_random_state(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Put back what ``random_state`` gave."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


def _take(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    names = [name for name in tensors if name.startswith(prefix)]
    return {name.removeprefix(prefix): tensors.pop(name) for name in names}


def _load(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    own = model.state_dict()
    cut = {name: cut_like(value, own.get(name, value)) for name, value in tensors.items()}
    try:
        model.load_state_dict(cut, strict=True)
    except RuntimeError as error:
        raise BadModelFile(" ".join(str(error).split())) from error


def _like(value: Tensor, parameter: nn.Parameter, what: str) -> Tensor:
    """A moment in its parameter's place and layout; step counters (0-d) stay as they are."""
    if value.ndim and value.shape != parameter.shape:
        raise BadModelFile(f"checkpoint's {what} is {tuple(value.shape)}")
    if value.ndim == 0:
        return value if not parameter.is_cuda else value.to(parameter.device)
    return torch.empty_like(parameter, dtype=value.dtype).copy_(cut_like(value, parameter))


def weights_sha256(model: nn.Module) -> str:
    """SHA-256 over names, types, shapes and bytes of a model's state, in order of name."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        plain = whole(value).detach().to("cpu").contiguous()
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
