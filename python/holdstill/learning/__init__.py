"""A dictionary from a sample: which frames, RASL on them, what it says of other frames."""
