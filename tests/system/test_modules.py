"""Imports without what they can do without."""

import subprocess
import sys


def test_a_config_is_checked_without_the_grammars_of_iris():
    """In a process of its own. Afterwards they can be imported: they are not hidden from the user's code."""
    code = "import sys; from glocal.workflow.config import load_config; load_config('config/demo.yaml'); "
    code += "print('jsonschema' in sys.modules, 'lark' in sys.modules, 'rfc3987_syntax' in sys.modules)"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.split() == ["True", "False", "False"]
