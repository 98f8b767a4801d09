-- The conditions have kstatus' format: observedGeneration, Reconciling, Stalled, Ready.
local waiting = { status = "Progressing", message = "Waiting for the operator" }
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then return waiting end
local is = {}
for _, condition in ipairs(obj.status.conditions or {}) do is[condition.type] = condition end
local ready = is.Ready
if is.Stalled ~= nil and is.Stalled.status == "True" then return { status = "Degraded", message = is.Stalled.message } end
if ready ~= nil and (ready.reason == "Suspended" or ready.reason == "ScaledToZero") then return { status = "Suspended", message = ready.message } end
if is.Reconciling ~= nil and is.Reconciling.status == "True" then return { status = "Progressing", message = is.Reconciling.message } end
if ready == nil then return waiting end
local health = { True = "Healthy", False = "Degraded" }
return { status = health[ready.status] or "Progressing", message = ready.message }
