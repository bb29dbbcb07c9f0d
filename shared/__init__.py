"""Everything the functions have in common."""
