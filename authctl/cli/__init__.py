"""The commands: each parses, calls one use case, and shows what came back. The path is the command."""
