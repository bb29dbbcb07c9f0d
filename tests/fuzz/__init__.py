"""What must hold for any name and for any file, and how inputs are found that break it."""
