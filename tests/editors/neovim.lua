-- Neovim as a client of `portcullis lsp`: opens policies, and asks for everything that an editor asks for.
--
--     nvim --headless -u NONE -i NONE -n -l neovim.lua     (or `-c 'luafile neovim.lua'` where there is no `-l`)
--
-- FOLDER is the configuration folder; SERVER the command, its words with spaces between. Written for Neovim 0.7 and later.

local folder = os.getenv("FOLDER")
local command = vim.split(os.getenv("SERVER"), " ")

local function say(text)
  io.stdout:write(text .. "\n")
end

local function fail(text)
  say("FAILED: " .. text)
  vim.cmd("cquit 1")
end

local function expect(what, holds, found)
  if not holds then
    fail(what .. ": " .. vim.inspect(found))
    error("failed")
  end
  say("ok: " .. what)
end

-- What the server has told of each version of each file.
local told = {}
local show = vim.lsp.handlers["textDocument/publishDiagnostics"]
vim.lsp.handlers["textDocument/publishDiagnostics"] = function(err, result, context, config)
  if result.version then
    told[result.uri] = { version = result.version, diagnostics = result.diagnostics }
  end
  return show(err, result, context, config)
end

local ready = false
local client_id = vim.lsp.start_client({
  name = "portcullis",
  cmd = command,
  root_dir = folder,
  on_init = function()
    ready = true
  end,
})
vim.wait(20000, function()
  return ready
end, 5)
expect("the server is ready", ready)
local client = vim.lsp.get_client_by_id(client_id)

local function open(path)
  vim.cmd("edit " .. folder .. "/" .. path)
  local buffer = vim.api.nvim_get_current_buf()
  vim.bo[buffer].filetype = "toml"
  vim.lsp.buf_attach_client(buffer, client_id)
  return buffer
end

local function version(buffer)
  -- Later versions number a buffer's changes by `changedtick`.
  return (vim.lsp.util.buf_versions or {})[buffer]
end

-- Waits until the server has told of the text as it is now; its messages.
local function diagnostics(buffer)
  local uri = vim.uri_from_bufnr(buffer)
  local there = vim.wait(20000, function()
    return told[uri] ~= nil and (version(buffer) == nil or told[uri].version == version(buffer))
  end, 5)
  expect("diagnostics of " .. uri:match("[^/]*$"), there, told[uri])
  local codes = {}
  for _, diagnostic in ipairs(told[uri].diagnostics) do
    table.insert(codes, diagnostic.code .. " " .. diagnostic.range.start.line .. ":" .. diagnostic.range.start.character)
  end
  return table.concat(codes, ", ")
end

local function ask(buffer, method, params)
  local answer, why = client.request_sync(method, params, 20000, buffer)
  expect(method .. " is answered", answer and not answer.err, why or (answer and answer.err))
  return answer.result
end

-- The place behind this text.
local function behind(buffer, text)
  for number, line in ipairs(vim.api.nvim_buf_get_lines(buffer, 0, -1, false)) do
    local _, last = line:find(text, 1, true)
    if last then
      return {
        textDocument = { uri = vim.uri_from_bufnr(buffer) },
        position = { line = number - 1, character = vim.str_utfindex and select(2, vim.str_utfindex(line, last)) or last },
      }
    end
  end
  fail("no `" .. text .. "` in the buffer")
end

local function write(buffer, from, to)
  for number, line in ipairs(vim.api.nvim_buf_get_lines(buffer, 0, -1, false)) do
    local first, last = line:find(from, 1, true)
    if first then
      vim.api.nvim_buf_set_text(buffer, number - 1, first - 1, number - 1, last, vim.split(to, "\n"))
      return
    end
  end
  fail("no `" .. from .. "` in the buffer")
end

local function labels(result)
  local found = {}
  for _, item in ipairs(result.items or result) do
    found[item.label] = item
  end
  return found
end

local function main()
  local orders = open("policies/orders.toml")
  expect("the policy is right", diagnostics(orders) == "", told)

  -- A misspelt chain, behind characters that count twice.
  write(orders, 'GET = "read"', 'GET = "raed"')
  expect("a misspelt chain is told", diagnostics(orders) == "P0106 13:6", told)
  write(orders, 'GET = "raed"', 'GET = "read"')
  expect("and mended", diagnostics(orders) == "", told)
  write(orders, "${client.id}", "${client.ib}")
  expect("a place behind wide characters", diagnostics(orders) == "P0111 18:39", told)
  write(orders, "${client.ib}", "${client.id}")
  diagnostics(orders)

  -- In the middle of typing.
  write(orders, '"${token.scopes}"', '"${')
  local roots = labels(ask(orders, "textDocument/completion", behind(orders, 'allowed = "${')))
  diagnostics(orders)
  expect("what is set is offered", roots.token and roots.client and not roots.grant, roots)
  write(orders, 'allowed = "${', 'allowed = "${token.')
  local fields = labels(ask(orders, "textDocument/completion", behind(orders, "${token.")))
  diagnostics(orders)
  expect("with its fields", fields.scopes ~= nil, fields)
  write(orders, 'allowed = "${token.', 'allowed = "${token.scopes}"')
  expect("the policy is right again", diagnostics(orders) == "", told)

  write(orders, "[filter.case]", '[[filter]]\nuse = ""\n\n[filter.case]')
  local filters = labels(ask(orders, "textDocument/completion", behind(orders, 'use = "')))
  diagnostics(orders)
  expect("filters are offered", filters["rate-limit"] ~= nil and filters["rate-limit"].documentation ~= nil, filters)
  vim.cmd("silent undo")
  expect("and right after an undo", diagnostics(orders) == "", told)

  local hover = ask(orders, "textDocument/hover", behind(orders, "oauth.check-sc"))
  expect("a filter is explained", hover.contents.value:find("allowed", 1, true) ~= nil, hover)
  hover = ask(orders, "textDocument/hover", behind(orders, "${token.sco"))
  expect("an attribute is explained", hover.contents.value:find("set here", 1, true) ~= nil, hover)

  local places = ask(orders, "textDocument/definition", behind(orders, 'upstream = "ord'))
  expect("the upstream stands in node.toml", #places == 1 and places[1].uri:find("node.toml", 1, true), places)
  places = ask(orders, "textDocument/definition", behind(orders, 'policy = "gre'))
  expect("the policy is a file", #places == 1 and places[1].uri:find("greet.toml", 1, true), places)
  local symbols = ask(orders, "textDocument/documentSymbol", { textDocument = { uri = vim.uri_from_bufnr(orders) } })
  expect("an outline", #symbols == 3 and symbols[2].name == "read", symbols)

  local function rename(at, name)
    at.newName = name
    local edit = ask(orders, "textDocument/rename", at)
    vim.lsp.util.apply_workspace_edit(edit, client.offset_encoding)
  end
  rename(behind(orders, 'GET = "re'), "reading")
  expect("a chain is renamed", diagnostics(orders) == "", told)
  local text = table.concat(vim.api.nvim_buf_get_lines(orders, 0, -1, false), "\n")
  local _, count = text:gsub("reading", "")
  expect("with all that names it", count == 2, text)
  vim.cmd("silent write")

  rename(behind(orders, 'policy = "gre'), "hello")
  diagnostics(orders)
  vim.cmd("silent wall")
  expect("a policy's file is renamed", vim.fn.filereadable(folder .. "/policies/hello.toml") == 1)
  expect("and the old one is gone", vim.fn.filereadable(folder .. "/policies/greet.toml") == 0)

  do
    local params = { textDocument = { uri = vim.uri_from_bufnr(orders) }, options = { tabSize = 2, insertSpaces = true } }
    local edits = ask(orders, "textDocument/formatting", params)
    vim.lsp.util.apply_text_edits(edits or {}, orders, client.offset_encoding)
    expect("there is something to format", edits and #edits > 0, edits)
    expect("formatted, it is right", diagnostics(orders) == "", told)
    vim.cmd("silent wall")
  end
end

local done, why = pcall(main)
if not done then
  fail(tostring(why))
end
client.stop()
vim.wait(20000, function()
  return client.is_stopped()
end, 5)
expect("the server ends", client.is_stopped())
vim.cmd("qall!")
