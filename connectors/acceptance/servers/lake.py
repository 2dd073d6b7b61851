"""Reads a table with the program that is named, and prints a JSON array for each row, sorted: `lake.py PROGRAM PLACE COLUMN…`."""

import datetime
import decimal
import glob
import json
import os
import sys


def delta_rs(place, columns):
    from deltalake import DeltaTable

    return DeltaTable(place).to_pyarrow_table(columns=columns).to_pylist()


def polars(place, columns):
    import polars

    return polars.read_delta(place).select(columns).to_dicts()


def duckdb(place, columns):
    """DuckDB's own extension is downloaded when it is used first: where that is not possible, it reads what delta-rs has opened."""
    import duckdb
    from deltalake import DeltaTable

    lake = DeltaTable(place).to_pyarrow_dataset()  # noqa: F841
    return duckdb.sql(f"SET timezone = 'UTC'; SELECT {', '.join(columns)} FROM lake").to_arrow_table().to_pylist()


def parquet(place, columns):
    import duckdb

    return duckdb.sql(f"SET timezone = 'UTC'; SELECT {', '.join(columns)} FROM '{place}'").to_arrow_table().to_pylist()


def iceberg(place, columns):
    from pyiceberg.catalog.sql import SqlCatalog

    table = SqlCatalog("plant", uri=place).load_table("plant.readings")
    return table.scan(selected_fields=tuple(columns)).to_arrow().to_pylist()


def session():
    from pyspark.sql import SparkSession

    os.environ |= {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.jars": ",".join(glob.glob(os.environ["TIDEMILL_JARS"] + "/*.jar")),
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1",
        "spark.ui.enabled": "false",
    }
    builder = SparkSession.builder.master("local[1]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def spark(place, columns):
    return session().read.format("delta").load(place).select(columns).toArrow().to_pylist()


def text(value):
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).isoformat()
    if isinstance(value, (datetime.date, decimal.Decimal)):
        return str(value)
    return str(value) if isinstance(value, float) and value != value else value


def main(program, place, *columns):
    rows = globals()[program](place, list(columns))
    for line in sorted(json.dumps([text(row[column]) for column in columns], ensure_ascii=False) for row in rows):
        print(line)


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    if sys.argv[1] != "spark":
        # Threads of pyarrow that are still there have ended the process by a signal. Spark has to stop its own process.
        os._exit(0)
