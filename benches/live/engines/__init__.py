"""The same pipeline by others: from standard input to standard output, a module each."""
