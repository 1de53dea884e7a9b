"""`buildhook demo`: the main job, end to end, with no account."""
