"""A simulated MetaTrader 5 terminal: the module's surface, a broker's rules, one state file an account, no network."""
