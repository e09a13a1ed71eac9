"""The rules, one file each. Packaged and imported as `nnlint.rules`."""
