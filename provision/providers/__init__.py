"""Dynamic providers, one module a resource.

The state of every stack refers to these classes by module and name: neither may change.
"""
