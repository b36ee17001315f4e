"""The gateway to a JForex bridge, which speaks docs/jforex.md, and its price stream."""
