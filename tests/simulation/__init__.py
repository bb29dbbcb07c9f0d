"""The pipeline's own code in a world where everything outside it is simulated, time included."""
