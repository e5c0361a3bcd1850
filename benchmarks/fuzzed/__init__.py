"""What `benchmarks/fuzz.py` gives bytes to: a target for each kind of thing that strangers hand to this package."""
