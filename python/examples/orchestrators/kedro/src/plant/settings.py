"""Settings of the project: it has one environment."""

CONFIG_LOADER_ARGS = {"base_env": "base", "default_run_env": "base"}
