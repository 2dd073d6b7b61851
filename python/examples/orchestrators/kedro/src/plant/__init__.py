"""A pipeline as a node of Kedro: `kedro run --params day=2026-01-31,folder=..`."""
