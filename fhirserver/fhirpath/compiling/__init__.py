"""Compiling: a tree to closures, by what the definitions say of each step. What runs stands in `runtime`, not here."""
