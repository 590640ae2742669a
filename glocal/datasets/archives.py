"""Archives of image sets, unpacked once: one process at a time, and each file complete or not at all."""

import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from glocal.datasets import downloads
from glocal.errors import GlocalError, reading
from glocal.system.files import refuse_bomb, replacing
from glocal.system.locks import lock


def unpack_imagenet(top: Path, split: str, name: str) -> None:
    """Unpack the official archives with torchvision; the folder `top` appears only when it is complete."""
    from torchvision.datasets import ImageNet

    partial = top.parent / "unpacking"
    with lock(top.parent / ".lease"):
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
            raise GlocalError(f"{name}: {top.parent} lacks an archive of ImageNet ({error}).") from None
        os.replace(partial / split, top)


def unzip_things(archive: Path) -> Path:
    """Unpack the first image of each concept from the official THINGS archive ($THINGS_PASSWORD opens it); returns the folder."""
    if not archive.is_file():
        raise GlocalError(f"{archive}: no such file; download the archive by hand, or name a folder of object images.")
    out = archive.with_suffix("")
    partial = out.with_name(f"{out.name}.unpacking")  # renamed when it is complete
    fix = "set THINGS_PASSWORD to the password that is given with the archive, or download it again"
    with lock(archive.with_suffix(".lease")):
        if out.is_dir():
            return out
        with reading(archive, "THINGS' archive", fix), zipfile.ZipFile(archive) as files:
            refuse_bomb(archive)
            for member in (m for m in files.namelist() if m.endswith("_01b.jpg")):
                data = files.read(member, pwd=os.environ.get("THINGS_PASSWORD", "").encode() or None)
                partial.mkdir(exist_ok=True)
                (partial / Path(member).name).write_bytes(data)  # the name alone: nothing is written outside
        if partial.is_dir():
            os.replace(partial, out)
    return out


def unpack_url(url: str, top: Path, wanted: Callable[[str], bool], size: int, name: str) -> None:
    """Unpack those files of a .tar.gz at `url` that are `wanted`, below `top` and without the archive's own first folder.

    A file gets its name when it is whole; one that is there with the same bytes is kept, so that a repeated call writes only
    what is missing or damaged. Raises GlocalError for a download that fails or ends early, and for files of more than `size`
    bytes together.
    """
    archive = top.with_name(f"{top.name}.tar.gz")
    with downloads.explained(f"{name}: {url}", "set GLOCAL_MIRROR to a folder that has it"):
        downloads.download(url, archive, downloads.LARGEST, lambda part: _unpack(part, top, wanted, size))
    archive.unlink()


def _unpack(archive: Path, top: Path, wanted: Callable[[str], bool], size: int) -> None:
    with tarfile.open(archive, "r:gz") as members:
        for member in members:
            path = member.name.partition("/")[2]
            if member.isfile() and wanted(path) and (content := members.extractfile(member)):
                if (size := size - member.size) < 0:
                    raise OSError(0, "more bytes than expected")
                _put(top, path, content.read())


def _put(top: Path, path: str, data: bytes) -> None:
    """Write `data` to `top`/`path` in one step, unless it is there. A path that leads out of `top` is refused."""
    target = top / path
    if not target.resolve().is_relative_to(top.resolve()):
        raise GlocalError(f"{path}: leads out of {top}; the archive is not the one that was asked for.")
    if target.is_file() and target.stat().st_size == len(data) and target.read_bytes() == data:
        return
    with replacing(target) as draft:
        draft.write_bytes(data)
