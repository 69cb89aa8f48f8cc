"""Deep Compression, all three stages: prune and train, share and train, Huffman (Han et al. 2015).

What is tested in the end is the network that was read back from the file.
"""

from __future__ import annotations

import copy
import time
from pathlib import Path

import torch

from convnets.compress.format import load_compressed, save_compressed
from convnets.compress.layers import settle
from convnets.compress.observer import Observer
from convnets.compress.prune import adjusted_dropout, prune, share_in_round
from convnets.compress.settings import Settings
from convnets.compress.share import share_weights
from convnets.compress.sizes import LayerSize, layer_sizes
from convnets.compress.tuning import Tuning, clear, refuse_whole_runs, tune
from convnets.data import ImageSet
from convnets.errors import BadModelFile, PlanChanged, UsageError
from convnets.files import short_hash
from convnets.layers.network import ConvNet
from convnets.records import Record
from convnets.training.checkpoints import commit, newest_checkpoint
from convnets.training.engine import Engine
from convnets.training.regularisation import set_dropout
from convnets.training.settings import Optimisation
from convnets.training.state import weights_sha256
from convnets.weights import LoadedModel, evaluate_on


class Compressed(Record):
    """A compressed network: its sizes in bytes, and top-1 before and after as shares of 1.

    ``float32_bytes`` are those of the parameters as trained. ``other_bytes`` of the file are not
    the layers' weights: header, biases and normalisation.
    """

    schema_version: int = 1
    model: str
    stem: str
    data: str
    params: int
    float32_bytes: int
    file_bytes: int
    other_bytes: int
    layers: tuple[LayerSize, ...]
    test_images: int
    top1_before: float
    top1_after: float
    seconds: float
    settings: Settings
    engine: str
    weights_sha256: str

    @property
    def kept(self) -> float:
        """Share of the layers' weights that are not zero."""
        kept = sum(layer.kept * layer.weights for layer in self.layers)
        return kept / sum(layer.weights for layer in self.layers)

    @property
    def rate(self) -> float:
        """How many times smaller than the parameters in float32 the file is."""
        return self.float32_bytes / self.file_bytes


def compress(
    loaded: LoadedModel,
    image_set: ImageSet,
    settings: Settings,
    out: Path,
    *,
    engine: Engine,
    observer: Observer | None = None,
) -> Compressed:
    """Compress a trained network into the file ``out``; ``loaded`` stays as it is.

    Each stage, and its training meanwhile, is kept in a folder beside ``out`` until the file is
    written: the same call goes on from there. Raises ``UsageError`` where the file is there
    already, ``PlanChanged`` where the folder is of another plan, ``NonFinite`` if training
    diverges, ``Stopped`` after a signal.
    """
    if out.exists():
        raise UsageError(f"{out}: is there already; remove it or choose another --out")
    for training in (settings.pruning, settings.sharing):
        if training is not None:
            refuse_whole_runs(training)
    started = time.monotonic()
    observer = observer or Observer()
    work = Work(loaded, image_set, settings, out, engine, observer)
    before = evaluate_on(loaded, image_set, engine)
    network = work.go()
    if settings.half:
        round_to_half(network)
    header = save_compressed(out, network, loaded.description)
    found = load_compressed(out)
    after = evaluate_on(found, image_set, engine)
    work.clear()
    params = sum(parameter.numel() for parameter in network.parameters())
    layers = layer_sizes(header, network)
    file_bytes = out.stat().st_size
    return Compressed(
        model=loaded.description.model,
        stem=loaded.description.stem,
        data=image_set.name,
        params=params,
        float32_bytes=4 * params,
        file_bytes=file_bytes,
        other_bytes=file_bytes - sum(layer.coded for layer in layers),
        layers=layers,
        test_images=after.evaluation.samples,
        top1_before=before.evaluation.top1,
        top1_after=after.evaluation.top1,
        seconds=time.monotonic() - started,
        settings=settings,
        engine=engine.name,
        weights_sha256=weights_sha256(found.network),
    )


class Work:
    """A compression in progress: the network, its stages, and the folder that keeps them."""

    def __init__(
        self,
        loaded: LoadedModel,
        image_set: ImageSet,
        settings: Settings,
        out: Path,
        engine: Engine,
        observer: Observer,
    ) -> None:
        self.network: ConvNet = copy.deepcopy(loaded.network)
        engine.place(self.network)
        self.description, self.image_set = loaded.description, image_set
        self.settings, self.engine, self.observer = settings, engine, observer
        self.shares = settings.shares(self.network)
        self.widths = settings.widths(self.network)
        self.rounds = settings.rounds if min(self.shares.values()) < 1 else 0
        self.folder = out.with_name(f"{out.name}.stages")
        self.plan = short_hash(
            {
                "settings": settings.model_dump(mode="json"),
                "weights": weights_sha256(loaded.network),
                "data": image_set.fingerprint,
                "engine": engine.name,
            }
        )

    def go(self) -> ConvNet:
        """The pruned and shared network, from wherever the folder says the work is."""
        done = self._resume()
        for number in range(done + 1, self.rounds + 1):
            shares = {
                name: share_in_round(share, number, self.rounds)
                for name, share in self.shares.items()
            }
            prune(self.network, shares)
            what = f"pruning, round {number} of {self.rounds}"
            self._finish_stage(number, what, self.settings.pruning)
        if done <= self.rounds:
            start, seed = self.settings.start, self.settings.seed
            share_weights(self.network, self.widths, start=start, seed=seed)
            self._finish_stage(self.rounds + 1, "sharing", self.settings.sharing)
        return self.network.eval()

    def clear(self) -> None:
        """Remove what the stages left."""
        for number in range(1, self.rounds + 2):
            clear(self._training_folder(number))
        clear(self.folder)

    def _training_folder(self, number: int) -> Path:
        return self.folder / f"stage-{number}"

    def _finish_stage(self, number: int, what: str, training: Optimisation | None) -> None:
        if training is None:
            settle(self.network)
            return
        if training.dropout is not None:  # set now, so that it is adjusted too
            set_dropout(self.network, training.dropout)
            training = training.model_copy(update={"dropout": None})
        tuning = Tuning(
            what=what,
            plan=f"{self.plan}-{number}",
            folder=self._training_folder(number),
            description=self.description,
            image_set=self.image_set,
            training=training,
            augmentation=self.settings.augmentation,
            seed=self.settings.seed + number,
        )
        with adjusted_dropout(self.network):
            trained = tune(self.network, tuning, self.engine, self.observer)
            self.network.load_state_dict(trained.state_dict())
        settle(self.network)
        content = {
            "plan": self.plan,
            "stage": number,
            "model": self.description.model_dump(mode="json"),
        }
        tensors = {f"model.{name}": value for name, value in self.network.state_dict().items()}
        commit(self.folder, number, tensors, content)

    def _resume(self) -> int:
        """Put the last finished stage's network in place; return that stage's number."""
        found = newest_checkpoint(self.folder)
        if found is None:
            return 0
        tensors, state, skipped = found
        if state.get("plan") != self.plan:
            raise PlanChanged(
                f"{self.folder}: stages of another network or of other settings; remove it or "
                "choose another --out"
            )
        weights = {name.removeprefix("model."): value for name, value in tensors.items()}
        try:
            self.network.load_state_dict(weights)
            done = int(state["stage"])
        except (RuntimeError, KeyError, TypeError, ValueError) as error:
            raise BadModelFile(f"{self.folder}: its checkpoint is not of this plan") from error
        for reason in skipped:
            self.observer.note(f"checkpoint skipped: {reason}")
        self.observer.note(f"goes on after stage {done} of {self.rounds + 1}")
        return done


@torch.no_grad()
def round_to_half(network: ConvNet) -> None:
    """Round each tensor to values of float16, unless one of them is too large for it."""
    for value in network.state_dict().values():
        rounded = value.half().to(value.dtype) if value.is_floating_point() else value
        if bool(torch.isfinite(rounded).all()):
            value.copy_(rounded)
