"""Rules, their state, and who hears of it."""
