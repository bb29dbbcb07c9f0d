"""Large files, loaded in shards by several tasks at once."""
