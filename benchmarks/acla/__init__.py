"""Does the prompt optimizer find what is there, at what price, and may its answer be trusted? Peers: `benchmarks.acla_peers`."""
