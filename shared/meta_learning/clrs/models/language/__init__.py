"""A causal language model that learns from scalar feedback: frozen base weights, a small adapter, and a calibration."""
