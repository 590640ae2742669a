"""Archives that image sets are given out in, unpacked once and safely: one process at a time, whole or not at all."""

import os
import shutil
import zipfile
from pathlib import Path

from glocal.errors import GlocalError


def unpack_imagenet(top: Path, split: str, name: str) -> None:
    """torchvision unpacks the official archives into `top`, which gets its name only when it is whole."""
    from filelock import FileLock
    from torchvision.datasets import ImageNet

    part = top.parent / "unpacking"
    with FileLock(top.parent / ".lock"):
        if top.is_dir():
            return
        part.mkdir(exist_ok=True)
        for archive in top.parent.glob("ILSVRC2012_*.tar*"):
            if not (part / archive.name).exists():
                (part / archive.name).symlink_to(archive)
        shutil.rmtree(part / split, ignore_errors=True)  # of a killed run
        try:
            ImageNet(part, split)
        except RuntimeError as error:
            raise GlocalError(f"{name}: {top.parent} lacks an archive of ImageNet ({' '.join(str(error).split())}).") from None
        os.replace(part / split, top)


def unzip_things(archive: Path) -> Path:
    """The folder beside THINGS' official archive with its first image of each concept; $THINGS_PASSWORD opens it."""
    if not archive.is_file():
        raise GlocalError(f"{archive}: no such file; fetch the archive by hand, or name a folder of object images.")
    from filelock import FileLock

    out = archive.with_suffix("")
    part = out.with_name(f"{out.name}.unpacking")  # gets its name when it is whole
    with FileLock(archive.with_suffix(".lock")), zipfile.ZipFile(archive) as files:
        for member in [] if out.is_dir() else files.namelist():
            if member.endswith("_01b.jpg"):
                try:
                    data = files.read(member, pwd=os.environ.get("THINGS_PASSWORD", "").encode() or None)
                except RuntimeError as error:
                    raise GlocalError(f"{archive}: {error}; set THINGS_PASSWORD to the password that comes with it.") from None
                part.mkdir(exist_ok=True)
                (part / Path(member).name).write_bytes(data)
        if part.is_dir():
            os.replace(part, out)
    return out
