"""Search for hyper-parameters: what may be varied, which trials come next, and what came of them."""
