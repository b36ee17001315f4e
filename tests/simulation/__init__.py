"""Whole accounts in virtual time: one seed drives market, faults and crashes; checkers apart from the product judge."""
