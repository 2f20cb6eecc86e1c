-- The server's run id, or nothing where it is not told.
return run_id()
