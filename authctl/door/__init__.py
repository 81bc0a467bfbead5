"""The door: applications and proxies ask about tokens by HTTP (`authctl serve`).

RFC 7662 (introspection), RFC 7009 (revocation), the refresh grant of RFC 6749, and forward-auth for proxies. The extra
`authctl[serve]` has the server; the application itself (`application.Door`) is a plain ASGI callable.
"""
