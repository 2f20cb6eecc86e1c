-- Put before every script, behind the prelude: what a fact makes of a key's value. Each returns the value after it.
-- `sent` stands over everything but SES's word that it dropped that attempt, `uncertain` over what is not better known and
-- not another attempt's.
local function with_record(value, what, text, attempt)
  local mine = (string.match(value, '^A(.-):%d+$') or string.match(value, '^U(.+)$')) == attempt
  local sent = what == 's' and string.sub(value, 1, 1) ~= 's' and string.match(value, '^R([^:]+)') ~= attempt
  if sent or (what == 'u' and (value == '' or mine)) then return what .. text end
  return value
end
-- SES's word that it accepted the attempt's message and dropped it. `follows`: what follows the attempt's name; `message`,
-- `long`: the message's id in both forms.
local function with_drop(value, attempt, follows, message, long)
  local holder = string.match(value, '^[AB](.-):%d+$') or string.match(value, '^[UuR]([^:]+)') or string.match(value, '^s.-:(.+)$')
  -- Of several open intents one was called for: SES's word tells which.
  local named = not holder
  for _, name in ipairs(attempts_in(holder)) do named = named or name == attempt end
  local told = string.match(value, '^S(.*):[^:]*$') or string.sub(value, 2)
  local another = not named or (string.sub(value, 1, 1) == 'S' and told ~= message and told ~= long)
  if another or value == 'R' .. attempt then return value end
  return 'R' .. attempt .. follows
end
-- An attempt was certainly not sent, or never called: it leaves the claim or the bar. `overrides`: what a resend was granted
-- over, which its claim hid; when the last one goes the key is in doubt again, or free.
local function without(value, attempt, overrides)
  local state, holder, since = string.match(value, '^([AB])(.-):(%d+)$')
  local others, mine = {}, false
  for _, name in ipairs(attempts_in(holder)) do
    if name == attempt then mine = true else others[#others + 1] = name end
  end
  if not mine then return value end
  if #others > 0 then return state .. joined(others) .. ':' .. since end
  return overrides ~= '' and 'u' .. overrides or ''
end
-- Writes what became of a key's value; one that is empty now leaves nothing behind.
local function exchange(bucket, user, before, after)
  if after == '' and before ~= '' then
    redis.call('HDEL', bucket, user)
  elseif after ~= before then
    put(bucket, user, after)
  end
end
-- A record ended without a mail, unless the key knows better.
local function with_close(value, ended, ended_at, attempt)
  local mine = attempt ~= '' and string.match(value, '^[AB](.-):%d+$') == attempt
  if value == '' or mine or closed_by_older(value, ended, ended_at) then return 'D' .. ended .. ':' .. ended_at end
  return value
end
