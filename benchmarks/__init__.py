"""What supercompat adds to a run, measured. `python -m benchmarks --help`; docs/performance.md says how to read it."""
