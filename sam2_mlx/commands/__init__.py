"""What the commands share: arguments, errors, signals, the work itself."""
