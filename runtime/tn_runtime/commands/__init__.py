"""tn-run: one file a command, and the jobs behind them."""
