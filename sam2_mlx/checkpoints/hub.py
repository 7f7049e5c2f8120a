"""Download published checkpoints once, convert them once, and find them again without a network."""

from __future__ import annotations

import inspect
import io
import re
import socket
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

from sam2_mlx.checkpoints.files import CONFIG_NAME, WEIGHTS_NAME, read_given
from sam2_mlx.checkpoints.names import PUBLISHED
from sam2_mlx.checkpoints.tensors import CheckpointError
from sam2_mlx.files import cache_dir

PROBE_SECONDS = 4.0
"""How long to wait for the hub to answer at all before the machine counts as offline."""

_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_FILENAME = re.compile(r"[A-Za-z0-9][\w.+-]{0,200}\.(?:pt|pth|safetensors)", re.ASCII)
_PORTS = {"http": 80, "": 80, "socks4": 1080, "socks5": 1080, "socks5h": 1080}
_GET_FILE = "or download the checkpoint elsewhere and give its path"

_T = TypeVar("_T")


_progress: ContextVar[Callable[[int, int], None] | None] = ContextVar("progress", default=None)


@contextmanager
def reporting(progress: Callable[[int, int], None]) -> Iterator[None]:
    """Let downloads tell how far they are, in place of a progress bar.

    Args:
        progress: takes the bytes that are there and those of the whole file (0 where that is not
            known); what it raises ends the download.
    """
    token = _progress.set(progress)
    try:
        yield
    finally:
        _progress.reset(token)


class DownloadError(OSError):
    """A checkpoint that could not be downloaded; the message says why and what to do."""


def is_repository(text: str) -> bool:
    """Whether a text has the form of a Hugging Face id, `owner/name`."""
    return bool(_ID.fullmatch(text)) and ".." not in text and "--" not in text


def is_published(repository: str) -> bool:
    """Whether a Hugging Face id is that of a published model."""
    return any(published.repository == repository for published in PUBLISHED.values())


def kept_folder(repository: str) -> Path:
    """Where the converted folder of a model is kept, or will be.

    Raises:
        ValueError: not a Hugging Face id.
    """
    _require_repository(repository)
    return cache_dir() / "models" / repository.replace("/", "--")


def cached(repository: str) -> Path | None:
    """The converted folder of a model that was fetched before, or None; no network is used."""
    folder = kept_folder(repository)
    if not (folder / WEIGHTS_NAME).is_file():
        return None
    try:
        stated = read_given(folder / CONFIG_NAME)
    except CheckpointError:
        # Written by another version; converting again replaces it.
        return None
    return None if stated is None else folder


def download(repository: str, *, anew: bool = False) -> Path:
    """The published checkpoint file of a repository, from Hugging Face's own cache or the network.

    Args:
        repository: a Hugging Face id.
        anew: fetch it over the network, in place of the file in that cache.

    Raises:
        ValueError: not a Hugging Face id.
        DownloadError: no network, no such repository, no access, or no checkpoint in it.
    """
    _require_repository(repository)
    names = [p.filename for p in PUBLISHED.values() if p.repository == repository]
    names += [WEIGHTS_NAME]
    from huggingface_hub import try_to_load_from_cache

    for name in names if not anew else ():
        path = try_to_load_from_cache(repository, name)
        if isinstance(path, str):
            return Path(path)
    _probe(repository)
    for name in names:
        file = _download_file(repository, name, anew)
        if file is not None:
            return _with_config(repository, file)
    file = _download_file(repository, _only_torch_file(repository), anew)
    if file is None:
        raise DownloadError(f"{repository} changed while it was read; try again, {_GET_FILE}")
    return _with_config(repository, file)


def download_file(repository: str, filename: str, kind: str) -> Path:
    """One file that is no checkpoint, from Hugging Face's own cache or the network.

    Args:
        repository: a Hugging Face id.
        filename: the file in it, with its folders.
        kind: "model" or "dataset".

    Raises:
        ValueError: not a Hugging Face id.
        DownloadError: no network, no such repository or file, or no access.
    """
    _require_repository(repository)
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(repository, filename, repo_type=kind)
    if isinstance(path, str):
        return Path(path)
    _probe(repository)
    file = _download_file(repository, filename, repo_type=kind)
    if file is None:
        raise DownloadError(f"https://huggingface.co/{repository} has no {filename} any more")
    return file


def _require_repository(repository: str) -> None:
    if not is_repository(repository):
        raise ValueError(
            f"{repository!r} is not a Hugging Face id; one looks like facebook/sam2.1-hiera-tiny"
        )


def _download_file(
    repository: str, filename: str, anew: bool = False, repo_type: str = "model"
) -> Path | None:
    """Download one file with the hub's progress bar; None if the repository does not have it."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    def ask() -> Path | None:
        try:
            options = {"force_download": anew, "repo_type": repo_type, **_bar()}
            return Path(hf_hub_download(repository, filename, **options))
        except LocalEntryNotFoundError as error:
            raise DownloadError(_offline(repository)) from error
        except EntryNotFoundError:
            return None

    return _explained(repository, ask)


def _bar() -> dict[str, Any]:
    """The argument that makes a download report its progress, where that is wanted."""
    progress = _progress.get()
    if progress is None:
        return {}
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import tqdm

    if "tqdm_class" not in inspect.signature(hf_hub_download).parameters:
        return {}  # huggingface_hub before 1.2

    report = progress

    class Bar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": False, "file": io.StringIO()})

        def update(self, n: float | None = 1) -> bool | None:
            changed: bool | None = super().update(n)
            report(int(self.n), int(self.total or 0))
            return changed

    return {"tqdm_class": Bar}


def _with_config(repository: str, file: Path) -> Path:
    # A fine-tune with an encoder of its own keeps its config.json beside the weights.
    if not is_published(repository):
        _download_file(repository, CONFIG_NAME)
    return file


def _only_torch_file(repository: str) -> str:
    from huggingface_hub import HfApi

    names = _explained(repository, lambda: HfApi().list_repo_files(repository))
    files = sorted(name for name in names if _FILENAME.fullmatch(name))
    if len(files) == 1:
        return files[0]
    what = "no checkpoint" if not files else f"several checkpoints ({', '.join(files[:10])})"
    raise DownloadError(
        f"https://huggingface.co/{repository} holds {what}; download one and give its path"
    )


def _explained(repository: str, ask: Callable[[], _T]) -> _T:
    """Run a request to the hub, with its errors as one line that says what to do."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
    )

    page = f"https://huggingface.co/{repository}"
    # The hub's HTTP errors derive from those of the HTTP library in use, whichever it is.
    transport = [base for base in HfHubHTTPError.__bases__ if issubclass(base, Exception)]
    failures: tuple[type[Exception], ...] = (OSError, RuntimeError, UnicodeError, *transport)
    try:
        return ask()
    except DownloadError:
        raise
    except GatedRepoError as error:
        raise DownloadError(
            f"{page} asks for its terms to be accepted; do so, then log in with: hf auth login"
        ) from error
    except RepositoryNotFoundError as error:
        raise DownloadError(
            f"no model at {page} (or it is private; log in with: hf auth login)"
        ) from error
    except HFValidationError as error:
        raise ValueError(f"{repository!r} is not a Hugging Face id: {error}") from error
    except failures as error:
        if _blames_the_token(error):
            raise DownloadError(
                f"Hugging Face does not take this machine's token for {repository}; remove it "
                "(unset HF_TOKEN, hf auth logout) or log in anew with: hf auth login"
            ) from None
        line = str(error).strip().splitlines() or [type(error).__name__]
        raise DownloadError(
            f"could not download {repository}: {line[0]}; try again, {_GET_FILE}"
        ) from error


def _blames_the_token(error: Exception) -> bool:
    # A token that cannot stand in a header is in the message, which must not be shown then.
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status in (401, 403) or isinstance(error, UnicodeError) or "Bearer" in str(error)


def _offline(repository: str) -> str:
    return f"no connection to Hugging Face to download {repository}; connect, {_GET_FILE}"


def _probe(repository: str) -> None:
    """Find out quickly that there is no network; the hub itself retries for half a minute."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise DownloadError(
            f"HF_HUB_OFFLINE is set and {repository} is not in the cache; unset it, {_GET_FILE}"
        )
    answered = threading.Event()

    def connect() -> None:
        try:
            endpoint = urllib.parse.urlsplit(constants.ENDPOINT)
            proxies = urllib.request.getproxies()
            proxy = proxies.get(endpoint.scheme) or proxies.get("all")
            if proxy and not urllib.request.proxy_bypass(endpoint.hostname or ""):
                endpoint = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
            port = endpoint.port or _PORTS.get(endpoint.scheme, 443)
            with socket.create_connection((endpoint.hostname, port), PROBE_SECONDS):
                answered.set()
        except (OSError, ValueError):
            pass
        finished.set()

    # In a thread, because looking a name up cannot be given a time limit.
    finished = threading.Event()
    threading.Thread(target=connect, daemon=True).start()
    finished.wait(PROBE_SECONDS)
    if not answered.is_set():
        raise DownloadError(_offline(repository))
