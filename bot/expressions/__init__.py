"""Expressions of a pipeline file (`${{ … }}`), as GitHub Actions has them: read by a grammar, evaluated without effect.

`syntax` turns text into a tree, `evaluate` gives its value, `templates` does both for text with expressions in it, and
`origins` tells what of a value comes from outside. A tree is made of tuples of plain values alone, and `evaluate`,
`names`, `templates` and `values` need nothing but the standard library: so the supervisor of a job can take them too.

https://docs.github.com/en/actions/reference/workflows-and-actions/expressions
"""
