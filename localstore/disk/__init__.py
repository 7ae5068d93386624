"""The files of a store: names, system calls, locks, journals, node files. No rule of the contract lives here."""
