-- The schema of a PostgreSQL data source.

-- migration 1, readable by 1
