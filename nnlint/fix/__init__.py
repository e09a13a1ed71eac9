"""Automatic fixes: what a rule proposes becomes edits of the user's files, and the edits become files. See docs/fixes.md."""
