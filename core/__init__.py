"""What every other package stands on: clock, ids, numbers, outcomes. No Django, no I/O."""
