"""Which devices a run trains on: one, several of a machine, or a cluster's."""
