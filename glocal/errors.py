"""The one exception of this package, and the help that its messages give."""

import difflib


class GlocalError(ValueError):
    """Bad input: the message says which file, which field, and what to do about it."""


def did_you_mean(word: str, known) -> str:
    """' Did you mean "x"?' or '', plus the list of what is known; of more than thirty names those that are near."""
    known = sorted(map(str, known))
    near = difflib.get_close_matches(str(word), known, n=1)
    some = known if len(known) <= 30 else difflib.get_close_matches(str(word), known, n=8, cutoff=0.3)
    others = f", and {len(known) - len(some)} others" if len(some) < len(known) else ""
    listed = f" Known: {', '.join(some)}{others}." if some else ""  # thousands of names that are not near are no help
    return (f' Did you mean "{near[0]}"?' if near else "") + listed
