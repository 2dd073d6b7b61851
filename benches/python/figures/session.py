"""A session of Spark with two executors of one core each."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pyspark
from pyspark.sql import SparkSession

# The collector and the compiler that Spark is fast with.
_JAVA = "-XX:+UseG1GC"


def _settings(folder: Path) -> dict[str, str]:
    return {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "2g",
        "spark.driver.extraJavaOptions": _JAVA,
        "spark.executor.memory": "2g",
        "spark.executor.extraJavaOptions": _JAVA,
        "spark.local.dir": str(folder),
        "spark.ui.enabled": "false",
        # The number of partitions is chosen for each measurement.
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
    }


@contextmanager
def session() -> Iterator[SparkSession]:
    """The session, which has this package on its executors."""
    import tidemill.spark

    with TemporaryDirectory() as name:
        folder = Path(name)
        # Executors write in the home of Spark: not into the installed package.
        home = folder / "home"
        home.mkdir()
        for part in ("bin", "jars", "python", "sbin"):
            (home / part).symlink_to(Path(pyspark.__file__).parent / part)
        os.environ |= {
            "PYSPARK_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_HOME": str(home),
        }
        builder = SparkSession.builder.master("local-cluster[2,1,2048]")
        for key, value in _settings(folder).items():
            builder = builder.config(key, value)
        spark = builder.getOrCreate()
        spark.sparkContext.setLogLevel("ERROR")
        tidemill.spark.ship(spark)
        try:
            yield spark
        finally:
            spark.stop()
