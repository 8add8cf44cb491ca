"""Checks of arguments, metrics, devices, threads, names."""
