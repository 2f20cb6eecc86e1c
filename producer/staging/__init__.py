"""Where a source's rows stand between being read, once, and being published: a DuckDB file, every value as written."""
