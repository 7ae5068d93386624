"""The benchmark: this package against a tuned SQLite doing the same, against queues on SQLite, and the bare floor."""
