"""A module for each figure."""
