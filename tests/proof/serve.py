"""Any gateway that is made by a factory, on stdio: ``python -m tests.proof.serve PACKAGE.MODULE:FACTORY``."""

from __future__ import annotations

import importlib
import sys

from cronsession_reference.serve import serve_stdio

if __name__ == "__main__":
    module, _, name = sys.argv[1].partition(":")
    serve_stdio(getattr(importlib.import_module(module), name)())
