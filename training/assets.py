"""Fetches the emoji and photographs that training clips are made from.

    python -m training.assets ASSETS

The sources are packages of the npm registry and of Debian, and pictures that scikit-image brings;
`training/README.md` lists them with their licences. Needs `npm`, and on Debian or Ubuntu `apt-get`
and `dpkg-deb`; elsewhere the photographs are left out, with a message.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

EMOJI = {
    "fluent": ("@lobehub/fluent-emoji-3d@1.1.0", "package/assets/"),
    "google": ("emoji-datasource-google@16.0.0", "package/img/google/64/"),
}
"""Folder of the assets, npm package, and where its pictures are."""
WALLPAPERS = (
    "gnome-backgrounds",
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
    "mate-backgrounds",
    "plasma-workspace-wallpapers",
)
"""Debian packages."""
BUNDLED = (
    "astronaut.png",
    "brick.png",
    "chelsea.png",
    "coffee.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "motorcycle_left.png",
    "rocket.jpg",
)
"""Pictures that scikit-image's wheel brings."""
_PICTURES = {".jpg", ".jpeg", ".png", ".webp"}
_LEAST_BYTES = 20_000


def fetch_emoji(folder: Path, package: str, inside: str) -> int:
    """Take the pictures out of an npm package.

    Args:
        folder: gets them.
        package: name and version.
        inside: folder of the package that they are in.

    Returns:
        How many there are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(
            ["npm", "pack", "--silent", package], cwd=scratch, check=True, stdout=subprocess.DEVNULL
        )
        (archive,) = Path(scratch).glob("*.tgz")
        with tarfile.open(archive) as packed:
            for member in packed:
                name = Path(member.name)
                wanted = member.isfile() and member.name.startswith(inside)
                if not wanted or name.suffix.lower() not in _PICTURES:
                    continue
                # Only the last part of a packed path is used: it cannot lead out of the folder.
                source = packed.extractfile(member)
                if source is not None:
                    (folder / name.name).write_bytes(source.read())
    return sum(1 for _ in folder.iterdir())


def fetch_wallpapers(folder: Path, packages: Sequence[str]) -> int:
    """Take the pictures out of Debian packages.

    Args:
        folder: gets one folder for each package.
        packages: their names.

    Returns:
        How many there are.
    """
    count = 0
    for package in packages:
        target = folder / package
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            root = Path(scratch)
            subprocess.run(
                ["apt-get", "download", "-qq", package], cwd=root, check=True, capture_output=True
            )
            (archive,) = root.glob("*.deb")
            subprocess.run(["dpkg-deb", "-x", str(archive), str(root / "tree")], check=True)
            for path in sorted((root / "tree").rglob("*")):
                picture = path.suffix.lower() in _PICTURES and not path.is_symlink()
                if picture and path.stat().st_size >= _LEAST_BYTES:
                    name = "_".join(path.relative_to(root / "tree").parts)
                    shutil.copy(path, target / name)
                    count += 1
    return count


def copy_bundled(folder: Path) -> int:
    """Copy the pictures that scikit-image brings."""
    import skimage.data

    folder.mkdir(parents=True, exist_ok=True)
    source = Path(skimage.data.__file__).parent
    for name in BUNDLED:
        shutil.copy(source / name, folder / name)
    return len(BUNDLED)


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch everything.

    Args:
        argv: the arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(
        prog="python -m training.assets", description="Fetch what training clips are made from."
    )
    parser.add_argument("output", metavar="ASSETS", type=Path, help="a folder for them")
    args = parser.parse_args(argv)
    if shutil.which("npm") is None:
        parser.error("npm is needed for the emoji; it comes with Node.js")
    try:
        for name, (package, inside) in EMOJI.items():
            print(f"{name}: {fetch_emoji(args.output / name, package, inside)} pictures")
        print(f"scikit-image: {copy_bundled(args.output / 'photos' / 'skimage')} pictures")
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            print("no wallpapers: apt-get and dpkg-deb are needed, which Debian and Ubuntu have")
        else:
            count = fetch_wallpapers(args.output / "photos", WALLPAPERS)
            print(f"wallpapers: {count} pictures")
    except subprocess.CalledProcessError as error:
        print(f"`{' '.join(error.cmd)}` failed with exit code {error.returncode}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
