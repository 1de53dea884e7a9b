"""The pipeline file: text in, a plan or precise problems out. Pure: no I/O, no clock, no randomness."""
