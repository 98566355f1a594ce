"""The walk from a recipe to a served classifier, a file a step, left to right.

photos -> prepare -> train_and_validate -> evaluate -> export -> report, which `run` calls in that order;
`compare` walks several recipes over several seeds, `cross_validate` one over several folds.
"""
