"""The result of a run that has been trained and tested."""

from __future__ import annotations

import base64
import io

import numpy as np
import torch
from PIL import Image

from convnets import records
from convnets.data import ImageSet
from convnets.memory import peak_memory
from convnets.models import find_variant
from convnets.records import Mistake, Result
from convnets.runs.machine import this_machine
from convnets.runs.plan import Plan
from convnets.training.engine import Engine
from convnets.training.evaluation import Evaluation
from convnets.training.state import TrainingState, weights_sha256

THUMBNAIL = 64


def result(
    plan: Plan,
    state: TrainingState,
    evaluation: Evaluation,
    image_set: ImageSet,
    engine: Engine,
    *,
    params: int,
    macs: int,
    training_macs: int,
    command: str,
) -> Result:
    """Gather a finished run's record; ``macs`` are of one image's forward pass at full size."""
    family, _ = find_variant(plan.model)
    progress = state.progress
    seen = plan.recipe.epochs * plan.data.train_images
    return Result(
        run=plan.run_name,
        model=plan.model,
        family=family.title,
        year=family.year,
        stem=plan.stem,
        recipe=plan.recipe.name,
        seed=plan.seed,
        epochs=plan.recipe.epochs,
        input_size=plan.input_size,
        data=plan.data,
        plan=plan.content(),
        params=params,
        macs=macs,
        training_macs=training_macs,
        top1=evaluation.top1,
        top5=evaluation.top5,
        test_loss=evaluation.loss,
        confusion=tuple(tuple(row) for row in evaluation.confusion.tolist()),
        curve=tuple(progress.curve),
        mistakes=tuple(
            Mistake(
                index=wrong.index,
                label=wrong.label,
                predicted=wrong.predicted,
                probability=wrong.probability,
                png=thumbnail(image_set.test.image(wrong.index)),
            )
            for wrong in evaluation.worst
        ),
        skipped_files=image_set.skipped,
        seconds=progress.seconds,
        images_per_second=seen / max(progress.seconds, 1e-9),
        peak_memory_bytes=peak_memory(engine.device),
        weights_sha256=weights_sha256(state.tested_model),
        engine=records.Engine(
            device=str(engine.device),
            precision=engine.precision,
            channels_last=engine.channels_last,
            compiled=engine.compiled,
            threads=torch.get_num_threads(),
            ranks=engine.ranks.world,
            sharded=engine.sharded,
            graphs=engine.graphs,
        ),
        machine=this_machine(),
        command=command,
    )


def thumbnail(image: np.ndarray) -> str:
    """An image (height, width, channels) of at most 64 pixels a side as base64 PNG."""
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
