"""Ten thousand connections that say nothing, beside one that does; a million new sensors in a minute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from live import latency
from live.run import Setting

SILENT = 9_999
"""With the one that sends: as many as tidemill takes at once."""

NEW = 1_000_000
NEW_WINDOW = 16
"""The window for which a limit of memory is set."""

LIMIT = 320 << 20
"""That limit, of `RssAnon`."""

MINUTE = 60


def measure(setting: Setting, loader: Path, seconds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """The latency of the one that sends, and the memory of either."""
    silent = latency.once(setting, loader, seconds, silent=SILENT)
    say(f"{SILENT} silent connections: {silent['latency_ms']}, {silent['rss_anon_peak'] / 2**20:.1f} MiB")
    rate = -(-NEW // MINUTE)
    new = latency.once(replace(setting, window=NEW_WINDOW), loader, MINUTE, warm_up=0, rate=rate, sensors=NEW)
    say(f"{NEW} new sensors: {new['latency_ms']}, {new['rss_anon_peak'] / 2**20:.1f} MiB")
    return {"threads": setting.threads, "silent": silent, "new_sensors": new}
