"""What every program of ours runs on: settings, errors and their exit codes, logs, traces, and how all of it ends."""
