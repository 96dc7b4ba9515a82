-- Optional: asks a replica's /authz whether a call may pass, before the call is sent. Fails closed.

local replicas = { "127.0.0.1:8081", "127.0.0.1:8082", "127.0.0.1:8083" }
local told = { "authorization", "mcp-method", "mcp-name", "mcp-param-path", "mcp-protocol-version", "host" }
local turn = 0

local function refuse(txn, status, challenge, message)
    local reply = txn:reply({ status = status })
    reply:add_header("content-type", "application/json")
    if challenge then
        reply:add_header("www-authenticate", challenge)
    end
    reply:set_body('{"jsonrpc":"2.0","error":{"code":' .. status .. ',"message":"' .. message .. '"}}')
    txn:done(reply)
end

core.register_action("authz", { "http-req" }, function(txn)
    local sent, headers = txn.http:req_get_headers(), {}
    for _, name in ipairs(told) do
        if sent[name] then
            -- Two of one header would be read differently by somebody.
            headers[name] = {}
            for index = 0, #sent[name] do
                headers[name][index + 1] = sent[name][index]
            end
        end
    end
    for _ = 1, #replicas do
        turn = turn % #replicas + 1
        local answer = core.httpclient():get({ url = "http://" .. replicas[turn] .. "/authz", headers = headers, timeout = 2000 })
        if answer and answer.status == 200 then
            return
        end
        if answer and (answer.status == 401 or answer.status == 403) then
            local challenge = answer.headers["www-authenticate"]
            return refuse(txn, answer.status, challenge and challenge[0], "the token does not allow this; WWW-Authenticate says what does")
        end
    end
    refuse(txn, 503, nil, "nobody could say whether this is allowed; repeat the call after 5 s")
end, 0)
