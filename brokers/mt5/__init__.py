"""The gateway to anything with the MetaTrader5 module's surface: the real module, the simulator."""
