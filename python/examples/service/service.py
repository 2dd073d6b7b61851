"""A service that scores readings: what is posted goes through the stages of a pipeline file, and the answer is what leaves the last one.

    uvicorn --factory service:app

The columns of the pipeline's source are the model of a request, and those that leave the last stage are the model of an answer: both are in
`/docs`. Each sensor has state, such as its moving windows, from one request to the next, and it is the same as in a run of the pipeline over the
same records. Environment:

| variable | |
|---|---|
| `PIPELINE` | the pipeline file; `pumps.toml` beside this file by default |
| `STATE` | the file that keeps the state while the service is stopped; without it, all sensors begin anew |
| `MAX_BODY` | the largest body in bytes; 1 MiB by default |

A request has at most `MAX_READINGS` readings, of sensors whose names match `SENSOR`. The state is in this process: run one, or let a proxy choose
the process by the sensor. Readings of one sensor must be posted one request after the other, since their order matters.
"""

import os
import threading
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import pyarrow
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from limits import BodyLimit
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat, create_model
from tidemill import Chain, Pipeline

MAX_READINGS = 10_000
"""In one request."""
SENSOR = r"^[A-Za-z]{1,16}-[0-9]{1,4}$"
"""The names of sensors: each has state, so they must not be endless."""
SHOWN = 10
"""The mistakes of a request that its answer names."""


class Stages:
    """The stages of a pipeline file, with their state: one request at a time."""

    def __init__(self, path: Path) -> None:
        source = tomllib.loads(path.read_text())["source"]
        self.time, self.sensor, self.measurements = source["time"], source["sensor"], source["measurements"]
        self.columns = pyarrow.schema(
            [(self.time, pyarrow.timestamp("us", "UTC")), (self.sensor, pyarrow.string()), *((name, pyarrow.float64()) for name in self.measurements)]
        )
        self.chain = Chain(Pipeline.from_file(path).stages, time=self.time, sensor=self.sensor, measurements=self.measurements)
        # From a record batch without rows it learns its columns.
        self.output = self.push([]).schema
        self.lock = threading.Lock()

    def push(self, readings: list[dict[str, Any]]) -> pyarrow.RecordBatch:
        """What leaves the last stage for these records."""
        return pyarrow.record_batch(self.chain.push(pyarrow.RecordBatch.from_pylist(readings, schema=self.columns)))

    def score(self, readings: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The same, while other requests wait."""
        with self.lock:
            return self.push(readings).to_pylist()

    def request(self) -> type[BaseModel]:
        """The model of a reading."""
        fields: dict[str, Any] = {name: (FiniteFloat | None, None) for name in self.measurements}
        fields |= {self.sensor: (Annotated[str, Field(pattern=SENSOR)], ...), self.time: (AwareDatetime, ...)}
        return create_model("Reading", __config__=ConfigDict(extra="forbid"), **fields)

    def answer(self) -> type[BaseModel]:
        """The model of a score."""
        kinds = {self.sensor: str, self.time: datetime}
        return create_model("Score", **{name: (kinds.get(name, float | None), ...) for name in self.output.names})

    def save(self, path: Path) -> None:
        """Keeps the state in a file, which appears only when complete."""
        part = path.with_suffix(".part")
        part.write_bytes(self.chain.save())
        part.replace(path)


def create_app(path: Path, state: Path | None = None, max_body: int = 2**20) -> FastAPI:
    """The service for the pipeline file at `path`."""
    stages = Stages(path)
    if state is not None and state.exists():
        stages.chain.restore([state.read_bytes()])

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        if state is not None:
            stages.save(state)

    app = FastAPI(title="Scores", lifespan=life)
    app.add_middleware(BodyLimit, limit=max_body)
    app.add_exception_handler(RequestValidationError, _mistakes)
    Reading, Score = stages.request(), stages.answer()

    class Answer(BaseModel):
        scores: list[Score]  # type: ignore[valid-type]
        dropped: int = Field(description="The readings that have no score, such as those out of bounds.")

    # Not asynchronous, so that it runs in a thread: the lock blocks no other request.
    @app.post("/score", response_model=Answer)
    def score(readings: Annotated[list[Reading], Field(min_length=1, max_length=MAX_READINGS)]) -> dict[str, Any]:  # type: ignore[valid-type]
        scores = stages.score([reading.model_dump() for reading in readings])
        return {"scores": scores, "dropped": len(readings) - len(scores)}

    return app


def app() -> FastAPI:
    """The service as the environment describes it."""
    path, state = os.environ.get("PIPELINE"), os.environ.get("STATE")
    here = Path(__file__).with_name("pumps.toml")
    return create_app(Path(path) if path else here, Path(state) if state else None, int(os.environ.get("MAX_BODY", 2**20)))


async def _mistakes(_: Request, error: RequestValidationError) -> JSONResponse:
    """The first mistakes, each with its place, without what was sent: that may be long, or no JSON."""
    mistakes = error.errors()
    places = [".".join(str(step) for step in mistake["loc"][1:]) for mistake in mistakes]
    shown = [{"at": place, "message": mistake["msg"]} for place, mistake in zip(places, mistakes, strict=True)][:SHOWN]
    return JSONResponse({"mistakes": shown, "others": len(mistakes) - len(shown)}, status_code=422)
