package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// The Elastic Container Service: which tasks a service runs, and how their containers are named as targets of sessions.
func (s *service) containerService(w http.ResponseWriter, operation string, body []byte, now settings) {
	var in struct {
		Cluster, ServiceName, DesiredStatus string
		Tasks                               []string
	}
	if err := json.Unmarshal(body, &in); err != nil {
		refuse(w, apiError{Type: "InvalidParameterException", Message: err.Error()})
		return
	}
	var found []task
	known := false
	for _, task := range now.Tasks {
		if named(task.Cluster, in.Cluster) {
			known = true
			found = append(found, task)
		}
	}
	if !known {
		refuse(w, apiError{Type: "ClusterNotFoundException", Message: "Cluster not found."})
		return
	}
	switch operation {
	case "ListTasks":
		arns := []string{}
		known = in.ServiceName == ""
		for _, task := range found {
			if in.ServiceName != "" && !named(task.Service, in.ServiceName) {
				continue
			}
			known = true
			if !task.Stopped {
				arns = append(arns, task.arn())
			}
		}
		if !known {
			refuse(w, apiError{Type: "ServiceNotFoundException", Message: "Service not found."})
			return
		}
		answer(w, map[string]any{"taskArns": arns})
	case "DescribeTasks":
		list, failures := []map[string]any{}, []map[string]string{}
		for _, wanted := range in.Tasks {
			at := slices.IndexFunc(found, func(one task) bool { return named(one.arn(), wanted) })
			if at < 0 {
				failures = append(failures, map[string]string{"arn": wanted, "reason": "MISSING"})
				continue
			}
			list = append(list, found[at].described())
		}
		answer(w, map[string]any{"tasks": list, "failures": failures})
	default:
		refuse(w, apiError{Type: "UnknownOperationException", Message: operation})
	}
}

// A request names a thing by its name or by its ARN, which ends in the name.
func named(name, asked string) bool {
	return name[strings.LastIndex(name, "/")+1:] == asked[strings.LastIndex(asked, "/")+1:]
}

func (t task) arn() string {
	return "arn:aws:ecs:" + region + ":" + account + ":task/" + t.Cluster + "/" + t.ID
}

func (t task) described() map[string]any {
	status := "RUNNING"
	if t.Stopped {
		status = "STOPPED"
	}
	containers := []map[string]any{}
	for name, runtime := range t.Containers {
		agent := map[string]string{"name": "ExecuteCommandAgent", "lastStatus": "RUNNING"}
		if t.NoExec {
			agent["lastStatus"] = "STOPPED"
		}
		containers = append(containers, map[string]any{
			"name": name, "runtimeId": runtime, "lastStatus": status, "managedAgents": []any{agent},
		})
	}
	return map[string]any{
		"taskArn": t.arn(), "clusterArn": "arn:aws:ecs:" + region + ":" + account + ":cluster/" + t.Cluster,
		"group": "service:" + t.Service, "lastStatus": status, "enableExecuteCommand": !t.NoExec, "containers": containers,
	}
}

// target reports whether the text names a container of this task in the form of sessions: ecs:cluster_task_runtime.
func (t task) target(text string) bool {
	for _, runtime := range t.Containers {
		if text == "ecs:"+t.Cluster+"_"+t.ID+"_"+runtime {
			return !t.Stopped && !t.NoExec
		}
	}
	return false
}
