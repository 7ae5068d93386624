"""The rules of the contract, pure: `decide` functions turn state and a request into events, `apply` events into state.

Nothing here does I/O or asks for the time. What is looked up comes through the `Archive` protocol; the time, fresh ids
and verdicts on whether a process is dead come in as a `Moment`. The in-memory store is this machine alone; the file
store is this machine with a journal and files.
"""
