"""Where the nodes of a sweep are done: in processes of this machine, or in jobs of a cluster."""
