"""Figures of the Python package, one command each: see ../README.md#python."""

from __future__ import annotations

import argparse
import os
import platform
from importlib import import_module

_FIGURES = {
    "polars": "a table through three stages, beside Polars and pandas",
    "noop": "what a stage in Python costs that does nothing",
    "cli": "a pipeline file, started from Python and from the command line",
    "spark": "five pipelines on Spark, beside Spark's own functions",
    "memory": "memory of `.stream()`",
    "leak": "memory over many runs",
    "import": "the time of `import tidemill`",
    "bits": "the same bits in every way that one process has, on a large input",
    "spark-bits": "the same on Spark, with an executor killed",
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python benches/python",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"{name:<11}{what}" for name, what in _FIGURES.items()),
    )
    parser.add_argument("figure", choices=_FIGURES)
    parser.add_argument("--rows", type=float, help="of the input; by default, full size")
    parser.add_argument("--repeats", type=int, default=5, help="rounds of A B A B")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--command", help="the `tidemill` command; by default, the one in PATH")
    return parser.parse_args()


def main() -> None:
    options = _options()
    print(f"{platform.machine()}, {options.threads} threads, Python {platform.python_version()}\n")
    module = options.figure.replace("-", "_")
    import_module(f"figures.{module}" if module != "import" else "figures.importing").main(options)


if __name__ == "__main__":
    main()
