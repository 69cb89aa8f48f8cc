"""Every expected failure is one printable line with an exit code; a wrong name finds its like."""

from __future__ import annotations

import inspect

import pytest

from convnets import errors
from convnets.errors import BadImage, ConvnetsError, Stopped, UnknownName, UsageError, printable

EXIT_CODES = {
    "UsageError": 2,
    "UnknownName": 2,
    "PlanChanged": 2,
    "InputTooSmall": 2,
    "BadInput": 3,
    "BadImage": 3,
    "BadData": 3,
    "BadModelFile": 3,
    "TrainingFailed": 4,
    "NonFinite": 4,
    "ExportFailed": 4,
    "EnvironmentFailure": 5,
    "Busy": 5,
    "DiskFull": 5,
    "Stopped": 143,
}
NAMES = ["alexnet_owt", "convnext_tiny", "resnet18", "resnet34", "resnet50", "vgg11"]


def test_each_error_has_the_exit_code_that_the_help_states() -> None:
    found = {
        name: member.exit_code
        for name, member in inspect.getmembers(errors, inspect.isclass)
        if issubclass(member, ConvnetsError) and member is not ConvnetsError
    }
    assert found == EXIT_CODES
    assert Stopped("stopped", exit_code=130).exit_code == 130
    assert issubclass(UsageError, ValueError)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet_18", "resnet18"),
        ("ResNet18", "resnet18"),
        ("convnext-tiny", "convnext_tiny"),
        ("vgg", "vgg11"),
        ("alex", "alexnet_owt"),
        ("50", "resnet50"),
    ],
)
def test_a_wrong_name_finds_the_nearest(name: str, near: str) -> None:
    error = UnknownName("model", name, NAMES)
    assert error.near[0] == near
    assert len(error.near) <= 3
    assert f"unknown model {name!r}; did you mean {near}" in str(error)


@pytest.mark.parametrize("name", ["", "transformer", "a" * 10_000, "\n\udce9"])
def test_a_name_like_none_lists_what_there_is(name: str) -> None:
    error = UnknownName("model", name, NAMES)
    assert error.near == []
    assert str(error).endswith("known: " + ", ".join(NAMES))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ascii, ümläut, 字", "plain ascii, ümläut, 字"),
        ("two\nlines\r\n", r"two\nlines\r\n"),
        ("red \x1b[31m bell \x07 nul \x00", r"red \x1b[31m bell \x07 nul \x00"),
        ("caf\udce9.png", r"caf\udce9.png"),
        ("turned \u202e round", r"turned \u202e round"),
        ("line\u2028separator", r"line\u2028separator"),
    ],
)
def test_a_message_is_one_printable_line(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert str(ConvnetsError(text)) == shown
    assert str(BadImage(text, "not an image")) == f"{shown}: not an image"
    assert printable(text).encode("utf-8").isascii() or printable(text).isprintable()


def test_a_bad_image_keeps_its_path_and_reason() -> None:
    error = BadImage("a.png", "empty file")
    assert (error.path, error.reason) == ("a.png", "empty file")
