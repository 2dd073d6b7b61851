"""Pipelines at random, and the ways to run one: what leaves the last stage must be the same, to the bit.

Every way takes a table, which is sorted by time, and stages; the one that judges the others is `one_process`. `examples` says how many pipelines
a test runs: the same ones each time, unless `TIDEMILL_EXAMPLES` is set to a number of others.
"""

import json
import os
import random
import struct
import time
import zlib
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from tidemill import (
    Aggregate,
    Chain,
    Dedupe,
    MovingAverage,
    MovingMax,
    MovingMedian,
    MovingMin,
    MovingStd,
    Normalize,
    Pipeline,
    Rate,
    Threshold,
    sinks,
    sources,
)
from tidemill._native import command
from tidemill._partitions import empty, ordered
from tidemill._passes import fit, fitted

START = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = pa.schema(
    [
        ("sensor", pa.string()),
        ("time", pa.timestamp("us", "UTC")),
        ("value", pa.float64()),
        ("count", pa.int64()),
        ("note", pa.string()),
    ]
)
ROLES = {"time": "time", "sensor": "sensor", "measurements": None}


def examples(count):
    """The settings of a test of random pipelines."""
    wanted = os.environ.get("TIDEMILL_EXAMPLES")
    return settings(
        max_examples=int(wanted or count),
        derandomize=wanted is None,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


@st.composite
def pipelines(draw):
    """Stages, each of which adds columns of its own."""
    stages = [draw(stage(f"{{column}}_{at}")) for at in range(draw(st.integers(0, 4)))]
    return stages + draw(st.lists(aggregates, max_size=1))


def stage(into):
    columns = st.sampled_from([["value"], ["value", "count"]])
    return st.one_of(
        st.builds(
            Threshold,
            columns=columns,
            min=st.none() | st.floats(-200, -50),
            max=st.floats(50, 200),
            action=st.sampled_from(["drop", "mask"]),
            nulls=st.sampled_from(["drop", "keep"]),
        ),
        st.builds(
            lambda kind, **options: kind(**options),
            kind=st.sampled_from([MovingAverage, MovingMin, MovingMax, MovingStd, MovingMedian]),
            columns=columns,
            into=st.just(into),
            window=st.sampled_from([2, 20, "3s", "1m"]),
            min_samples=st.sampled_from([None, 2]),
            count=st.sampled_from([None, True]),
        ),
        st.builds(Normalize, columns=columns, method=methods, fit=st.just(True)),
        st.builds(Normalize, columns=columns, method=st.sampled_from(["min_max", "z_score"]), running=st.just(True), into=st.just(into)),
        st.builds(Rate, columns=columns, method=st.sampled_from(["derivative", "difference"]), into=st.just(into)),
        st.builds(Dedupe, columns=columns, tolerance=st.sampled_from([None, 30.0]), heartbeat=st.sampled_from([None, "10s"])),
    )


methods = st.sampled_from(["min_max", "z_score", "robust"])
aggregates = st.builds(
    Aggregate,
    every=st.sampled_from([None, "10s", "1m"]),
    statistics=st.sampled_from([None, ["count", "sum", "std"]]),
    quantiles=st.sampled_from([None, [0.25, 0.9]]),
)


@st.composite
def inputs(draw):
    """Readings of a few sensors."""
    return readings(draw(st.sampled_from([1, 2, 30, 300, 1000])), draw(st.integers(0, 2**32)), draw(st.integers(1, 9)))


def readings(count, seed=0, sensors=13):
    """Records in the order of their times; some values are null, NaN, or integers that are no floating-point numbers."""
    generator = random.Random(seed)
    at, records = START, []
    for _ in range(count):
        at += timedelta(milliseconds=generator.choice([1, 37, 700, 40_000]))
        value = generator.choice([None, float("nan"), -0.0, 0.0, *[generator.gauss(0, 100) for _ in range(16)]])
        whole = generator.choice([None, 2**53 + 1, *[generator.randrange(-100, 100) for _ in range(8)]])
        sensor = f"s{generator.randrange(sensors)}"
        records.append({"sensor": sensor, "time": at, "value": value, "count": whole, "note": generator.choice("abü")})
    return pa.Table.from_pylist(records, schema=COLUMNS)


def bits(value):
    return struct.pack("<d", value).hex() if isinstance(value, float) else value


def rows(table):
    """The records of a table as tuples of their values, numbers as bits, sorted."""
    names = sorted(table.column_names)
    return sorted((tuple((name, bits(record[name])) for name in names) for record in plain(table).to_pylist()), key=repr)


def plain(table):
    """The same table in the types that a cluster gives."""
    kinds = {pa.uint64(): pa.int64(), pa.timestamp("ns", "UTC"): pa.timestamp("us", "UTC")}
    for at, field in enumerate(table.schema):
        kind = pa.string() if pa.types.is_dictionary(field.type) else kinds.get(field.type, field.type)
        table = table.set_column(at, field.name, table.column(at).cast(kind))
    return table


class Records:
    """A table, record by record."""

    fields = {"sensor": str, "time": datetime, "value": float, "count": int, "note": str}

    def __init__(self, table, bounded=True):
        self.table = table
        self.bounded = bounded

    def stream(self):
        yield from self.table.to_pylist()


def one_process(table, stages):
    return Pipeline([table, *stages]).to_arrow(threads=1)


def by_batch(table, stages, threads):
    return Pipeline([table, *stages]).to_arrow(threads=threads)


def nan_as_null(table):
    """The same values as records give them: NaN in a record of a source is a missing value."""
    at = table.schema.get_field_index("value")
    values = table.column(at)
    return table.set_column(at, table.schema.field(at), pc.if_else(pc.is_nan(values), None, values))


def by_record(table, stages):
    return Pipeline([Records(table), *stages]).to_arrow()


def live(table, stages):
    """A source that does not say when it ends, whose records come one by one."""
    return pa.table(Pipeline([Records(table, bounded=False), *stages]).stream())


def live_and_resumed(table, stages, folder, cuts):
    """A file that grows, read by one run after the other, each of which is stopped, and resumes from the checkpoint of the one before."""
    given, made, state, file = folder / "given.csv", folder / "made.csv", folder / "state", folder / "p.toml"
    types = {"value": "f64", "count": "i64"}
    source = sources.Csv(path=str(given), time="time", sensor="sensor", types=types, follow=True)
    file.write_text("\n".join(map(toml, [source, *stages, sinks.Csv(path=str(made))])))
    ends = sorted({*(cut for cut in cuts if 0 < cut < len(table)), len(table)})
    for begin, end in zip([0, *ends], ends, strict=False):
        append(table.slice(begin, end - begin), given, folder / "piece.csv")
        with Pipeline.from_file(file).start(state=state) as running:
            wait_for(running, end)
    # The file does not grow any more.
    assert command(["tidemill", "run", str(file), "--state", str(state), "--finish", "--quiet"]) == 0
    return made


def toml(part):
    """A component as a pipeline file has it."""

    def written(value):
        inner = ", ".join(f"{json.dumps(key)} = {written(one)}" for key, one in value.items()) if isinstance(value, dict) else ""
        return f"{{ {inner} }}" if isinstance(value, dict) else json.dumps(value)

    options = {"type": part.type, **part.options}
    return "\n".join([f"[[{part.kind}]]", *(f"{name} = {written(value)}" for name, value in options.items())])


def wait_for(running, count):
    """Waits until a run, and those that it resumes, have read `count` records."""
    for _ in range(6000):
        if (running.status()["records"] or 0) >= count:
            return
        time.sleep(0.01)
    raise TimeoutError(running.status())


def written(table, folder):
    """A table as the sink of `live_and_resumed` writes it."""
    path = folder / "expected.csv"
    Pipeline([table, sinks.Csv(path=str(path))]).run()
    return path


def append(table, path, piece):
    Pipeline([table, sinks.Csv(path=str(piece))]).run()
    lines = piece.read_text().splitlines(keepends=True)
    with path.open("a") as file:
        file.writelines(lines[1:] if path.stat().st_size else lines)


def moved(table, stages, constants, size):
    """Chains that each process one batch, and pass their state on as bytes, in groups of sensors."""
    states, made = [], []
    for batch in table.to_batches(max_chunksize=size):
        chain = Chain(stages, time="time", constants=constants, partitioned=True)
        chain.push(empty(table.schema))
        chain.restore(states)
        made.append(chain.push(batch))
        states = chain.save_groups(3)
    last = Chain(stages, time="time", constants=constants, partitioned=True)
    made.append(last.push(empty(table.schema)))
    last.restore(states)
    made.append(last.finish())
    return pa.Table.from_batches([pa.record_batch(batch) for batch in made])


def divided(table, stages, partitions, size, seed, watermark=None):
    """What the workers of a cluster do, one after the other: records come in any order."""
    given = shuffled(table, seed)

    def observe(one):
        if one.is_ordered:
            return [one.observe(part) for part in by_sensor(given, partitions, size)]
        return [one.observe([batch]) for batch in given.to_batches(max_chunksize=size)]

    kernel = fitted(stages, table.schema, observe, **ROLES, constants=(), watermark=watermark)
    made = [batch for part in by_sensor(given, partitions, size) for batch in kernel.run(part)]
    return pa.Table.from_batches(made, kernel.output)


def shuffled(table, seed=0):
    """The same records in another order."""
    return table.take(pa.array(random.Random(seed).sample(range(len(table)), len(table)), pa.int64()))


def by_sensor(table, partitions, size):
    """The batches of each partition, which has all records of its sensors, sorted."""
    homes = [zlib.crc32(sensor.encode()) % partitions for sensor in table["sensor"].to_pylist()]
    parts = [table.take(pa.array([row for row, home in enumerate(homes) if home == part], pa.int64())) for part in range(partitions)]
    return [ordered(part, "time", "sensor").combine_chunks().to_batches(max_chunksize=size) for part in parts]


def constants_of(table, stages):
    """What a first pass over the whole table gives."""
    return fit(stages, table.schema, lambda one: [one.observe(table.to_batches())], **ROLES, constants=())


def loading(stages, constants, folder):
    """The same stages, with constants from files: nothing is left to fit."""
    there = []
    for at, (one, text) in enumerate(zip(stages, constants, strict=True)):
        if text is not None:
            path = folder / f"constants-{at}.json"
            path.write_text(text)
            options = {name: value for name, value in one.options.items() if name != "fit"}
            one = Normalize(**options, load=str(path), unknown="null")
        there.append(one)
    return there
