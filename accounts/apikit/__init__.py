"""What every route of the API shares: who asks, what is well-formed, whose rows they may see, and how errors look."""
