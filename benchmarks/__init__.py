"""How fast, how small and how cheap the pipeline is; `make bench` measures it."""
