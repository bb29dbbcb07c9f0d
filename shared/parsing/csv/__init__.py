"""CSV files: encoding, dialect, header, and rows with their line numbers."""
