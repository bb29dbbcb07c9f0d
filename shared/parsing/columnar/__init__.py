"""Conversion of rows to contents of documents, one column of many rows at a time."""
