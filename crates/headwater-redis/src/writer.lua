-- Begins each script of the writer. KEYS: meta, the names of what is staged. ARGV: epoch, token, commits, staged.
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'token', 'commits', 'staged')
if meta[1] ~= ARGV[1] or meta[2] ~= ARGV[2] then
  if tonumber(meta[1] or '0') >= tonumber(ARGV[1]) then
    return 'fenced'
  end
  return 'behind'
end
if meta[3] ~= ARGV[3] or meta[4] ~= ARGV[4] then
  return 'behind'
end

local at = 5
local function take()
  at = at + 1
  return ARGV[at - 1]
end

-- A command over so many arguments, in parts that fit on Lua's stack.
local function each(command, key, count)
  local last = at + count - 1
  while at <= last do
    local to = math.min(at + 1999, last)
    redis.call(command, key, unpack(ARGV, at, to))
    at = to + 1
  end
end

local function drop(index, from, to)
  for _, bucket in ipairs(redis.call('ZRANGEBYLEX', index, from, to)) do
    redis.call('UNLINK', index .. ':' .. bucket)
    redis.call('ZREM', index, bucket)
  end
end

