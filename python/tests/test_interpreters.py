"""Subinterpreters are refused."""

import subprocess
import sys

PROGRAM = """
import importlib
for name in ("_interpreters", "_xxsubinterpreters"):
    try:
        interpreters = importlib.import_module(name)
        break
    except ImportError:
        pass
try:
    failure = interpreters.run_string(interpreters.create(), "import tidemill")
except Exception as error:
    failure = error
print(failure)
"""


def test_a_subinterpreter_cannot_import_it():
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert "tidemill does not support subinterpreters" in ran.stdout, ran
