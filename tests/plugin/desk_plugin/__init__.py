"""Strategies of somebody else, installed beside the site."""
