-- Requests ready to be sent, taken in turn from the file that BENCH_REQUESTS names (one a line: method, path, authorization, body and
-- perhaps a cookie, separated by tabs, empty ones as "-"); what came of them as one line of JSON. Where BENCH_KEEP names a file, what the
-- pattern BENCH_FIND finds in each answer (where it sends the browser, or its body) is written there, one a line; by default that is the
-- access token. With BENCH_PAUSE each connection rests so many milliseconds after an answer.

local ready, turn, threads = {}, 0, {}
-- How many requests were taken from the file, the ones that were taken again counted again.
taken = 0

function setup(thread) threads[#threads + 1] = thread end

function init()
    for line in io.lines(os.getenv("BENCH_REQUESTS")) do
        local method, path, authorization, body, cookie = line:match("^([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t?([^\t]*)$")
        local headers = {}
        if authorization ~= "-" then headers["Authorization"] = authorization end
        if cookie ~= "" then headers["Cookie"] = cookie end
        if body == "-" then body = nil else headers["Content-Type"] = "application/x-www-form-urlencoded" end
        ready[#ready + 1] = wrk.format(method, path, headers, body)
    end
end

if os.getenv("BENCH_KEEP") then
    local kept
    local find = os.getenv("BENCH_FIND") or '"access_token":%s*"([^"]+)"'
    function response(_, headers, body)
        if not kept then
            kept = io.open(os.getenv("BENCH_KEEP"), "a")
            kept:setvbuf("line")
        end
        local found = (headers["location"] or body):match(find)
        if found then kept:write(found, "\n") end
    end
end

local pause = tonumber(os.getenv("BENCH_PAUSE"))
if pause then
    function delay() return pause end
end

function request()
    turn = turn % #ready + 1
    taken = taken + 1
    return ready[turn]
end

function done(summary, latency)
    local errors, all = summary.errors, 0
    for _, thread in ipairs(threads) do all = all + thread:get("taken") end
    io.write(string.format(
        '\nRESULT {"requests": %d, "seconds": %f, "p50_us": %d, "p99_us": %d, "refused": %d, "broken": %d, "taken": %d}\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99), errors.status,
        errors.connect + errors.read + errors.write + errors.timeout, all))
end
