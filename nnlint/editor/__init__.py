"""The language server: findings in an editor, as the text is typed. Needs the packages of `nnlint[lsp]`."""
