"""Sources of the engine, by name. Written by `generate.py` from their schemas: docs/reference.md has the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from .component import Component

__all__ = [
    "Csv",
    "Influx",
    "JsonLines",
    "Parquet",
    "Synthetic",
    "Tsv",
]


class Csv(Component):
    """Delimited text: one file or many, plain or compressed.

    Args:
        path: A file, a glob, a folder, or a list of them; "-" is standard input. Text compressed as
            .gz, .zst, .xz, .bz2 or .lz4 is decompressed. A .zip stands for the files in it,
            "a.zip/x.csv" and "a.zip/*.csv" for some of them. Parquet needs files. A list may end
            with an address from which records keep arriving: "tcp-listen://host:port",
            "tcp://host:port", "udp://host:port", "unix-listen:///path" or "unix:///path". With the
            feature `objects`, an address such as `s3://bucket/year=*/*.csv` stands for files in an
            object store.
        follow: Whether to keep reading files as they grow, and to read new files that match: for
            example rotated logs.
        sensor_from: Where the sensor is in a file's path, if no column has it: "stem" (the name
            without folder and extension), "path" (as written, without extension), or a pattern with
            {sensor} such as "plant-{sensor}-*", "device={sensor}" or "{sensor}/*", which matches
            the end of the path (or, without a slash, one of its names); * matches any part of a
            name. By default, the path from the first wildcard on, without extension.
        time: The column with the event time; without one, records have no time. Several columns,
            such as ["Date", "Time"], are joined with a space to a column called `time`.
        time_format: How times are written: "rfc3339" (ISO 8601 forms such as 2020-07-19T23:06 and
            20200719T230640 too), a strptime pattern such as "%d.%m.%Y %H:%M:%S", "s", "ms", "us" or
            "ns" since 1970 (or since `start`), or days: "excel" (since 1899-12-30, as OLE counts
            them too), "excel1904" (since 1904-01-01), "julian", "mjd" (modified Julian days).
        timezone: The time zone of times without an offset: an IANA name such as "Europe/Berlin",
            with its daylight saving time, or an offset such as "+01:00"; UTC if not given.
        zones: The offsets of time zone abbreviations, such as { CET = "+01:00", CEST = "+02:00" }.
            In a pattern they are %Z.
        start: The start of relative times, such as "2024-01-01T00:00:00Z": "s", "ms", "us" and "ns"
            count from it; times of day ("%H:%M:%S") begin on its day, and a new day begins whenever
            they decrease within a series, even by a second (by more than `disorder`, if that is
            given).
        sensor: The column with the sensor's name; without one, each file is one sensor, named after
            the file. A template of column names in braces, such as "{model}-{id}", composes it of
            several columns, to a column called `sensor`.
        sensor_name: The name of the single sensor of the whole input; instead of `sensor`.
        measurements: The numeric columns, by name or glob; if not given, those that have only
            numbers in the first 1,000 records of the first file, within its first MiB. All other
            columns are carried through as text.
        types: The types of columns, by name or glob, such as { count = "u64", ok = "bool", serial =
            "text" }: "f64", "i64", "u64", "bool" or "text"; the last match wins. A column with a
            type other than "text" is a measurement. By default, numbers in text are "f64", and
            typed columns keep their type. A value that is not of the type is rejected.
        columns: The columns to read, by name or glob such as "T_*", in addition to those that
            `time`, `sensor`, `measurements` and `types` name; all if not given. Other columns are
            ignored, which also saves the time to read them.
        rename: New names for columns, such as { "Temp [°C]" = "temp" }. All other options use the
            new names.
        unknown_columns: What to do if the files of one input have different columns: `error`;
            `null` takes the union of the columns, with null where a file does not have a column;
            `ignore` takes the columns of the first file, with null for missing ones, and ignores
            other columns.
        unpivot: Turns every measurement into a record of its own, whose sensor is named after the
            column: for files with one column per sensor. `sensor` ("{column}") is the sensor's
            name, a template of {column} and {sensor}, the sensor of the wide record; `value`
            ("value") names the column with the values; `nulls` says whether a null makes no record
            (`drop`) or a record with null (`keep`). All have defaults: unpivot = {}.
        null_values: Texts that mean a missing value in times, sensors and measurements, in addition
            to the empty field; carried text is not affected. Numeric ones are compared as numbers:
            with "-999", "-999.0" is missing too.
        decimal: The decimal mark of numbers; in JSON, of numbers in quotes.
        thousands: The separator between groups of three digits, such as "," in 1,234.5; none if not
            given. A space also matches no-break spaces.
        unit_suffixes: The unit that may follow the numbers of a column, by name or glob, such as {
            "T_*" = "°C" }. It is removed, not converted; the last match wins.
        units: The units of measurements, by name or glob, such as { "T_*" = "degC" }: any text,
            which goes with the column; values are never converted. The last match wins; without
            one, the unit is that of the input (`units_row`, metadata of Parquet columns).
        true_words: Words read as 1 in measurements, case-insensitive; ["true"] if not given. If
            given, columns that contain only such words are measurements.
        false_words: Words read as 0, case-insensitive; ["false"] if not given.
        delimiter: The byte between fields, such as ",", ";", "|" or "\\t"; "blanks" for any number
            of spaces and tabs.
        widths: The widths of the fields, in characters, for fixed-width text; instead of a
            delimiter. There are no quotes then. Text after the last field is one more field.
        quote: The byte around fields that contain delimiters, quotes or line ends; "" if there is
            none.
        comment: The byte that begins a comment line; no comments if not given.
        header: Whether the first record contains the column names.
        names: The column names, in order: required without a header. With a header, it must have
            the same names, in any order.
        skip_lines: The number of lines to skip at the beginning of each file.
        header_row: The line with the column names, counted from 1 in each file; lines before it are
            skipped.
        units_row: The line below the header with the units of the columns; it is not a record.
        data_row: The line of the first record; lines between the header and it are skipped.
        ragged: What to do with a record with too few or too many fields: `reject` it; `trim`
            removes surplus empty fields at its end; `fill` reads missing fields as null; `cut`
            removes surplus fields, whatever they contain; `fit` does both `fill` and `cut`.
        encoding: The encoding of the text, a name or label of the WHATWG list, such as
            "windows-1252", "latin1" or "utf-16le"; UTF-8 if not given. A byte order mark of UTF-8
            or UTF-16 at the beginning of a file takes precedence.
        name: Its name in `from_` of stages and sinks.
        order: The order in which records are processed.
        disorder: By how much a record may be out of order and still be sorted in, such as "5m".
        from_: Only records from this time on.
        until: Only records before this time.
        max_rejects: How many records may be rejected before the run fails: a count or a fraction.
        idle_sensors: How long a sensor may be idle, such as "7d", before it is given up.
    """

    kind: ClassVar[str] = "source"
    type: ClassVar[str] = "csv"

    def __init__(
        self,
        *,
        path: str | Sequence[str] | None = None,
        follow: bool | None = None,
        sensor_from: str | None = None,
        time: str | Sequence[str] | None = None,
        time_format: str | None = None,
        timezone: str | None = None,
        zones: Mapping[str, str] | None = None,
        start: str | None = None,
        sensor: str | None = None,
        sensor_name: str | None = None,
        measurements: Sequence[str] | None = None,
        types: Mapping[str, Literal["f64", "i64", "u64", "bool", "text"]] | None = None,
        columns: Sequence[str] | None = None,
        rename: Mapping[str, str] | None = None,
        unknown_columns: Literal["error", "null", "ignore"] | None = None,
        unpivot: Mapping[str, Any] | None = None,
        null_values: Sequence[str] | None = None,
        decimal: Literal[".", ","] | None = None,
        thousands: str | None = None,
        unit_suffixes: Mapping[str, str] | None = None,
        units: Mapping[str, str] | None = None,
        true_words: Sequence[str] | None = None,
        false_words: Sequence[str] | None = None,
        delimiter: str | None = None,
        widths: Sequence[int] | None = None,
        quote: str | None = None,
        comment: str | None = None,
        header: bool | None = None,
        names: Sequence[str] | None = None,
        skip_lines: int | None = None,
        header_row: int | None = None,
        units_row: int | None = None,
        data_row: int | None = None,
        ragged: Literal["reject", "trim", "fill", "cut", "fit"] | None = None,
        encoding: str | None = None,
        name: str | None = None,
        order: Literal["input", "time", "newest_first"] | None = None,
        disorder: str | None = None,
        from_: str | None = None,
        until: str | None = None,
        max_rejects: float | None = None,
        idle_sensors: str | None = None,
    ) -> None:
        super().__init__(
            path=path,
            follow=follow,
            sensor_from=sensor_from,
            time=time,
            time_format=time_format,
            timezone=timezone,
            zones=zones,
            start=start,
            sensor=sensor,
            sensor_name=sensor_name,
            measurements=measurements,
            types=types,
            columns=columns,
            rename=rename,
            unknown_columns=unknown_columns,
            unpivot=unpivot,
            null_values=null_values,
            decimal=decimal,
            thousands=thousands,
            unit_suffixes=unit_suffixes,
            units=units,
            true_words=true_words,
            false_words=false_words,
            delimiter=delimiter,
            widths=widths,
            quote=quote,
            comment=comment,
            header=header,
            names=names,
            skip_lines=skip_lines,
            header_row=header_row,
            units_row=units_row,
            data_row=data_row,
            ragged=ragged,
            encoding=encoding,
            name=name,
            order=order,
            disorder=disorder,
            **{"from": from_},
            until=until,
            max_rejects=max_rejects,
            idle_sensors=idle_sensors,
        )


class Influx(Component):
    """InfluxDB line protocol: one record per line.

    Args:
        path: A file, a glob, a folder, or a list of them; "-" is standard input. Text compressed as
            .gz, .zst, .xz, .bz2 or .lz4 is decompressed. A .zip stands for the files in it,
            "a.zip/x.csv" and "a.zip/*.csv" for some of them. Parquet needs files. A list may end
            with an address from which records keep arriving: "tcp-listen://host:port",
            "tcp://host:port", "udp://host:port", "unix-listen:///path" or "unix:///path". With the
            feature `objects`, an address such as `s3://bucket/year=*/*.csv` stands for files in an
            object store.
        follow: Whether to keep reading files as they grow, and to read new files that match: for
            example rotated logs.
        sensor_from: Where the sensor is in a file's path, if no column has it: "stem" (the name
            without folder and extension), "path" (as written, without extension), or a pattern with
            {sensor} such as "plant-{sensor}-*", "device={sensor}" or "{sensor}/*", which matches
            the end of the path (or, without a slash, one of its names); * matches any part of a
            name. By default, the path from the first wildcard on, without extension.
        precision: The unit of the timestamps.
        missing_time: What to do with a record without a timestamp: `reject` it, or use the time of
            its `arrival` by this machine's clock. Arrival times exist only for live input and its
            recordings, not for files.
        time: The name of the time column.
        sensor: The tag with the sensor's name; without one, the sensor is the series: the table and
            the tags as written, in a column `sensor`. A template of tag names in braces, such as
            "{host}-{dc}", composes it of several tags, to a column called `sensor`; the name of the
            table's column refers to the table.
        sensor_name: The name of the single sensor of the whole input; instead of `sensor`.
        measurements: The numeric fields; if not given, those that have only numbers in the first
            1,000 records of the first file, within its first MiB. A glob selects among those.
            Booleans in them are "bool"; strings are read only as `null_values`, `true_words` and
            `false_words` define.
        types: The types of fields, by name or glob, such as { count = "u64" }: "f64", "i64", "u64",
            "bool" or "text"; the last match wins. A field with a type other than "text" is a
            measurement. By default, a field has its type in the first 1,000 records, and is "f64"
            if it has several types, does not occur, or if the columns are known before the first
            record. A value that is not of the type is rejected.
        units: The units of measurements, by name or glob, such as { "T_*" = "degC" }: any text,
            which goes with the column; values are never converted. The last match wins.
        texts: The tags and fields carried through as text, by name or glob; if not given, all
            others in the first 1,000 records of the first file. If neither `measurements` nor
            `texts` contains a glob, the columns are known before the first record.
        columns: The tags and fields to read, by name or glob such as "T_*", in addition to those
            that `sensor` and `measurements` name; all if not given. All others are ignored; `table`
            is read only if it is listed here. Instead of `texts`.
        rename: New names for tags and fields, such as { "Temp [°C]" = "temp" }. All other options
            use the new names.
        table: The name of the column with the table's name (called measurement in older versions of
            line protocol); "" leaves it out.
        unknown_fields: What to do with a record with a tag or field that has no column: `reject`
            it, or `ignore` the tag or field.
        unknown_columns: What to do if the files of one input have different columns: the columns
            are those of its first file (`error`: other tags and fields are handled by
            `unknown_fields`), or the union of all files (`null`).
        unpivot: Turns every measurement into a record of its own, whose sensor is named after the
            field. `sensor` ("{column}") is the sensor's name, a template of {column} and {sensor},
            the sensor of the wide record; `value` ("value") names the column with the values;
            `nulls` says whether a null makes no record (`drop`) or a record with null (`keep`). If
            the input has several sensors, `sensor` must contain {sensor}.
        null_values: Values that mean a missing value in times, sensors and measurements, in
            addition to empty strings; carried text is not affected. Numeric ones are compared as
            numbers: with "-999", -999.0 and -999i are missing; others are compared with strings.
        true_words: Strings read as 1 in measurements, case-insensitive; none if not given. If
            given, fields that contain only such strings are measurements. Booleans need no words.
        false_words: Strings read as 0, case-insensitive.
        name: Its name in `from_` of stages and sinks.
        order: The order in which records are processed.
        disorder: By how much a record may be out of order and still be sorted in, such as "5m".
        from_: Only records from this time on.
        until: Only records before this time.
        max_rejects: How many records may be rejected before the run fails: a count or a fraction.
        idle_sensors: How long a sensor may be idle, such as "7d", before it is given up.
    """

    kind: ClassVar[str] = "source"
    type: ClassVar[str] = "influx"

    def __init__(
        self,
        *,
        path: str | Sequence[str] | None = None,
        follow: bool | None = None,
        sensor_from: str | None = None,
        precision: Literal["ns", "us", "ms", "s"] | None = None,
        missing_time: Literal["reject", "arrival"] | None = None,
        time: str | None = None,
        sensor: str | None = None,
        sensor_name: str | None = None,
        measurements: Sequence[str] | None = None,
        types: Mapping[str, Literal["f64", "i64", "u64", "bool", "text"]] | None = None,
        units: Mapping[str, str] | None = None,
        texts: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        rename: Mapping[str, str] | None = None,
        table: str | None = None,
        unknown_fields: Literal["reject", "ignore"] | None = None,
        unknown_columns: Literal["error", "null", "ignore"] | None = None,
        unpivot: Mapping[str, Any] | None = None,
        null_values: Sequence[str] | None = None,
        true_words: Sequence[str] | None = None,
        false_words: Sequence[str] | None = None,
        name: str | None = None,
        order: Literal["input", "time", "newest_first"] | None = None,
        disorder: str | None = None,
        from_: str | None = None,
        until: str | None = None,
        max_rejects: float | None = None,
        idle_sensors: str | None = None,
    ) -> None:
        super().__init__(
            path=path,
            follow=follow,
            sensor_from=sensor_from,
            precision=precision,
            missing_time=missing_time,
            time=time,
            sensor=sensor,
            sensor_name=sensor_name,
            measurements=measurements,
            types=types,
            units=units,
            texts=texts,
            columns=columns,
            rename=rename,
            table=table,
            unknown_fields=unknown_fields,
            unknown_columns=unknown_columns,
            unpivot=unpivot,
            null_values=null_values,
            true_words=true_words,
            false_words=false_words,
            name=name,
            order=order,
            disorder=disorder,
            **{"from": from_},
            until=until,
            max_rejects=max_rejects,
            idle_sensors=idle_sensors,
        )


class JsonLines(Component):
    """JSON: one object per record, on one line or several.

    Args:
        path: A file, a glob, a folder, or a list of them; "-" is standard input. Text compressed as
            .gz, .zst, .xz, .bz2 or .lz4 is decompressed. A .zip stands for the files in it,
            "a.zip/x.csv" and "a.zip/*.csv" for some of them. Parquet needs files. A list may end
            with an address from which records keep arriving: "tcp-listen://host:port",
            "tcp://host:port", "udp://host:port", "unix-listen:///path" or "unix:///path". With the
            feature `objects`, an address such as `s3://bucket/year=*/*.csv` stands for files in an
            object store.
        follow: Whether to keep reading files as they grow, and to read new files that match: for
            example rotated logs.
        sensor_from: Where the sensor is in a file's path, if no column has it: "stem" (the name
            without folder and extension), "path" (as written, without extension), or a pattern with
            {sensor} such as "plant-{sensor}-*", "device={sensor}" or "{sensor}/*", which matches
            the end of the path (or, without a slash, one of its names); * matches any part of a
            name. By default, the path from the first wildcard on, without extension.
        time: The column with the event time; without one, records have no time. Several columns,
            such as ["Date", "Time"], are joined with a space to a column called `time`.
        time_format: How times are written: "rfc3339" (ISO 8601 forms such as 2020-07-19T23:06 and
            20200719T230640 too), a strptime pattern such as "%d.%m.%Y %H:%M:%S", "s", "ms", "us" or
            "ns" since 1970 (or since `start`), or days: "excel" (since 1899-12-30, as OLE counts
            them too), "excel1904" (since 1904-01-01), "julian", "mjd" (modified Julian days).
        timezone: The time zone of times without an offset: an IANA name such as "Europe/Berlin",
            with its daylight saving time, or an offset such as "+01:00"; UTC if not given.
        zones: The offsets of time zone abbreviations, such as { CET = "+01:00", CEST = "+02:00" }.
            In a pattern they are %Z.
        start: The start of relative times, such as "2024-01-01T00:00:00Z": "s", "ms", "us" and "ns"
            count from it; times of day ("%H:%M:%S") begin on its day, and a new day begins whenever
            they decrease within a series, even by a second (by more than `disorder`, if that is
            given).
        sensor: The column with the sensor's name; without one, each file is one sensor, named after
            the file. A template of column names in braces, such as "{model}-{id}", composes it of
            several columns, to a column called `sensor`.
        sensor_name: The name of the single sensor of the whole input; instead of `sensor`.
        measurements: The numeric columns, by name or glob; if not given, those that have only
            numbers in the first 1,000 records of the first file, within its first MiB. All other
            columns are carried through as text.
        types: The types of columns, by name or glob, such as { count = "u64", ok = "bool", serial =
            "text" }: "f64", "i64", "u64", "bool" or "text"; the last match wins. A column with a
            type other than "text" is a measurement. By default, numbers in text are "f64", and
            typed columns keep their type. A value that is not of the type is rejected.
        columns: The columns to read, by name or glob such as "T_*", in addition to those that
            `time`, `sensor`, `measurements` and `types` name; all if not given. Other columns are
            ignored, which also saves the time to read them.
        rename: New names for columns, such as { "Temp [°C]" = "temp" }. All other options use the
            new names.
        unknown_columns: What to do if the files of one input have different columns: `error`;
            `null` takes the union of the columns, with null where a file does not have a column;
            `ignore` takes the columns of the first file, with null for missing ones, and ignores
            other columns.
        unpivot: Turns every measurement into a record of its own, whose sensor is named after the
            column: for files with one column per sensor. `sensor` ("{column}") is the sensor's
            name, a template of {column} and {sensor}, the sensor of the wide record; `value`
            ("value") names the column with the values; `nulls` says whether a null makes no record
            (`drop`) or a record with null (`keep`). All have defaults: unpivot = {}.
        null_values: Texts that mean a missing value in times, sensors and measurements, in addition
            to the empty field; carried text is not affected. Numeric ones are compared as numbers:
            with "-999", "-999.0" is missing too.
        decimal: The decimal mark of numbers; in JSON, of numbers in quotes.
        thousands: The separator between groups of three digits, such as "," in 1,234.5; none if not
            given. A space also matches no-break spaces.
        unit_suffixes: The unit that may follow the numbers of a column, by name or glob, such as {
            "T_*" = "°C" }. It is removed, not converted; the last match wins.
        units: The units of measurements, by name or glob, such as { "T_*" = "degC" }: any text,
            which goes with the column; values are never converted. The last match wins; without
            one, the unit is that of the input (`units_row`, metadata of Parquet columns).
        true_words: Words read as 1 in measurements, case-insensitive; ["true"] if not given. If
            given, columns that contain only such words are measurements.
        false_words: Words read as 0, case-insensitive; ["false"] if not given.
        unknown_fields: What to do with a record with a field that does not occur in the first 1,000
            records, within the first MiB: `reject` it, or `ignore` the field.
        layout: How objects are delimited: `auto` detects it at the beginning of a file, `lines`
            (one object, or one array of objects, per line), or `values` (by their structure: over
            several lines, many on one line, in an array over the whole file).
        unfold: The array whose elements become one record each, by its name or path; the fields
            around the array are repeated in each record. The fields of an element are named as if
            it replaced the array: with "readings", they are `readings.time`, `readings.temp` and so
            on.
        encoding: The encoding of the text, a name or label of the WHATWG list, such as
            "windows-1252", "latin1" or "utf-16le"; UTF-8 if not given. A byte order mark of UTF-8
            or UTF-16 at the beginning of a file takes precedence.
        name: Its name in `from_` of stages and sinks.
        order: The order in which records are processed.
        disorder: By how much a record may be out of order and still be sorted in, such as "5m".
        from_: Only records from this time on.
        until: Only records before this time.
        max_rejects: How many records may be rejected before the run fails: a count or a fraction.
        idle_sensors: How long a sensor may be idle, such as "7d", before it is given up.
    """

    kind: ClassVar[str] = "source"
    type: ClassVar[str] = "jsonl"

    def __init__(
        self,
        *,
        path: str | Sequence[str] | None = None,
        follow: bool | None = None,
        sensor_from: str | None = None,
        time: str | Sequence[str] | None = None,
        time_format: str | None = None,
        timezone: str | None = None,
        zones: Mapping[str, str] | None = None,
        start: str | None = None,
        sensor: str | None = None,
        sensor_name: str | None = None,
        measurements: Sequence[str] | None = None,
        types: Mapping[str, Literal["f64", "i64", "u64", "bool", "text"]] | None = None,
        columns: Sequence[str] | None = None,
        rename: Mapping[str, str] | None = None,
        unknown_columns: Literal["error", "null", "ignore"] | None = None,
        unpivot: Mapping[str, Any] | None = None,
        null_values: Sequence[str] | None = None,
        decimal: Literal[".", ","] | None = None,
        thousands: str | None = None,
        unit_suffixes: Mapping[str, str] | None = None,
        units: Mapping[str, str] | None = None,
        true_words: Sequence[str] | None = None,
        false_words: Sequence[str] | None = None,
        unknown_fields: Literal["reject", "ignore"] | None = None,
        layout: Literal["auto", "lines", "values"] | None = None,
        unfold: str | None = None,
        encoding: str | None = None,
        name: str | None = None,
        order: Literal["input", "time", "newest_first"] | None = None,
        disorder: str | None = None,
        from_: str | None = None,
        until: str | None = None,
        max_rejects: float | None = None,
        idle_sensors: str | None = None,
    ) -> None:
        super().__init__(
            path=path,
            follow=follow,
            sensor_from=sensor_from,
            time=time,
            time_format=time_format,
            timezone=timezone,
            zones=zones,
            start=start,
            sensor=sensor,
            sensor_name=sensor_name,
            measurements=measurements,
            types=types,
            columns=columns,
            rename=rename,
            unknown_columns=unknown_columns,
            unpivot=unpivot,
            null_values=null_values,
            decimal=decimal,
            thousands=thousands,
            unit_suffixes=unit_suffixes,
            units=units,
            true_words=true_words,
            false_words=false_words,
            unknown_fields=unknown_fields,
            layout=layout,
            unfold=unfold,
            encoding=encoding,
            name=name,
            order=order,
            disorder=disorder,
            **{"from": from_},
            until=until,
            max_rejects=max_rejects,
            idle_sensors=idle_sensors,
        )


class Parquet(Component):
    """Parquet files: one or many.

    Args:
        path: A file, a glob, a folder, or a list of them; "-" is standard input. Text compressed as
            .gz, .zst, .xz, .bz2 or .lz4 is decompressed. A .zip stands for the files in it,
            "a.zip/x.csv" and "a.zip/*.csv" for some of them. Parquet needs files. A list may end
            with an address from which records keep arriving: "tcp-listen://host:port",
            "tcp://host:port", "udp://host:port", "unix-listen:///path" or "unix:///path". With the
            feature `objects`, an address such as `s3://bucket/year=*/*.csv` stands for files in an
            object store.
        follow: Whether to keep reading files as they grow, and to read new files that match: for
            example rotated logs.
        sensor_from: Where the sensor is in a file's path, if no column has it: "stem" (the name
            without folder and extension), "path" (as written, without extension), or a pattern with
            {sensor} such as "plant-{sensor}-*", "device={sensor}" or "{sensor}/*", which matches
            the end of the path (or, without a slash, one of its names); * matches any part of a
            name. By default, the path from the first wildcard on, without extension.
        time: The column with the event time; without one, records have no time. Several columns,
            such as ["Date", "Time"], are joined with a space to a column called `time`.
        time_format: How times are written: "rfc3339" (ISO 8601 forms such as 2020-07-19T23:06 and
            20200719T230640 too), a strptime pattern such as "%d.%m.%Y %H:%M:%S", "s", "ms", "us" or
            "ns" since 1970 (or since `start`), or days: "excel" (since 1899-12-30, as OLE counts
            them too), "excel1904" (since 1904-01-01), "julian", "mjd" (modified Julian days).
        timezone: The time zone of times without an offset: an IANA name such as "Europe/Berlin",
            with its daylight saving time, or an offset such as "+01:00"; UTC if not given.
        zones: The offsets of time zone abbreviations, such as { CET = "+01:00", CEST = "+02:00" }.
            In a pattern they are %Z.
        start: The start of relative times, such as "2024-01-01T00:00:00Z": "s", "ms", "us" and "ns"
            count from it; times of day ("%H:%M:%S") begin on its day, and a new day begins whenever
            they decrease within a series, even by a second (by more than `disorder`, if that is
            given).
        sensor: The column with the sensor's name; without one, each file is one sensor, named after
            the file. A template of column names in braces, such as "{model}-{id}", composes it of
            several columns, to a column called `sensor`.
        sensor_name: The name of the single sensor of the whole input; instead of `sensor`.
        measurements: The numeric columns, by name or glob; if not given, those that have only
            numbers in the first 1,000 records of the first file, within its first MiB. All other
            columns are carried through as text.
        types: The types of columns, by name or glob, such as { count = "u64", ok = "bool", serial =
            "text" }: "f64", "i64", "u64", "bool" or "text"; the last match wins. A column with a
            type other than "text" is a measurement. By default, numbers in text are "f64", and
            typed columns keep their type. A value that is not of the type is rejected.
        columns: The columns to read, by name or glob such as "T_*", in addition to those that
            `time`, `sensor`, `measurements` and `types` name; all if not given. Other columns are
            ignored, which also saves the time to read them.
        rename: New names for columns, such as { "Temp [°C]" = "temp" }. All other options use the
            new names.
        unknown_columns: What to do if the files of one input have different columns: `error`;
            `null` takes the union of the columns, with null where a file does not have a column;
            `ignore` takes the columns of the first file, with null for missing ones, and ignores
            other columns.
        unpivot: Turns every measurement into a record of its own, whose sensor is named after the
            column: for files with one column per sensor. `sensor` ("{column}") is the sensor's
            name, a template of {column} and {sensor}, the sensor of the wide record; `value`
            ("value") names the column with the values; `nulls` says whether a null makes no record
            (`drop`) or a record with null (`keep`). All have defaults: unpivot = {}.
        null_values: Texts that mean a missing value in times, sensors and measurements, in addition
            to the empty field; carried text is not affected. Numeric ones are compared as numbers:
            with "-999", "-999.0" is missing too.
        decimal: The decimal mark of numbers; in JSON, of numbers in quotes.
        thousands: The separator between groups of three digits, such as "," in 1,234.5; none if not
            given. A space also matches no-break spaces.
        unit_suffixes: The unit that may follow the numbers of a column, by name or glob, such as {
            "T_*" = "°C" }. It is removed, not converted; the last match wins.
        units: The units of measurements, by name or glob, such as { "T_*" = "degC" }: any text,
            which goes with the column; values are never converted. The last match wins; without
            one, the unit is that of the input (`units_row`, metadata of Parquet columns).
        true_words: Words read as 1 in measurements, case-insensitive; ["true"] if not given. If
            given, columns that contain only such words are measurements.
        false_words: Words read as 0, case-insensitive; ["false"] if not given.
        name: Its name in `from_` of stages and sinks.
        order: The order in which records are processed.
        disorder: By how much a record may be out of order and still be sorted in, such as "5m".
        from_: Only records from this time on.
        until: Only records before this time.
        max_rejects: How many records may be rejected before the run fails: a count or a fraction.
        idle_sensors: How long a sensor may be idle, such as "7d", before it is given up.
    """

    kind: ClassVar[str] = "source"
    type: ClassVar[str] = "parquet"

    def __init__(
        self,
        *,
        path: str | Sequence[str] | None = None,
        follow: bool | None = None,
        sensor_from: str | None = None,
        time: str | Sequence[str] | None = None,
        time_format: str | None = None,
        timezone: str | None = None,
        zones: Mapping[str, str] | None = None,
        start: str | None = None,
        sensor: str | None = None,
        sensor_name: str | None = None,
        measurements: Sequence[str] | None = None,
        types: Mapping[str, Literal["f64", "i64", "u64", "bool", "text"]] | None = None,
        columns: Sequence[str] | None = None,
        rename: Mapping[str, str] | None = None,
        unknown_columns: Literal["error", "null", "ignore"] | None = None,
        unpivot: Mapping[str, Any] | None = None,
        null_values: Sequence[str] | None = None,
        decimal: Literal[".", ","] | None = None,
        thousands: str | None = None,
        unit_suffixes: Mapping[str, str] | None = None,
        units: Mapping[str, str] | None = None,
        true_words: Sequence[str] | None = None,
        false_words: Sequence[str] | None = None,
        name: str | None = None,
        order: Literal["input", "time", "newest_first"] | None = None,
        disorder: str | None = None,
        from_: str | None = None,
        until: str | None = None,
        max_rejects: float | None = None,
        idle_sensors: str | None = None,
    ) -> None:
        super().__init__(
            path=path,
            follow=follow,
            sensor_from=sensor_from,
            time=time,
            time_format=time_format,
            timezone=timezone,
            zones=zones,
            start=start,
            sensor=sensor,
            sensor_name=sensor_name,
            measurements=measurements,
            types=types,
            columns=columns,
            rename=rename,
            unknown_columns=unknown_columns,
            unpivot=unpivot,
            null_values=null_values,
            decimal=decimal,
            thousands=thousands,
            unit_suffixes=unit_suffixes,
            units=units,
            true_words=true_words,
            false_words=false_words,
            name=name,
            order=order,
            disorder=disorder,
            **{"from": from_},
            until=until,
            max_rejects=max_rejects,
            idle_sensors=idle_sensors,
        )


class Synthetic(Component):
    """Simulated plant readings, generated from a seed.

    Args:
        records: The number of readings (including those left out by `gaps`).
        sensors: The number of sensors, which read in turn.
        kinds: What the sensors measure, in turn.
        shape: `long`: one value per record; `wide`: one record per unit, with `measurements`
            columns.
        measurements: With `shape = "wide"`: the number of measurements per record, 4,096 at most.
        start: The time of the first reading, in RFC 3339.
        interval: The time between two readings of a sensor, such as "1s".
        seed: Different seeds give different data.
        noise: The strength of the noise: 1 is ordinary, 0 none.
        drift: The rise of values per day, in their unit.
        spikes: The fraction of readings that are far off.
        gaps: The fraction of readings that are left out.
        stuck: The fraction of time in which a sensor repeats its last value.
        nan: The fraction of readings that are NaN.
        nulls: The fraction of readings that are null.
        decimals: Digits after the decimal point, 9 at most.
        spread: Whether the readings of an `interval` are spread evenly over it, in whole
            milliseconds. By default, all sensors read at its beginning.
        jitter: By how much a reading may be late, such as "2ms": a random time below that, in whole
            milliseconds. At most half of `interval`, so that the times of a sensor do not go back.
        swaps: The fraction of pairs of neighbouring sensors that swap their turns, by default 0.
        odd: The fraction of records that are written in another way than the others, by default 0:
            with six decimals in the time, or with values so near zero that their text has an
            exponent.
        name: Its name in `from_` of stages and sinks.
        order: The order in which records are processed.
        disorder: By how much a record may be out of order and still be sorted in, such as "5m".
        from_: Only records from this time on.
        until: Only records before this time.
        max_rejects: How many records may be rejected before the run fails: a count or a fraction.
        idle_sensors: How long a sensor may be idle, such as "7d", before it is given up.
    """

    kind: ClassVar[str] = "source"
    type: ClassVar[str] = "synthetic"

    def __init__(
        self,
        *,
        records: int | None = None,
        sensors: int | None = None,
        kinds: Sequence[Literal["temperature", "pressure", "flow"]] | None = None,
        shape: Literal["long", "wide"] | None = None,
        measurements: int | None = None,
        start: str | None = None,
        interval: str | None = None,
        seed: int | None = None,
        noise: float | None = None,
        drift: float | None = None,
        spikes: float | None = None,
        gaps: float | None = None,
        stuck: float | None = None,
        nan: float | None = None,
        nulls: float | None = None,
        decimals: int | None = None,
        spread: bool | None = None,
        jitter: str | None = None,
        swaps: float | None = None,
        odd: float | None = None,
        name: str | None = None,
        order: Literal["input", "time", "newest_first"] | None = None,
        disorder: str | None = None,
        from_: str | None = None,
        until: str | None = None,
        max_rejects: float | None = None,
        idle_sensors: str | None = None,
    ) -> None:
        super().__init__(
            records=records,
            sensors=sensors,
            kinds=kinds,
            shape=shape,
            measurements=measurements,
            start=start,
            interval=interval,
            seed=seed,
            noise=noise,
            drift=drift,
            spikes=spikes,
            gaps=gaps,
            stuck=stuck,
            nan=nan,
            nulls=nulls,
            decimals=decimals,
            spread=spread,
            jitter=jitter,
            swaps=swaps,
            odd=odd,
            name=name,
            order=order,
            disorder=disorder,
            **{"from": from_},
            until=until,
            max_rejects=max_rejects,
            idle_sensors=idle_sensors,
        )


class Tsv(Component):
    """Tab-separated text: `csv` with the tab as delimiter.

    Args:
        path: A file, a glob, a folder, or a list of them; "-" is standard input. Text compressed as
            .gz, .zst, .xz, .bz2 or .lz4 is decompressed. A .zip stands for the files in it,
            "a.zip/x.csv" and "a.zip/*.csv" for some of them. Parquet needs files. A list may end
            with an address from which records keep arriving: "tcp-listen://host:port",
            "tcp://host:port", "udp://host:port", "unix-listen:///path" or "unix:///path". With the
            feature `objects`, an address such as `s3://bucket/year=*/*.csv` stands for files in an
            object store.
        follow: Whether to keep reading files as they grow, and to read new files that match: for
            example rotated logs.
        sensor_from: Where the sensor is in a file's path, if no column has it: "stem" (the name
            without folder and extension), "path" (as written, without extension), or a pattern with
            {sensor} such as "plant-{sensor}-*", "device={sensor}" or "{sensor}/*", which matches
            the end of the path (or, without a slash, one of its names); * matches any part of a
            name. By default, the path from the first wildcard on, without extension.
        time: The column with the event time; without one, records have no time. Several columns,
            such as ["Date", "Time"], are joined with a space to a column called `time`.
        time_format: How times are written: "rfc3339" (ISO 8601 forms such as 2020-07-19T23:06 and
            20200719T230640 too), a strptime pattern such as "%d.%m.%Y %H:%M:%S", "s", "ms", "us" or
            "ns" since 1970 (or since `start`), or days: "excel" (since 1899-12-30, as OLE counts
            them too), "excel1904" (since 1904-01-01), "julian", "mjd" (modified Julian days).
        timezone: The time zone of times without an offset: an IANA name such as "Europe/Berlin",
            with its daylight saving time, or an offset such as "+01:00"; UTC if not given.
        zones: The offsets of time zone abbreviations, such as { CET = "+01:00", CEST = "+02:00" }.
            In a pattern they are %Z.
        start: The start of relative times, such as "2024-01-01T00:00:00Z": "s", "ms", "us" and "ns"
            count from it; times of day ("%H:%M:%S") begin on its day, and a new day begins whenever
            they decrease within a series, even by a second (by more than `disorder`, if that is
            given).
        sensor: The column with the sensor's name; without one, each file is one sensor, named after
            the file. A template of column names in braces, such as "{model}-{id}", composes it of
            several columns, to a column called `sensor`.
        sensor_name: The name of the single sensor of the whole input; instead of `sensor`.
        measurements: The numeric columns, by name or glob; if not given, those that have only
            numbers in the first 1,000 records of the first file, within its first MiB. All other
            columns are carried through as text.
        types: The types of columns, by name or glob, such as { count = "u64", ok = "bool", serial =
            "text" }: "f64", "i64", "u64", "bool" or "text"; the last match wins. A column with a
            type other than "text" is a measurement. By default, numbers in text are "f64", and
            typed columns keep their type. A value that is not of the type is rejected.
        columns: The columns to read, by name or glob such as "T_*", in addition to those that
            `time`, `sensor`, `measurements` and `types` name; all if not given. Other columns are
            ignored, which also saves the time to read them.
        rename: New names for columns, such as { "Temp [°C]" = "temp" }. All other options use the
            new names.
        unknown_columns: What to do if the files of one input have different columns: `error`;
            `null` takes the union of the columns, with null where a file does not have a column;
            `ignore` takes the columns of the first file, with null for missing ones, and ignores
            other columns.
        unpivot: Turns every measurement into a record of its own, whose sensor is named after the
            column: for files with one column per sensor. `sensor` ("{column}") is the sensor's
            name, a template of {column} and {sensor}, the sensor of the wide record; `value`
            ("value") names the column with the values; `nulls` says whether a null makes no record
            (`drop`) or a record with null (`keep`). All have defaults: unpivot = {}.
        null_values: Texts that mean a missing value in times, sensors and measurements, in addition
            to the empty field; carried text is not affected. Numeric ones are compared as numbers:
            with "-999", "-999.0" is missing too.
        decimal: The decimal mark of numbers; in JSON, of numbers in quotes.
        thousands: The separator between groups of three digits, such as "," in 1,234.5; none if not
            given. A space also matches no-break spaces.
        unit_suffixes: The unit that may follow the numbers of a column, by name or glob, such as {
            "T_*" = "°C" }. It is removed, not converted; the last match wins.
        units: The units of measurements, by name or glob, such as { "T_*" = "degC" }: any text,
            which goes with the column; values are never converted. The last match wins; without
            one, the unit is that of the input (`units_row`, metadata of Parquet columns).
        true_words: Words read as 1 in measurements, case-insensitive; ["true"] if not given. If
            given, columns that contain only such words are measurements.
        false_words: Words read as 0, case-insensitive; ["false"] if not given.
        delimiter: The byte between fields, such as ",", ";", "|" or "\\t"; "blanks" for any number
            of spaces and tabs.
        widths: The widths of the fields, in characters, for fixed-width text; instead of a
            delimiter. There are no quotes then. Text after the last field is one more field.
        quote: The byte around fields that contain delimiters, quotes or line ends; "" if there is
            none.
        comment: The byte that begins a comment line; no comments if not given.
        header: Whether the first record contains the column names.
        names: The column names, in order: required without a header. With a header, it must have
            the same names, in any order.
        skip_lines: The number of lines to skip at the beginning of each file.
        header_row: The line with the column names, counted from 1 in each file; lines before it are
            skipped.
        units_row: The line below the header with the units of the columns; it is not a record.
        data_row: The line of the first record; lines between the header and it are skipped.
        ragged: What to do with a record with too few or too many fields: `reject` it; `trim`
            removes surplus empty fields at its end; `fill` reads missing fields as null; `cut`
            removes surplus fields, whatever they contain; `fit` does both `fill` and `cut`.
        encoding: The encoding of the text, a name or label of the WHATWG list, such as
            "windows-1252", "latin1" or "utf-16le"; UTF-8 if not given. A byte order mark of UTF-8
            or UTF-16 at the beginning of a file takes precedence.
        name: Its name in `from_` of stages and sinks.
        order: The order in which records are processed.
        disorder: By how much a record may be out of order and still be sorted in, such as "5m".
        from_: Only records from this time on.
        until: Only records before this time.
        max_rejects: How many records may be rejected before the run fails: a count or a fraction.
        idle_sensors: How long a sensor may be idle, such as "7d", before it is given up.
    """

    kind: ClassVar[str] = "source"
    type: ClassVar[str] = "tsv"

    def __init__(
        self,
        *,
        path: str | Sequence[str] | None = None,
        follow: bool | None = None,
        sensor_from: str | None = None,
        time: str | Sequence[str] | None = None,
        time_format: str | None = None,
        timezone: str | None = None,
        zones: Mapping[str, str] | None = None,
        start: str | None = None,
        sensor: str | None = None,
        sensor_name: str | None = None,
        measurements: Sequence[str] | None = None,
        types: Mapping[str, Literal["f64", "i64", "u64", "bool", "text"]] | None = None,
        columns: Sequence[str] | None = None,
        rename: Mapping[str, str] | None = None,
        unknown_columns: Literal["error", "null", "ignore"] | None = None,
        unpivot: Mapping[str, Any] | None = None,
        null_values: Sequence[str] | None = None,
        decimal: Literal[".", ","] | None = None,
        thousands: str | None = None,
        unit_suffixes: Mapping[str, str] | None = None,
        units: Mapping[str, str] | None = None,
        true_words: Sequence[str] | None = None,
        false_words: Sequence[str] | None = None,
        delimiter: str | None = None,
        widths: Sequence[int] | None = None,
        quote: str | None = None,
        comment: str | None = None,
        header: bool | None = None,
        names: Sequence[str] | None = None,
        skip_lines: int | None = None,
        header_row: int | None = None,
        units_row: int | None = None,
        data_row: int | None = None,
        ragged: Literal["reject", "trim", "fill", "cut", "fit"] | None = None,
        encoding: str | None = None,
        name: str | None = None,
        order: Literal["input", "time", "newest_first"] | None = None,
        disorder: str | None = None,
        from_: str | None = None,
        until: str | None = None,
        max_rejects: float | None = None,
        idle_sensors: str | None = None,
    ) -> None:
        super().__init__(
            path=path,
            follow=follow,
            sensor_from=sensor_from,
            time=time,
            time_format=time_format,
            timezone=timezone,
            zones=zones,
            start=start,
            sensor=sensor,
            sensor_name=sensor_name,
            measurements=measurements,
            types=types,
            columns=columns,
            rename=rename,
            unknown_columns=unknown_columns,
            unpivot=unpivot,
            null_values=null_values,
            decimal=decimal,
            thousands=thousands,
            unit_suffixes=unit_suffixes,
            units=units,
            true_words=true_words,
            false_words=false_words,
            delimiter=delimiter,
            widths=widths,
            quote=quote,
            comment=comment,
            header=header,
            names=names,
            skip_lines=skip_lines,
            header_row=header_row,
            units_row=units_row,
            data_row=data_row,
            ragged=ragged,
            encoding=encoding,
            name=name,
            order=order,
            disorder=disorder,
            **{"from": from_},
            until=until,
            max_rejects=max_rejects,
            idle_sensors=idle_sensors,
        )
