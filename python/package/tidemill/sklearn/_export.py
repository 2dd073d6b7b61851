"""From a fitted model to the engine's stages, and to a pipeline file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sklearn.pipeline import Pipeline as Steps  # type: ignore[import-not-found, import-untyped, unused-ignore]
from sklearn.utils.validation import check_is_fitted  # type: ignore[import-not-found, import-untyped, unused-ignore]

from .. import _native
from .._options import plain_options
from ..chain import _tables
from ..component import Component
from ..errors import SpecError
from ._estimator import Estimator
from ._rows import check_unique

__all__ = ["export", "stages"]


def stages(
    model: Any,
    *,
    features: Sequence[str] | None = None,
    sensors: str | Sequence[str] = (),
) -> tuple[list[Component], list[str | None]]:
    """The engine's stages that do what `model` does, with the same bits, and their constants: for `Chain`, `tidemill.spark` or `tidemill.dask`.

    They add columns beside those that they get, as all stages do; those that `model` gives are among them, by the same names.

    Args:
        model: A fitted estimator of this module, or a scikit-learn pipeline of them.
        features: The columns of the records that are the features of `model`, in its order; by default, their names in `fit`.
        sensors: If constants were learnt without sensors: the sensors that they are for, by name.

    Returns:
        The stages, and by stage what `Chain` takes as `constants`.

    Raises:
        SpecError: A step of `model` is not of this module, or `features` or `sensors` do not fit it.
        NotFittedError: `model` is not fitted.
    """
    steps = list(_steps(model))
    names = steps[0]._names if features is None else list(features)
    if len(names) != steps[0].n_features_in_:
        raise SpecError(f"{len(names)} names for {steps[0].n_features_in_} features", help="name all of them, in the order of `fit`")
    check_unique(names)
    made: list[Component] = []
    constants: list[str | None] = []
    for step in steps:
        own = step._stages(names)
        learnt = step._constants_for(names, _listed(sensors))
        constants += learnt + [None] * (len(own) - len(learnt))
        made += own
        names = step._names_out(names)
    return made, constants


def export(
    model: Any,
    path: str | os.PathLike[str],
    *,
    source: Component | Sequence[Component],
    sink: Component | Sequence[Component],
    features: Sequence[str] | None = None,
    sensors: str | Sequence[str] = (),
) -> None:
    """Writes a pipeline file that does what `model` does, with the same bits, over the records of `source`.

    Run it by `tidemill run PATH` or `Pipeline.from_file(path).run()`. Beside it is a file of constants for each stage that has learnt some,
    such as `live-0.json` for the first stage of `live.toml`: move them together.

    >>> import pathlib, tempfile
    >>> from sklearn.pipeline import make_pipeline
    >>> from tidemill import sinks, sources
    >>> from tidemill.sklearn import MovingAverage, Normalize, export
    >>> model = make_pipeline(Normalize("z_score"), MovingAverage(window=20)).fit([[20.0], [21.0], [23.0]])
    >>> feed = sources.Csv(path="readings.csv", sensor="sensor")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "live.toml"
    ...     export(model, path, source=feed, sink=sinks.Csv(path="-"), features=["pressure"], sensors="pump-1")
    ...     sorted(file.name for file in path.parent.iterdir())
    ['live-0.json', 'live.toml']

    Args:
        model: A fitted estimator of this module, or a scikit-learn pipeline of them.
        path: The pipeline file.
        source: Where records come from, such as `tidemill.sources.Csv(path="tcp://127.0.0.1:9000")`; one or several.
        sink: Where they go; one or several.
        features, sensors: As for `stages`.

    Raises:
        SpecError: A step of `model` is not of this module, `features` or `sensors` do not fit it, or `source` or `sink` is none of the engine's.
        NotFittedError: `model` is not fitted.
    """
    path = Path(path)
    made, constants = stages(model, features=features, sensors=sensors)
    spec = json.loads(_tables(made, constants))
    spec["source"] = [_table(part, "source") for part in _listed(source)]
    spec["sink"] = [_table(part, "sink") for part in _listed(sink)]
    for at, text in enumerate(constants):
        if text is not None:
            spec["stage"][at]["load"] = f"{path.stem}-{at}.json"
            _write(path.with_name(f"{path.stem}-{at}.json"), text)
    _write(path, _native.toml_of(json.dumps(spec)))


def _steps(model: Any) -> Iterator[Estimator]:
    """The estimators that `model` consists of, fitted."""
    named = model.steps if isinstance(model, Steps) else [("model", model)]
    steps = [(name, step) for name, step in named if step not in (None, "passthrough")]
    if not steps:
        raise SpecError("the model has no steps", help="give a fitted estimator, or a pipeline of them")
    for name, step in steps:
        if isinstance(step, Steps):
            yield from _steps(step)
        elif isinstance(step, Estimator):
            check_is_fitted(step)
            yield step
        else:
            raise SpecError(f"step {name!r} ({step!r:.80}) is not of `tidemill.sklearn`", help="export the steps before it, such as `model[:1]`")


def _table(part: Component, kind: str) -> dict[str, Any]:
    if not isinstance(part, Component) or part.kind != kind:
        raise SpecError(f"{part!r:.80} is no {kind} of the engine", help=f"take one of `tidemill.{kind}s`")
    return plain_options(part)


def _listed(several: Any) -> list[Any]:
    return [several] if isinstance(several, str | Component) else list(several)


def _write(path: Path, text: str) -> None:
    """Writes a file that appears only when it is complete."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
