"""Decoding by shape: how the time of a row depends on how a file is written, beside Polars."""
