"""What leaves the site as a file: statements, deals, cycles and equity as tables, and their charts."""
