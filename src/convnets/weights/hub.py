"""Model files on the hub: https://huggingface.co."""

from __future__ import annotations

import os
import re
from pathlib import Path

from convnets.errors import EnvironmentFailure, UsageError

FILE, CARD = "model.safetensors", "README.md"
REPOSITORY = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
SUFFIXES = {".ckpt", ".safetensors", ".pt", ".pth", ".bin"}


def is_repository(path: Path) -> bool:
    """Whether a path is ``OWNER/NAME``: nothing here is called so, and no folder OWNER."""
    return (
        REPOSITORY.fullmatch(str(path)) is not None
        and path.suffix not in SUFFIXES
        and not os.path.exists(path.parent)
    )


def fetch_hub(repository: str) -> Path:
    """Download ``model.safetensors`` of a repository on the hub, unless it is in its cache.

    Raises ``EnvironmentFailure`` where there is none, and where the hub does not answer.
    """
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HFValidationError
    except ImportError as error:
        raise EnvironmentFailure(
            f"{repository} is no file here, and weights from the hub need one more package: "
            f"pip install 'convnets[hub]'; or fetch {_url(repository)}/resolve/main/{FILE} by hand "
            "and give its path"
        ) from error
    try:
        return Path(hf_hub_download(repository, FILE))
    except (OSError, HFValidationError) as error:
        raise EnvironmentFailure(
            f"{repository} is no file here, and {_url(repository)} gives no {FILE}: "
            f"{_first_line(error)}"
        ) from error


def push(content: bytes, card: str, repository: str, *, private: bool = False) -> str:
    """Upload a model file and its card to a repository, made if it is not there; return its URL.

    Both arrive in one commit, or neither. Raises ``UsageError`` for a name that cannot be one and
    for a public repository where a private one is asked for, ``EnvironmentFailure`` where the hub
    refuses or does not answer.
    """
    try:
        from huggingface_hub import CommitOperationAdd, HfApi
        from huggingface_hub.errors import HFValidationError
    except ImportError as error:
        raise EnvironmentFailure(
            "the hub needs one more package: pip install 'convnets[hub]'"
        ) from error
    if not REPOSITORY.fullmatch(repository):
        raise UsageError(f"--push {repository}: not of the form OWNER/NAME")
    files = {FILE: content, CARD: card.encode()}
    api = HfApi()
    try:
        api.create_repo(repository, private=private or None, exist_ok=True)
        public = private and not api.repo_info(repository).private
        if not public:
            operations = [CommitOperationAdd(name, held) for name, held in files.items()]
            api.create_commit(repository, operations, commit_message="Model file and card")
    except HFValidationError as error:
        raise UsageError(f"--push {repository}: {_first_line(error)}") from error
    except Exception as error:  # errors of its transport pass through, and that changes
        raise EnvironmentFailure(
            f"{_url(repository)}: cannot push: {_first_line(error)}; is 'hf auth login' done?"
        ) from error
    if public:
        raise UsageError(f"--private: {_url(repository)} is public; nothing was uploaded")
    return _url(repository)


def _url(repository: str) -> str:
    return f"https://huggingface.co/{repository}"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
