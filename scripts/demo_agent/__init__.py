"""The demonstration: a recorded agent session played through a store, with workers that are killed on the way."""
