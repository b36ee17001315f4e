"""Paper: the prices of a real account, and trades that happen in a simulated terminal only."""
