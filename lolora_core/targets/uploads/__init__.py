"""Files that a visitor brings, one module a kind."""
