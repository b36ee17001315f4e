"""Named writes: what a pass writes, what people settle, and claims of foreign positions."""
