"""The commands: each parses, calls one use case, and shows the result. The path is the command."""
