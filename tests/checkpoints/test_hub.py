"""Published models: downloaded once, converted once, then found without a network."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import mlx.core as mx
import numpy as np
import pytest
from huggingface_hub import errors

from sam2_mlx.checkpoints import hub
from sam2_mlx.checkpoints.hub import DownloadError
from sam2_mlx.checkpoints.load import load, load_auto, locate
from sam2_mlx.checkpoints.tensors import CheckpointError
from sam2_mlx.config import ModelConfig
from sam2_mlx.model.sam import Sam
from tests.checkpoints.torch_files import write_model

TINY = "facebook/sam2.1-hiera-tiny"


class Remote:
    """Stands in for the hub: files by repository, and what was asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, dict[str, Path]] = {}
        self.asked: list[tuple[str, str]] = []
        self.error: Exception | None = None
        self.local: dict[tuple[str, str], Path] = {}

    def hf_hub_download(self, repository: str, filename: str, **_: object) -> str:
        self.asked.append((repository, filename))
        if self.error is not None:
            raise self.error
        if filename not in self.files.get(repository, {}):
            raise missing(errors.RemoteEntryNotFoundError)
        return str(self.files[repository][filename])

    def list_repo_files(self, repository: str) -> list[str]:
        return sorted(self.files[repository])

    def try_to_load_from_cache(self, repository: str, filename: str) -> str | None:
        found = self.local.get((repository, filename))
        return None if found is None else str(found)


def missing(kind: Any) -> Exception:
    """One of the hub's HTTP errors, without the response that its constructor wants."""
    error: Exception = kind.__new__(kind)
    error.args = ("404 client error\nrequest id 7",)
    return error


def answered(status: int) -> Exception:
    """An HTTP error with this status."""
    error = missing(errors.HfHubHTTPError)
    error.response = type("Response", (), {"status_code": status})  # type: ignore[attr-defined]
    return error


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    """The hub replaced, and connected."""
    stand_in = Remote(tmp_path)
    for name in ("hf_hub_download", "try_to_load_from_cache"):
        monkeypatch.setattr(huggingface_hub, name, getattr(stand_in, name))
    api = type("Api", (), {"list_repo_files": lambda _, repo: stand_in.list_repo_files(repo)})
    monkeypatch.setattr(huggingface_hub, "HfApi", api)
    monkeypatch.setattr(hub, "_probe", lambda repository: None)
    return stand_in


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any use of the network fails the test."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("used the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", refuse)


def test_downloaded_once_converted_once(
    remote: Remote, meta_file: Path, cache: Path, no_network_after: Callable[[], None]
) -> None:
    remote.files[TINY] = {"sam2.1_hiera_tiny.pt": meta_file}
    first = load("tiny", dtype="float32")
    assert remote.asked == [(TINY, "sam2.1_hiera_tiny.pt")]
    folder = cache / "models" / "facebook--sam2.1-hiera-tiny"
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert hub.cached(TINY) == folder
    no_network_after()
    meta_file.unlink()
    assert load("tiny").config == first.config
    assert load(TINY).config == first.config
    assert load("sam2.1_hiera_t").config == first.config
    assert load_auto()[0] == "tiny" and "cached" in load_auto()[2]
    assert len(remote.asked) == 1


@pytest.fixture
def no_network_after(request: pytest.FixtureRequest) -> Callable[[], None]:
    """Cuts the network when it is called."""
    return lambda: request.getfixturevalue("no_network")


@pytest.mark.parametrize("name", ["tiny", "auto"])
def test_a_first_download_builds_the_model_once(
    remote: Remote, meta_file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    built: list[int] = []
    begin = Sam.__init__

    def count(self: Sam, config: ModelConfig) -> None:
        built.append(config.image_size)
        begin(self, config)

    monkeypatch.setattr(Sam, "__init__", count)
    remote.files[TINY] = {"sam2.1_hiera_tiny.pt": meta_file}
    assert load(name, image_size=96).config.image_size == 96
    assert built == [96]
    # What is kept has the model's own size and full precision.
    record = json.loads((cache / "models" / "facebook--sam2.1-hiera-tiny/config.json").read_text())
    assert (record["model"]["image_size"], record["dtype"]) == (64, "float32")
    assert load(name, dtype="float16").dtype == mx.float16
    assert built == [96, 64]


def test_a_damaged_copy_is_made_anew(remote: Remote, meta_file: Path, cache: Path) -> None:
    remote.files[TINY] = {"sam2.1_hiera_tiny.pt": meta_file}
    load("tiny")
    kept = cache / "models" / "facebook--sam2.1-hiera-tiny"
    whole = (kept / "model.safetensors").read_bytes()
    for file, data in (
        ("model.safetensors", whole[:-100]),
        ("model.safetensors", b""),
        ("config.json", b"{"),
        ("config.json", b'{"format_version": 1, "model": {"hidden_dim": 12}}'),
    ):
        (kept / file).write_bytes(data)
        assert load("tiny").config.name == "custom"
        assert (kept / "model.safetensors").read_bytes() == whole


def test_a_damaged_download_is_fetched_once_more(
    remote: Remote, meta_file: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(meta_file.read_bytes()[:-1000])
    remote.local[TINY, "sam2.1_hiera_tiny.pt"] = damaged
    remote.files[TINY] = {"sam2.1_hiera_tiny.pt": meta_file}
    assert load("tiny").config.name == "custom"
    assert len(remote.asked) == 1


def test_what_stays_damaged_is_named(remote: Remote, meta_file: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(meta_file.read_bytes()[:-1000])
    remote.local[TINY, "sam2.1_hiera_tiny.pt"] = damaged
    remote.files[TINY] = {"sam2.1_hiera_tiny.pt": damaged}
    with pytest.raises(CheckpointError, match=str(damaged)):
        load("tiny")
    remote.error = missing(errors.HfHubHTTPError)
    with pytest.raises(CheckpointError, match=f"{damaged} is cut short.*not be fetched anew"):
        load("tiny")
    name, model, note = load_auto()
    assert name == "nano" == model.config.name and str(damaged) in note


def test_a_config_that_does_not_fit_asks_nobody(
    remote: Remote, meta_file: Path, config: ModelConfig
) -> None:
    remote.files[TINY] = {"sam2.1_hiera_tiny.pt": meta_file}
    load("tiny")
    with pytest.raises(CheckpointError, match="does not fit"):
        load("tiny", config=replace(config, hidden_dim=64))
    assert len(remote.asked) == 1


def test_a_file_in_the_hubs_own_cache_is_used(remote: Remote, meta_file: Path) -> None:
    remote.local[TINY, "sam2.1_hiera_tiny.pt"] = meta_file
    remote.error = AssertionError("asked the hub")
    assert load("tiny").config.name == "custom"
    assert not remote.asked


def test_other_repositories(
    remote: Remote, meta_file: Path, meta: dict[str, np.ndarray], tmp_path: Path, save: Any
) -> None:
    weights = save(meta_file.parent / "model.safetensors", meta)
    configured = {"config.json": meta_file.parent / "config.json"}
    remote.files = {
        "some/safe": {"model.safetensors": weights, **configured},
        "some/torch": {"finetuned-512.pt": meta_file, "readme.md": meta_file, **configured},
        "some/many": {"a.pt": meta_file, "b.pt": meta_file},
        "some/none": {"readme.md": meta_file, "../evil.pt": meta_file, "x/y.pt": meta_file},
    }
    assert load("some/safe").config.name == "custom"
    assert load("some/torch").config.name == "custom"
    with pytest.raises(DownloadError, match=r"several checkpoints \(a.pt, b.pt\)"):
        load("some/many")
    with pytest.raises(DownloadError, match="holds no checkpoint"):
        load("some/none")
    assert locate("some/torch") == meta_file


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (missing(errors.GatedRepoError), "terms to be accepted.*hf auth login"),
        (missing(errors.RepositoryNotFoundError), "no model at https://huggingface.co/some/model"),
        (errors.LocalEntryNotFoundError("no"), "no connection to Hugging Face"),
        (errors.OfflineModeIsEnabled("offline"), "could not download some/model: offline"),
        (missing(errors.HfHubHTTPError), "could not download some/model: 404 client error; try"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (answered(401), "does not take this machine's token for some/model; remove it"),
        (RuntimeError("Illegal header value b'Bearer hf_secret\\n'"), "token for some/model"),
        (UnicodeEncodeError("ascii", "hf_secret", 0, 1, "no"), "token for some/model"),
        (RuntimeError("xet: broken"), "could not download some/model: xet: broken"),
        (errors.HfHubHTTPError.__bases__[0]("reset by peer"), "reset by peer"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_everything_that_can_go_wrong_is_one_line(
    remote: Remote, error: Exception, words: str
) -> None:
    remote.error = error
    with pytest.raises(DownloadError, match=words) as caught:
        load("some/model")
    assert "\n" not in str(caught.value) and "hf_secret" not in str(caught.value)


def test_a_foreign_model_leaves_nothing_in_the_cache(
    remote: Remote, tmp_path: Path, cache: Path
) -> None:
    file = write_model(tmp_path / "a.pt", {"w": np.zeros(3, np.float32)})
    remote.files["some/other"] = {"model.pt": file}
    with pytest.raises(ValueError, match="not a SAM 2 checkpoint"):
        load("some/other")
    assert not cache.exists()


def test_a_cache_that_cannot_be_written(
    remote: Remote, meta_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.files[TINY] = {"sam2.1_hiera_tiny.pt": meta_file}
    (tmp_path / "file").touch()
    monkeypatch.setenv("SAM2_MLX_CACHE", str(tmp_path / "file"))
    assert load("tiny").config.name == "custom"


def test_a_folder_of_another_version_is_converted_again(
    remote: Remote, meta_file: Path, cache: Path
) -> None:
    remote.files[TINY] = {"sam2.1_hiera_tiny.pt": meta_file}
    load("tiny")
    file = cache / "models" / "facebook--sam2.1-hiera-tiny" / "config.json"
    file.write_text(file.read_text().replace('"format_version": 1', '"format_version": 99'))
    assert hub.cached(TINY) is None
    assert load("tiny").config.name == "custom"
    assert len(remote.asked) == 2


@pytest.mark.parametrize(
    "text", ["a", "a/b/c", "../b", "a/..", "a/b c", "a/", "/b", "a--b/c", "a/b\n", "é/b", "a\\b"]
)
def test_what_is_no_id(text: str) -> None:
    assert not hub.is_repository(text)
    with pytest.raises(ValueError, match="not a Hugging Face id"):
        hub.download(text)


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the hub's own cache, and no proxy."""
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub.urllib.request, "getproxies", dict)


def test_no_network_is_noticed_at_once(unreachable: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "create_connection", fail)
    start = time.monotonic()
    with pytest.raises(DownloadError, match="no connection to Hugging Face"):
        load("tiny")
    assert load_auto()[0] == "nano"
    assert time.monotonic() - start < 2


def test_a_proxy_that_is_no_address_is_no_network(
    unreachable: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub.urllib.request, "getproxies", lambda: {"https": "http://[::1"})
    with pytest.raises(DownloadError, match="no connection to Hugging Face"):
        load("tiny")
    assert load_auto()[0] == "nano"


def test_a_network_that_never_answers_is_given_up(
    unreachable: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    waiting = lambda *_: nullcontext(release.wait(20))  # noqa: E731
    monkeypatch.setattr(socket, "create_connection", waiting)
    monkeypatch.setattr(hub, "PROBE_SECONDS", 0.1)
    start = time.monotonic()
    try:
        with pytest.raises(DownloadError, match="no connection"):
            hub.download("some/model")
        assert time.monotonic() - start < 2
    finally:
        release.set()


@pytest.mark.parametrize(
    ("proxies", "where"),
    [
        ({}, ("hub.example", 443)),
        ({"https": "http://proxy.example:3128"}, ("proxy.example", 3128)),
        ({"https": "proxy.example:3128"}, ("proxy.example", 3128)),
        ({"http": "http://other.example:1"}, ("hub.example", 443)),
        ({"all": "http://proxy.example"}, ("proxy.example", 80)),
        ({"all": "socks5://proxy.example"}, ("proxy.example", 1080)),
        ({"all": "socks5://x.example", "https": "https://y.example"}, ("y.example", 443)),
    ],
    ids=str,
)
def test_the_probe_asks_what_the_hub_would_ask(
    unreachable: None,
    monkeypatch: pytest.MonkeyPatch,
    proxies: dict[str, str],
    where: tuple[str, int],
) -> None:
    asked: list[tuple[tuple[str, int], float]] = []

    def connect(address: tuple[str, int], timeout: float) -> Any:
        asked.append((address, timeout))
        return nullcontext()

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(hub.urllib.request, "proxy_bypass", lambda host: False)
    monkeypatch.setattr(hub.urllib.request, "getproxies", lambda: proxies)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "https://hub.example")
    hub._probe("some/model")
    assert asked == [(where, hub.PROBE_SECONDS)]


def test_offline_mode_asks_nobody(unreachable: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(socket, "create_connection", None)
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE is set"):
        load("tiny")
    name, _, note = load_auto()
    assert name == "nano" and "HF_HUB_OFFLINE" in note
