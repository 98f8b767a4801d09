// Judges objects as Flux does: by kstatus, and by the expressions of healthCheckExprs in a Kustomization. Reads
// {"objects": [...], "expressions": {...}} on standard input and prints a JSON list of verdicts.
package main

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubejson "k8s.io/apimachinery/pkg/util/json"
)

type input struct {
	Objects     []map[string]any                 `json:"objects"`
	Expressions kustomize.HealthCheckExpressions `json:"expressions"`
}

type verdict struct {
	Kstatus     string `json:"kstatus"`
	Expressions string `json:"expressions"`
}

func main() {
	text, err := io.ReadAll(os.Stdin)
	check(err)
	// Whole numbers as int64, as kstatus wants them.
	var given input
	check(kubejson.Unmarshal(text, &given))
	evaluator, err := cel.NewStatusEvaluator(&given.Expressions)
	check(err)
	verdicts := make([]verdict, 0, len(given.Objects))
	for _, object := range given.Objects {
		u := &unstructured.Unstructured{Object: object}
		plain, err := status.Compute(u)
		check(err)
		expressed, err := evaluator.Evaluate(context.Background(), u)
		check(err)
		verdicts = append(verdicts, verdict{Kstatus: plain.Status.String(), Expressions: expressed.Status.String()})
	}
	check(json.NewEncoder(os.Stdout).Encode(verdicts))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
