"""Models on the Hugging Face hub: where the local cache has them, what their cards say, and uploading files."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from neuronspec.core.errors import ModelError, PathError, reason_of, told_as

logger = logging.getLogger(__name__)

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""`user/model`."""

MAYBE_ON_HUB = re.compile(rf"{HUB_NAME.pattern}|[A-Za-z0-9][\w.-]*")
"""As `HUB_NAME`, or the name of an old model that no user owns, such as `gpt2`."""

CARD = "README.md"
"""The model card in a model's folder and repository."""

CARD_MARK = "<!-- written by neuronspec: remove this line to keep your own text -->"
"""The line by which a card says that it may be written anew."""


def local_folder(name: str | Path, revision: str | None = None) -> Path:
    """The folder of a model: as named, or where the cache of the Hugging Face hub has `user/model`.

    Args:
        name: a folder, or a name on the hub.
        revision: branch, tag or commit on the hub.

    Returns:
        The folder. What is neither a folder nor like a name on the hub comes back as it is.

    Raises:
        PathError: the cache has no such model; says how to download it. Or there is a revision of a folder.
    """
    path = Path(name)
    if path.exists() or not HUB_NAME.fullmatch(str(name)):
        if revision is not None:
            raise PathError(f"{name} is no name on the Hugging Face hub (user/model), so it has no revision {revision}")
        return path
    return cached(str(name), revision)


def cached(name: str, revision: str | None = None, kind: Literal["model", "dataset"] = "model") -> Path:
    """Where the cache of the Hugging Face hub has a model or a data set. Downloads nothing.

    Args:
        name: on the hub.
        revision: branch, tag or commit.
        kind: of the repository.

    Raises:
        PathError: the cache has no such model or data set; says how to download it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, repo_type=kind, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError):
        wanted = (" --repo-type dataset" if kind == "dataset" else "") + (f" --revision {revision}" if revision else "")
        what = {"model": "model", "dataset": "data set"}[kind]
        raise PathError(
            f"there is no folder {name} here, and the cache of the Hugging Face hub has no such {what}. Nothing is "
            f"downloaded by itself: 'hf download {name}{wanted}' does"
        ) from None


def blobs_of(folder: Path) -> Path | None:
    """Where the cache of the hub keeps the files that a folder in it links to; None of a folder elsewhere."""
    for parent in folder.absolute().parents:
        if parent.name == "snapshots" and parent.parent.name.startswith(("models--", "datasets--")):
            return parent.parent.resolve() / "blobs"
    return None


def card_metadata(name: str | Path) -> dict[str, Any]:
    """The metadata of the card of a model: of a folder, or on the hub, where the network or the cache has it.

    Returns:
        Such as `license`; empty where there is no card, or none that can be read.
    """
    from huggingface_hub import ModelCard, hf_hub_download

    try:
        with told_as(ModelError, f"the card of {name} can't be read"):
            path = Path(name) / CARD if Path(name).is_dir() else Path(hf_hub_download(str(name), CARD))
            return dict(ModelCard(path.read_text(encoding="utf-8"), ignore_metadata_errors=True).data.to_dict())
    except ModelError as error:  # whatever a card holds, or the network does: it is no more than a hint
        logger.debug("%s", error)
        return {}


def upload(repo: str, files: Mapping[str, Path], card: str | None, message: str, **options: Any) -> str:
    """Put files into a repository on the Hugging Face hub, in one commit. It is made if it isn't there.

    Args:
        repo: `user/model`.
        files: by their names there.
        card: the text of the model card. A card that is there already and isn't ours stays.
        message: of the commit.
        options: `private`, `token`; `commit_description`, `revision`, `create_pr`.

    Returns:
        The address of the commit.

    Raises:
        ModelError: nobody is logged in, there is no network, or the hub refuses it.
    """
    from huggingface_hub import HfApi, get_token

    private, token = options.pop("private", None), options.pop("token", None)
    if not isinstance(token, str) and get_token() is None:
        raise ModelError(
            f"nothing is uploaded to {repo}: nobody is logged in to the Hugging Face hub; 'hf auth login' does it, or "
            "set HF_TOKEN to a token that may write (https://huggingface.co/settings/tokens)"
        )
    try:
        with told_as(ModelError, "upload"):
            return _commit(HfApi(token=token), repo, files, card, message, private, options)
    except ModelError as error:
        raise ModelError(f"the upload to {repo} failed: {_told(error.__context__ or error)}") from None


def _commit(
    api: Any,
    repo: str,
    files: Mapping[str, Path],
    card: str | None,
    message: str,
    private: bool | None,
    options: Mapping[str, Any],
) -> str:
    from huggingface_hub import CommitOperationAdd

    repo = api.create_repo(repo, private=private, exist_ok=True).repo_id
    revision = options.get("revision")
    if revision is not None and not revision.startswith("refs/pr"):
        api.create_branch(repo, branch=revision, exist_ok=True)
    content: dict[str, Any] = dict(files)
    if card is not None and not _has_own_card(api, repo, revision):
        content[CARD] = card.encode()
    operations = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=each) for name, each in content.items()]
    return str(api.create_commit(repo, operations, commit_message=message, **options).commit_url)


def _has_own_card(api: Any, repo: str, revision: str | None) -> bool:
    """Whether a repository has a card that somebody else than `neuronspec` wrote."""
    if not api.file_exists(repo, CARD, revision=revision):
        return False
    text = Path(api.hf_hub_download(repo, CARD, revision=revision)).read_text(encoding="utf-8")
    return CARD_MARK not in text


def _told(error: BaseException) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return (
            f"the hub refuses it ({status}): log in with 'hf auth login' by a token that may write there, and check "
            "the name of the repository"
        )
    if type(error).__name__ == "OfflineModeIsEnabled":
        return "HF_HUB_OFFLINE is set: unset it"
    kinds = {each.__name__ for each in type(error).__mro__}  # the hub's library changed its library for HTTP
    if status is None and kinds & {"OSError", "TransportError"}:
        return f"the hub can't be reached ({reason_of(error)}); check the network, or HF_ENDPOINT"
    return reason_of(error)
