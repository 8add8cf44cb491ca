"""Training: the small networks, the digits data and the loop that adapts them."""
