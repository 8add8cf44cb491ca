"""The page Theory: statements with their proofs, checked live."""
