"""What runs inside the user's process: the entry, the guard over their files, and the probe that watches torch."""
