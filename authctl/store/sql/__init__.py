"""SQL text that every database behind a store can share: filters, orders, pages, counts, continuity and deadlines.

No word of one database stands here. Text that databases write differently comes from a `Dialect`; the parts that only one of them has
(full-text search, settings of a connection, a file) stays in the package of that store. Parameters are written `:name`.
"""
