"""The command line, a file a command. All terminal output is here."""
