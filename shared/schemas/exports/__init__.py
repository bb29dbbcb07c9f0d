"""Which types of export file there are: one module each, called as its files are, with its table.

The folder is the list. `shared.names` reads it without importing anything from it, and
`shared.schemas` imports every module that lies in it.
"""
