"""The layout of the database: collections and indexes, what is stored beside a text so that one index serves, and how it is made again."""
