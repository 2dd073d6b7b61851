"""Pipelines in several threads of a program at once."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from tidemill import Chain, MovingAverage, MovingMedian, Normalize, Pipeline, Threshold

THREADS = 8


def table(seed, count=20_000):
    generator = random.Random(seed)
    sensors = [f"s{generator.randrange(5 + seed)}" for _ in range(count)]
    return pa.table({"sensor": sensors, "value": [generator.gauss(seed, 30) for _ in range(count)]})


class Shifted:
    def __init__(self, by):
        self.by = by

    def process(self, stream):
        for record in stream:
            record.value += self.by
            yield record


def pipeline(seed):
    """One of several kinds."""
    stages = [[MovingMedian(window=20)], [Normalize(fit=True), MovingAverage(window=5)], [Shifted(seed), MovingAverage(window=3)]]
    source = table(seed).to_pylist() if seed % 2 else table(seed)
    return Pipeline([source, Threshold(max=60), *stages[seed % 3]])


def columns(made):
    """The values of all columns: names may be numbered otherwise."""
    return pa.table(made).to_pydict()


def at_once(act, items):
    """What `act` gives for each of the items, all of which begin together."""
    begin = threading.Barrier(THREADS)

    def acting(item):
        begin.wait(60)
        return act(item)

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(acting, items))


def test_pipelines_of_several_threads_do_not_mix():
    one_by_one = [columns(pipeline(seed).to_table()) for seed in range(2 * THREADS)]
    assert at_once(lambda seed: columns(pipeline(seed).to_table()), range(2 * THREADS)) == one_by_one
    assert at_once(lambda seed: columns(pipeline(seed).stream()), range(2 * THREADS)) == one_by_one


def test_one_pipeline_runs_in_several_threads():
    one = Pipeline([table(1), Threshold(max=60), MovingMedian(window=20)])
    assert at_once(lambda _: columns(one.to_table()), range(THREADS)) == [columns(one.to_table())] * THREADS


def test_what_a_thread_raises_is_its_own():
    class Fails:
        def __init__(self, number):
            self.number = number

        def process(self, stream):
            for record in stream:
                if record.value > 50:
                    raise KeyError(self.number)
                yield record

    def act(number):
        if number % 2:
            return len(pipeline(number).to_table())
        with pytest.raises(KeyError) as raised:
            Pipeline([table(number), Fails(number)]).to_table()
        return raised.value.args

    expected = [len(pipeline(number).to_table()) if number % 2 else (number,) for number in range(THREADS)]
    assert at_once(act, range(THREADS)) == expected


def test_chains_of_several_threads_do_not_mix():
    stages = [Threshold(max=60), MovingMedian(window=20)]

    def made(seed):
        chain = Chain(stages)
        return columns(pa.Table.from_batches([pa.record_batch(chain.push(batch)) for batch in table(seed).to_batches(max_chunksize=1000)]))

    assert at_once(made, range(THREADS)) == [columns(Pipeline([table(seed), *stages]).to_table()) for seed in range(THREADS)]
