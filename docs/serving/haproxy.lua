-- Asks the door of authctl whether to let a request in. Replace: shop (the client's name), 127.0.0.1:8400 (the door).
-- For a door at a Unix socket, add to the arguments of `get`: dst = "unix@/run/authctl/door.sock"

local DOOR = "http://127.0.0.1:8400/verify-as/shop"
local IDENTITY = { "X-Auth-User", "X-Auth-Session", "X-Auth-Application", "X-Auth-Device", "X-Auth-Profile" }
local ASKED_WITH = { "authorization", "cookie", "referer" }

local function first(values) return values and values[0] end

local function refuse(txn, status, headers)
  txn:done(txn:reply({ status = status, headers = headers or {} }))
end

core.register_action("authctl", { "http-req" }, function(txn)
  local sent, asked = txn.http:req_get_headers(), {}
  for _, name in ipairs(ASKED_WITH) do
    local values = {}
    for i = 0, 1 do values[#values + 1] = sent[name] and sent[name][i] end
    if #values > 0 then asked[name] = values end
  end
  asked["x-forwarded-for"] = { txn.f:src() }

  -- In milliseconds; HAProxy tries four times.
  local answer = core.httpclient():get({ url = DOOR, headers = asked, timeout = 2000 })
  if answer.status == 200 then
    for _, name in ipairs(IDENTITY) do
      txn.http:req_set_header(name, first(answer.headers[name:lower()]) or "")
    end
    txn:set_var("txn.authctl", "let-in")
  elseif answer.status == 401 then
    refuse(txn, 401, { ["www-authenticate"] = { first(answer.headers["www-authenticate"]) or "Bearer" } })
  elseif answer.status == 403 then
    refuse(txn, 403)
  end
end)
