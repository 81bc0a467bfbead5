"""The console: a screen on which sessions are listed, selected and revoked. Needs the extra `authctl[console]` (Textual).

Only the command `authctl console` imports it. It does nothing that the command line cannot do.
"""
