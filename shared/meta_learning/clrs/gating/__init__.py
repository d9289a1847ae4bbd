"""May a candidate take over? The cycle as arrays, the paired evidence, and one pure function a gate."""
