"""The connection to MongoDB: how a query is sent, alone, together with others of the same turn, or inside a transaction."""
