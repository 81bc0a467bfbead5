"""The views and changes of a store by noun, over any database whose words a `Dialect` gives.

Each class has the methods of one small protocol. A store puts them together, and adds the methods that only its database has.
"""
