"""Rules for nnlint, one file each."""
