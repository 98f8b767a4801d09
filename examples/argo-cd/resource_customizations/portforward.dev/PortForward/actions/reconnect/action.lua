-- Every new value starts a rolling reconnect.
local os = require("os")
if obj.metadata.annotations == nil then obj.metadata.annotations = {} end
obj.metadata.annotations["portforward.dev/reconnectAt"] = os.date("!%Y-%m-%dT%XZ")
return obj
