"""The one exception of this package, and the help that its messages give."""

import contextlib
import difflib
import re

LONGEST = 2000  # letters of a message, which may quote anything


class GlocalError(ValueError):
    """Bad input: the message says which file, which field, and what to do about it; in one line, whatever it quotes."""

    def __init__(self, message: str):
        line = " ".join(message.split()) if len(message.splitlines()) > 1 else message
        line = line if len(line) < LONGEST else f"{line[: LONGEST - 500]} ... {line[-400:]}"
        super().__init__(re.sub("[\x00-\x1f\x7f-\x9f\ud800-\udfff]", lambda m: repr(m[0])[1:-1], line))


@contextlib.contextmanager
def reading(path, kind: str, fix: str):
    """Around the reading of a file: whatever a library raises is one GlocalError that names the file.

    Libraries raise exceptions of any class for files that are damaged, or made to do harm. Only a missing package passes.
    """
    try:
        yield
    except (GlocalError, ModuleNotFoundError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".")[:200] or type(error).__name__
        raise GlocalError(f"{path}: cannot be read as {kind} ({reason}); {fix}.") from None


def is_number(text: str) -> bool:
    """Whether a text is one number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def require(word, known, problem: str):
    """`word` itself, or a GlocalError, `problem` and what is near, if it is not among those `known`."""
    if word not in known:
        raise GlocalError(f"{problem}.{did_you_mean(word, known)}")
    return word


def did_you_mean(word: str, known) -> str:
    """' Did you mean "x"?' or '', plus the list of what is known; of more than thirty names those that are near."""
    known = sorted(map(str, known))
    near = difflib.get_close_matches(str(word), known, n=1)
    some = known if len(known) <= 30 else difflib.get_close_matches(str(word), known, n=8, cutoff=0.3)
    others = f", and {len(known) - len(some)} others" if len(some) < len(known) else ""
    listed = f" Known: {', '.join(some)}{others}." if some else ""  # thousands of names that are not near are no help
    return (f' Did you mean "{near[0]}"?' if near else "") + listed
