"""glocal: align a network's features with human odd-one-out judgments, and preserve their neighbourhoods.

    from glocal import GLocalTransform
    t = GLocalTransform(objective="glocal")
    t.fit(features, triplets, context=context_features)   # (n, p), (m, 3) with the odd one last, (q, p)
    z = t.transform(x)                                     # (k, p)

Read `losses.py` first: it has the formulas of the paper.
"""

from glocal._version import __version__

__all__ = ["GLocalTransform", "GlocalError", "__version__"]


def __getattr__(name):
    """Load the estimators at their first use: `import glocal` stays instant, and extraction does not depend on training."""
    if name == "GLocalTransform":
        from glocal.transform import GLocalTransform

        return GLocalTransform
    if name == "GlocalError":
        from glocal.errors import GlocalError

        return GlocalError
    raise AttributeError(f"module 'glocal' has no attribute '{name}'")
