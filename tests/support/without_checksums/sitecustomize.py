"""On PYTHONPATH of a rehearsal alone: torchvision takes made-up files for those whose checksums it knows.

Nothing of the package knows of this: a real run has no way around a checksum.
"""

import importlib.util
import os
import sys


class Patch:
    """Changes torchvision.datasets.utils when it is imported; to import it here would slow down every start of Python."""

    def find_spec(self, name, path=None, target=None):
        if name != "torchvision.datasets.utils":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def patched(module):
            execute(module)
            module.check_integrity = lambda path, md5=None: os.path.isfile(path)

        spec.loader.exec_module = patched
        return spec


sys.meta_path.insert(0, Patch())
