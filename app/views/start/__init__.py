"""Start: the question, one moving picture, and the doors to the other pages."""
