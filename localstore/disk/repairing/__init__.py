"""The repair of a store: what another copy proves is made good, the rest goes to a quarantine. Nothing is deleted."""
