"""Checking export files before they are sent: offline, by the loader's own rules."""
