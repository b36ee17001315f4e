"""The gateway to OANDA's v20 REST interface, and its price stream."""
