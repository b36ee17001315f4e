"""Everything that speaks to a broker: the port, its value types, and one folder per broker."""
