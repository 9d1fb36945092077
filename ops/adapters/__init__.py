"""One module per outside system. No library's type and no library's exception leaves an adapter."""
