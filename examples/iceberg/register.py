"""Registers the files of a Delta table with an Iceberg table: `python register.py DELTA_TABLE CATALOG_URI NAMESPACE.TABLE`.

No data are copied. Files that the Iceberg table has already are left alone, so it may run as often as wanted.
"""

import sys

import pyarrow as pa
from deltalake import DeltaTable
from pyiceberg.catalog.sql import SqlCatalog

path, uri, name = sys.argv[1:]
delta = DeltaTable(path)
catalog = SqlCatalog("plant", uri=uri, warehouse=f"{path}-iceberg")
catalog.create_namespace_if_not_exists(name.rpartition(".")[0])
table = catalog.create_table_if_not_exists(name, schema=pa.schema(delta.schema().to_arrow()))
known = set(table.inspect.files()["file_path"].to_pylist())
new = sorted(set(delta.file_uris()) - known)
if new:
    table.add_files(new)
print(f"{len(new)} files registered, {len(known)} were there")
