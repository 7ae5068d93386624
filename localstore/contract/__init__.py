"""What every backend promises: the errors, the records and the abstract base."""
