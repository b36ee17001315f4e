"""Trade copy between own accounts: what a provider's positions are to a subscriber's bot, and what came of each."""
