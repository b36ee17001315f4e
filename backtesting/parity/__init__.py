"""The parity meter: what a bot did on a day, against a replay of that day, and why they differ."""
