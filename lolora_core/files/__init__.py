"""Bytes from outside: headers, tensors, pickles refused, whole-or-nothing writes."""
