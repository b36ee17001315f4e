"""How times are written on pages; a package because Django looks for one per language."""
