-- As in Git, which omits the field.
obj.spec.suspend = nil
return obj
