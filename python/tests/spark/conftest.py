"""A cluster of Spark: two executors, each a process of its own, which have nothing of this package but what is shipped to them."""

import os
import sys
from pathlib import Path

import pyarrow as pa
import pyspark
import pytest
import tidemill.spark

JAVA = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"


def delta():
    """What Delta Lake needs, where there are its jars: `cargo xtask python` brings them."""
    jars = os.environ.get("TIDEMILL_JARS")
    if jars is None:
        return {}
    return {
        "spark.jars": ",".join(map(str, Path(jars).glob("*.jar"))),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.databricks.delta.snapshotPartitions": "1",
    }


def settings(folder):
    return {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.driver.extraJavaOptions": JAVA,
        "spark.executor.memory": "1g",
        "spark.executor.extraJavaOptions": JAVA,
        # The driver has the package; executors would inherit it.
        "spark.executorEnv.PYTHONPATH": str(folder / "nothing"),
        "spark.local.dir": str(folder),
        "spark.ui.enabled": "false",
        # Adaptive execution would merge small partitions.
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.session.timeZone": "Europe/Berlin",
        "spark.sql.shuffle.partitions": "2",
        # Each partition comes in several record batches.
        "spark.sql.execution.arrow.maxRecordsPerBatch": "500",
        **delta(),
        "spark.sql.streaming.stateStore.providerClass": "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider",
    }


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spark")
    # Executors write in the home of Spark: not into the installed package.
    home = folder / "home"
    home.mkdir()
    for part in ("bin", "jars", "python", "sbin"):
        (home / part).symlink_to(Path(pyspark.__file__).parent / part)
    os.environ |= {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_HOME": str(home)}
    builder = pyspark.sql.SparkSession.builder.master("local-cluster[2,1,1024]")
    for name, value in settings(folder).items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def shipped(spark):
    """The session, whose executors have not had the package before."""

    def find(batches):
        import importlib.util

        for _ in batches:
            yield pa.RecordBatch.from_pydict({"found": [importlib.util.find_spec("tidemill") is not None]})

    def found():
        return {row.found for row in spark.range(0, 100, numPartitions=4).mapInArrow(find, "found boolean").collect()}

    assert found() == {False}
    for _ in range(2):
        tidemill.spark.ship(spark)
        assert found() == {True}
    return spark
