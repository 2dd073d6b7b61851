"""Writes `sources.py`, `stages.py` and `sinks.py` from the schemas of the engine's components: `python generate.py [--check]`."""

from __future__ import annotations

import keyword
import sys
import textwrap
from collections.abc import Iterable
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGE = Path(__file__).parent / "package" / "tidemill"
TITLES = {"source": "Sources", "stage": "Stages", "sink": "Sinks"}
NAMES = {"csv": "Csv", "tsv": "Tsv", "jsonl": "JsonLines"}


def native() -> ModuleType:
    """The native module alone: the package needs the files that are written here."""
    package = util.find_spec("tidemill")
    folders = package.submodule_search_locations if package else None
    spec = util.spec_from_file_location("_native", next(Path(folder) / "_native.abi3.so" for folder in folders or []))
    if spec is None or spec.loader is None:
        raise ImportError("tidemill is not built")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> int:
    outdated = [path.name for path, text in modules().items() if not written(path, text)]
    for name in outdated:
        print(f"{name} is out of date: run python/generate.py", file=sys.stderr)
    return 1 if outdated else 0


def written(path: Path, text: str) -> bool:
    if "--check" in sys.argv:
        return path.read_text() == text
    path.write_text(text)
    return True


def modules() -> dict[Path, str]:
    components = [component for component in native().components() if component["type"] != "python"]
    return {PACKAGE / f"{kind}s.py": module(kind, [component for component in components if component["kind"] == kind]) for kind in TITLES}


def module(kind: str, components: list[dict[str, Any]]) -> str:
    classes = sorted(class_name(component["type"]) for component in components)
    listed = "".join(f'    "{name}",\n' for name in classes)
    head = f'''"""{TITLES[kind]} of the engine, by name. Written by `generate.py` from their schemas: docs/reference.md has the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from .component import Component

__all__ = [
{listed}]
'''
    return head + "".join(described(component) for component in components)


def class_name(name: str) -> str:
    return NAMES.get(name) or "".join(part.capitalize() for part in name.split("_"))


def described(component: dict[str, Any]) -> str:
    options = options_of(component)
    summary = component["help"][0].upper() + component["help"][1:].rstrip(".") + "."
    arguments = "".join(argument(name, option) for name, option in options)
    documents = "".join(documented(name, option) for name, option in options)
    passed = "".join(f"            {key(name)},\n" for name, _ in options)
    init = f"    def __init__(\n        self,\n        *,\n{arguments}    ) -> None:\n        super().__init__(\n{passed}        )\n"
    if not options:
        init = "    def __init__(self) -> None:\n        super().__init__()\n"
    args = f"\n    Args:\n{documents}" if options else "\n"
    return f'''

class {class_name(component["type"])}(Component):
    """{summary}
{args}    """

    kind: ClassVar[str] = "{component["kind"]}"
    type: ClassVar[str] = "{component["type"]}"

{init}'''


def options_of(component: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The options of a component: those of its own, then those that all of its kind have."""
    options: dict[str, dict[str, Any]] = {}
    for schema in component["schemas"]:
        definitions = schema.get("$defs", {})
        for name, option in schema.get("properties", {}).items():
            options.setdefault(name, {**option, "$defs": definitions})
    for name, option in COMMON[component["kind"]].items():
        options.setdefault(name, option)
    return list(options.items())


TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
COMMON: dict[str, dict[str, dict[str, Any]]] = {
    "source": {
        "name": {"type": "string", "description": "Its name in `from_` of stages and sinks."},
        "order": {"enum": ["input", "time", "newest_first"], "description": "The order in which records are processed."},
        "disorder": {"type": "string", "description": 'By how much a record may be out of order and still be sorted in, such as "5m".'},
        "from": {"type": "string", "description": "Only records from this time on."},
        "until": {"type": "string", "description": "Only records before this time."},
        "max_rejects": {"type": "number", "description": "How many records may be rejected before the run fails: a count or a fraction."},
        "idle_sensors": {"type": "string", "description": 'How long a sensor may be idle, such as "7d", before it is given up.'},
    },
    "stage": {
        "name": {"type": "string", "description": "Its name in `from_` of later parts."},
        "from": {**TEXTS, "description": "The parts that feed it; by default, the one before it."},
    },
    "sink": {
        "sensors": {"type": "array", "items": {"type": "string"}, "description": "The sensors that it receives, by name or glob."},
        "from": {**TEXTS, "description": "The parts that feed it; by default, the last stage."},
        "on_failure": {"enum": ["stop", "wait", "drop"], "description": "What happens after a failure."},
        "retry": {"type": "object", "description": "For a server or database: when a delivery that has failed is tried again."},
        "breaker": {"type": "object", "description": "For a server or database: when one that is down is not called."},
        "outbox": {"type": "string", "description": 'For a server or database: how much may wait for it, such as "8GiB".'},
        "delivery": {"enum": ["exactly_once", "at_least_once"], "description": "The guarantee that its output must have, with a state folder."},
    },
}


def safe(name: str) -> str:
    return f"{name}_" if keyword.iskeyword(name) else name


def argument(name: str, option: dict[str, Any]) -> str:
    return f"        {safe(name)}: {hint(option, option.get('$defs', {}))} | None = None,\n"


def key(name: str) -> str:
    return f'**{{"{name}": {safe(name)}}}' if keyword.iskeyword(name) else f"{name}={name}"


def documented(name: str, option: dict[str, Any]) -> str:
    text = " ".join(option.get("description", "").replace("\\", "\\\\").replace('"""', "'''").split())
    line = f"{safe(name)}: {text}".rstrip(": ")
    return textwrap.fill(line, 100, initial_indent=" " * 8, subsequent_indent=" " * 12, break_long_words=False) + "\n"


def hint(option: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in option:
        return hint(definitions.get(option["$ref"].rsplit("/", 1)[-1], {}), definitions)
    if "const" in option:
        return f"Literal[{option['const']!r}]".replace("'", '"')
    if "enum" in option:
        return "Literal[" + ", ".join(f'"{value}"' for value in option["enum"] if value is not None) + "]"
    for several in ("anyOf", "oneOf", "allOf"):
        if several in option:
            return joined(hint(one, definitions) for one in option[several] if one.get("type") != "null")
    kind = option.get("type")
    if isinstance(kind, list):
        return joined(hint({**option, "type": one}, definitions) for one in kind if one != "null")
    if kind == "array":
        return f"Sequence[{hint(option.get('items', {}), definitions)}]"
    if kind == "object":
        values = option.get("additionalProperties")
        return f"Mapping[str, {hint(values, definitions) if isinstance(values, dict) else 'Any'}]"
    return {"string": "str", "number": "float", "integer": "int", "boolean": "bool"}.get(str(kind), "Any")


def joined(hints: Iterable[str]) -> str:
    """The union of types; several literals become one."""
    literals, others = [], []
    for one in dict.fromkeys(hints):
        if one.startswith("Literal["):
            literals.append(one.removeprefix("Literal[").removesuffix("]"))
        else:
            others.append(one)
    if literals:
        others.insert(0, f"Literal[{', '.join(literals)}]")
    return " | ".join(others) or "Any"


if __name__ == "__main__":
    sys.exit(main())
