"""`buildhook simulator`: a GitHub to play with, on this machine."""
