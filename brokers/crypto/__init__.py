"""The gateway to exchanges through ccxt: swaps in one currency, one netted position a symbol."""
