"""The deployed functions, one module each."""
