"""Routes of accounts, and of the journal, whose models live in `events`, which knows no accounts."""
