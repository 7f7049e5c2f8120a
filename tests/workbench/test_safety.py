"""Who may talk to the server, and which files a page may name."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from sam2_mlx.apps.fields import Refusal
from sam2_mlx.apps.serving.access import ListedAccess
from sam2_mlx.apps.workbench.server import kept_token
from tests.serving.app import Refused
from tests.workbench.conftest import Workbench
from tests.workbench.page import Page


def get(address: str, **headers: str) -> httpx.Response:
    with httpx.Client(trust_env=False) as client:
        return client.get(address, headers=headers)


def test_a_page_needs_the_token(bench: Workbench) -> None:
    for token in ("", "?token=", "?token=wrong", "?token=wrong&token=a-token-of-the-tests"):
        assert get(f"http://127.0.0.1:{bench.port}/{token}").status_code == 403
        with pytest.raises(InvalidStatus, match="403"):
            Page(f"http://127.0.0.1:{bench.port}/?{token[1:]}")
    assert get(bench.address + "é").status_code == 403


def test_other_names_and_other_pages_are_refused(bench: Workbench) -> None:
    for host in ("evil.example", f"evil.example:{bench.port}", "127.0.0.1", "127.0.0.1:1"):
        assert get(bench.address, host=host).status_code == 403
    for origin in ("http://evil.example", "null", f"https://127.0.0.1:{bench.port}"):
        assert get(bench.address, origin=origin).status_code == 403
        with pytest.raises(InvalidStatus, match="403"):
            Page(bench.address, origin=origin)
    with Page(bench.address, origin=f"http://127.0.0.1:{bench.port}") as page:
        assert page.call("ping")[0]["jobs"] == 0


def test_every_answer_keeps_the_page_to_itself(bench: Workbench) -> None:
    for address in (bench.address, f"http://127.0.0.1:{bench.port}/nothing"):
        headers = get(address).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


def test_files_beside_the_page_are_not_served(bench: Workbench) -> None:
    address = bench.address.replace("/?", "/%2e%2e/server.py?")
    assert get(address).status_code == 404


def test_only_this_machine_is_listened_to(bench: Workbench) -> None:
    assert bench.listener.getsockname()[0] == "127.0.0.1"
    with socket.socket() as other:
        other.settimeout(2)
        # Another address of this machine, which a listener on 0.0.0.0 would answer.
        assert other.connect_ex(("127.0.0.2", bench.port)) != 0


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path, ListedAccess]:
    allowed, secret, home = (tmp_path / name for name in ("allowed", "secret", "home"))
    for folder in (allowed, secret, home):
        folder.mkdir()
    (allowed / "a.mp4").touch()
    (secret / "s.mp4").touch()
    (allowed / "link.mp4").symlink_to(secret / "s.mp4")
    (allowed / "inner.mp4").symlink_to(allowed / "a.mp4")
    (allowed / "frames").mkdir()
    (allowed / "frames" / "1.png").symlink_to(secret / "s.mp4")
    return allowed, secret, ListedAccess([allowed], home)


def test_links_and_dots_do_not_lead_out(places: tuple[Path, Path, ListedAccess]) -> None:
    allowed, secret, access = places
    assert access.read(str(allowed / "a.mp4")) == str(allowed / "a.mp4")
    assert access.read(str(allowed / "inner.mp4")) == str(allowed / "a.mp4")
    for path in (
        secret / "s.mp4",
        secret,
        allowed.parent,
        allowed / ".." / "secret" / "s.mp4",
        allowed / "link.mp4",
        allowed / "frames",
        allowed / "frames" / "%d.png",
        allowed / "*" / "1.png",
        secret / "*.mp4",
        "/etc/passwd",
        "https://example.com/clip.mp4",
        str(allowed) + "x",
    ):
        with pytest.raises(Refusal) as refused:
            access.read(str(path))
        assert refused.value.code == "forbidden", path
    with pytest.raises(Refusal) as refused:
        access.read(str(allowed / "nothing.mp4"))
    assert refused.value.code == "not_found"


def test_a_pattern_that_was_opened_opens_nothing_beside_it(tmp_path: Path) -> None:
    frames, home = tmp_path / "frames", tmp_path / "home"
    for folder in (frames, home):
        folder.mkdir()
    (frames / "1.png").touch()
    pattern = frames / "%d.png"
    access = ListedAccess([pattern], home)
    assert access.read(str(pattern)) == str(pattern)
    for path in (frames, frames / "1.png", frames / "*.png"):
        with pytest.raises(Refusal, match="no folder that was allowed"):
            access.read(str(path))
    # A project with it is opened after the next start, too.
    ListedAccess([frames], home).remember(pattern)
    assert ListedAccess([], home).read(str(pattern)) == str(pattern)


def test_writing_stays_at_home(places: tuple[Path, Path, ListedAccess]) -> None:
    allowed, secret, access = places
    assert access.write("a/b.mp4") == str(access.home / "a" / "b.mp4")
    (access.home / "out").symlink_to(secret)
    for path in (allowed / "a.mp4", "../secret/x", "out/x.mp4", ".", "/etc/x", ".token", "a/.b/c"):
        with pytest.raises(Refusal, match="write there"):
            access.write(str(path))


def test_a_page_opens_nothing_else(bench: Workbench) -> None:
    with Page(bench.address) as page:
        for method, fields in {
            "open": {"path": "/etc/passwd"},
            "set_picture": {"path": "/etc/passwd"},
            "restore": {"path": "/etc/passwd"},
            "load_model": {"model": "/etc/passwd"},
        }.items():
            with pytest.raises(Refused, match="forbidden"):
                page.call(method, **fields)
        session = page.call("open", path=str(bench.clip))[0]["session"]
        with pytest.raises(Refused, match="forbidden"):
            page.call("save", session=session, path=str(bench.clip / "x.safetensors"))
        page.call("save", session=session, path="x.safetensors")
    assert (bench.home / "x.safetensors").is_file()


def test_the_command_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    words = ["app", "demo", "--no-open", "--port", "0", "--model", "nano", "--projects"]
    command = [sys.executable, "-m", "sam2_mlx", *words, str(tmp_path / "projects")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        address = process.stdout.readline().decode().strip()
        with Page(address) as page:
            facts, _ = page.call("hello", protocol=1)
            assert facts["opened"].endswith("demo.mp4") and "map" not in facts["methods"]
            assert page.call("open", path=facts["opened"])[0]["frames"] == 120
            for method in ("map", "shutdown"):
                with pytest.raises(Refused, match="unknown_method"):
                    page.call(method)
            process.send_signal(2)
            assert process.wait(30) == 0, process.stderr.read()


def test_the_token_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    token = kept_token(tmp_path)
    file = tmp_path / ".token"
    assert file.read_text() == token and stat.S_IMODE(file.stat().st_mode) == 0o600
    assert kept_token(tmp_path) == token
    # One that others could have read or laid there is not used.
    file.chmod(0o644)
    assert (second := kept_token(tmp_path)) != token
    file.rename(tmp_path / "laid")
    file.symlink_to(tmp_path / "laid")
    assert kept_token(tmp_path) != second and not file.is_symlink()
    file.write_text("short")
    assert len(kept_token(tmp_path)) == len(token)
