"""Alerts from outside (TradingView and the like): signed webhooks, checked, approved where wanted, traded by a bot."""
