"""Settings take what makes sense, refuse the rest by field, and go through JSON unchanged."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from convnets.training.settings import AdamW, Cosine, Optimisation, Plateau, Sgd, Steps

WHOLE = Optimisation(
    epochs=3,
    batch_size=16,
    optimizer=AdamW(lr=1e-3, betas=(0.8, 0.99)),
    schedule=Cosine(warmup=0.1, final=0.01),
    label_smoothing=0.1,
    clip_norm=1.0,
    accumulation=2,
    ema_decay=0.99,
)


def with_value(path: str, value: object) -> dict[str, object]:
    content = WHOLE.model_dump(mode="json")
    *groups, field = path.split(".")
    place = content
    for group in groups:
        place = place[group]
    place[field] = value
    return content


def test_json_gives_the_same_settings_back() -> None:
    text = json.dumps(WHOLE.model_dump(mode="json"), allow_nan=False)
    assert Optimisation.model_validate(json.loads(text)) == WHOLE


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("epochs", 0),
        ("epochs", 2.5),
        ("epochs", "many"),
        ("batch_size", 0),
        ("optimizer.lr", 0),
        ("optimizer.lr", -1e-3),
        ("optimizer.lr", float("nan")),
        ("optimizer.lr", float("inf")),
        ("optimizer.betas", [0.9, 1.0]),
        ("optimizer.betas", [0.9]),
        ("optimizer.eps", 0),
        ("optimizer.weight_decay", -0.1),
        ("optimizer.kind", "adam"),
        ("optimizer.momentum", 0.9),
        ("schedule.warmup", 1.1),
        ("schedule.final", -0.1),
        ("schedule.kind", "linear"),
        ("label_smoothing", 1.0),
        ("clip_norm", 0),
        ("accumulation", 0),
        ("ema_decay", 1.0),
        ("ema_decay", 0.0),
        ("learning_rate", 0.1),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_its_field(path: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        Optimisation.model_validate(with_value(path, value))
    assert path.split(".")[0] in {str(problem["loc"][0]) for problem in caught.value.errors()}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ema_decay": 0.9, "swa_start": 0.5}, "a run keeps one average"),
        ({"binary_threshold": 0.2}, "loss is not binary"),
        ({"progressive": {"dropout_from": 0.1}}, "dropout, where it ends, is not"),
        ({"schedule": {"kind": "steps", "rates": [0.5]}}, "1 rates for 2 milestones"),
        ({"optimizer": {"kind": "lars", "lr": 1, "decay_vectors": True}}, "decay_vectors"),
        ({"optimizer": {"kind": "lamb", "lr": 1, "weight_decay": 0}}, "weight_decay"),
        ({"schedule": {"kind": "exponential", "every": 0}}, "every"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Optimisation.model_validate({**WHOLE.model_dump(), "ema_decay": None, **changes})


def test_nesterov_needs_momentum() -> None:
    with pytest.raises(ValidationError, match="nesterov needs momentum"):
        Sgd(lr=0.1, momentum=0, nesterov=True)
    assert Sgd(lr=0.1, nesterov=True).nesterov


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        WHOLE.epochs = 5  # type: ignore[misc]


def test_kinds_are_told_apart_by_name() -> None:
    content = with_value("schedule", {"kind": "plateau", "patience": 2})
    assert Optimisation.model_validate(content).schedule == Plateau(patience=2)
    content = with_value("schedule", {"kind": "steps", "milestones": [0.3]})
    assert Optimisation.model_validate(content).schedule == Steps(milestones=(0.3,))
