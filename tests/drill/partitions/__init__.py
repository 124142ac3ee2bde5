"""A fleet on several hosts, which are network namespaces on one wire, and what happens when that wire is cut."""
