-- Requests ready to be sent, taken in turn from the file that BENCH_REQUESTS names (one a line: method, path, authorization, body,
-- separated by tabs, empty ones as "-"); what came of them as one line of JSON. Where BENCH_KEEP names a file, the access tokens of the
-- answers are written there, one a line. With BENCH_PAUSE each connection rests so many milliseconds after an answer.

local ready, turn = {}, 0

function init()
    for line in io.lines(os.getenv("BENCH_REQUESTS")) do
        local method, path, authorization, body = line:match("^([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)$")
        local headers = {}
        if authorization ~= "-" then headers["Authorization"] = authorization end
        if body == "-" then body = nil else headers["Content-Type"] = "application/x-www-form-urlencoded" end
        ready[#ready + 1] = wrk.format(method, path, headers, body)
    end
end

if os.getenv("BENCH_KEEP") then
    local kept
    function response(_, _, body)
        if not kept then
            kept = io.open(os.getenv("BENCH_KEEP"), "a")
            kept:setvbuf("line")
        end
        local token = body:match('"access_token":%s*"([^"]+)"')
        if token then kept:write(token, "\n") end
    end
end

local pause = tonumber(os.getenv("BENCH_PAUSE"))
if pause then
    function delay() return pause end
end

function request()
    turn = turn % #ready + 1
    return ready[turn]
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '\nRESULT {"requests": %d, "seconds": %f, "p50_us": %d, "p99_us": %d, "refused": %d, "broken": %d}\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99), errors.status,
        errors.connect + errors.read + errors.write + errors.timeout))
end
