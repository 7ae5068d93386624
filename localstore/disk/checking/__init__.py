"""The checks of a store: one module a kind of file, one function an invariant. Nothing here writes."""
