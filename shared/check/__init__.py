"""Checking export files offline, by the loader's own rules."""
