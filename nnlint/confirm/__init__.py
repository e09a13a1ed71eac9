"""Running the user's script under the probe, and the verdicts that come of it."""
