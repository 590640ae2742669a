"""The official archives of image sets, unpacked once: one process at a time, and complete or not at all."""

import os
import shutil
import zipfile
from pathlib import Path

from glocal.errors import GlocalError


def unpack_imagenet(top: Path, split: str, name: str) -> None:
    """Unpack the official archives with torchvision; the folder `top` appears only when it is complete."""
    from filelock import FileLock
    from torchvision.datasets import ImageNet

    partial = top.parent / "unpacking"
    with FileLock(top.parent / ".lock"):
        if top.is_dir():
            return
        partial.mkdir(exist_ok=True)
        for archive in top.parent.glob("ILSVRC2012_*.tar*"):
            if not (partial / archive.name).exists():
                (partial / archive.name).symlink_to(archive)
        shutil.rmtree(partial / split, ignore_errors=True)  # left by an interrupted run
        try:
            ImageNet(partial, split)
        except RuntimeError as error:
            raise GlocalError(f"{name}: {top.parent} lacks an archive of ImageNet ({' '.join(str(error).split())}).") from None
        os.replace(partial / split, top)


def unzip_things(archive: Path) -> Path:
    """Unpack the first image of each concept from the official THINGS archive ($THINGS_PASSWORD opens it); returns the folder."""
    if not archive.is_file():
        raise GlocalError(f"{archive}: no such file; download the archive by hand, or name a folder of object images.")
    from filelock import FileLock

    out = archive.with_suffix("")
    partial = out.with_name(f"{out.name}.unpacking")  # renamed when it is complete
    with FileLock(archive.with_suffix(".lock")), zipfile.ZipFile(archive) as files:
        for member in [] if out.is_dir() else files.namelist():
            if member.endswith("_01b.jpg"):
                try:
                    data = files.read(member, pwd=os.environ.get("THINGS_PASSWORD", "").encode() or None)
                except RuntimeError as error:
                    raise GlocalError(
                        f"{archive}: {error}; set THINGS_PASSWORD to the password that is given with the archive."
                    ) from None
                partial.mkdir(exist_ok=True)
                (partial / Path(member).name).write_bytes(data)
        if partial.is_dir():
            os.replace(partial, out)
    return out
