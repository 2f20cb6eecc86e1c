-- Who the server is, and what its set is worth. KEYS: marker.
-- ARGV: lineage, and the highest number of grants that is known of it.
-- Returns the run id, whose set it is, its lineage, and 1 when it is whole under that on this very server.
local held, run = marked(KEYS[1]), run_id()
local seen = held.lineage == ARGV[1] and tonumber(ARGV[2]) or 0
return { run, held.installation or '', held.lineage or '', is_whole_here(held, seen) and 1 or 0 }
