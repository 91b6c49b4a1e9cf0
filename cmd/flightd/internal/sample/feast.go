package sample

import (
	"embed"
	"path"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/flightd/flightd/internal/feastpb"
)

//go:embed feast
var repository embed.FS

// feastFiles are the files that make the folder a Feast repository: its settings, its definitions, the settings of a client,
// and the registry that `feast apply` makes of the definitions, so that Feast is not needed to serve it.
func feastFiles() ([]file, error) {
	var files []file
	for _, name := range []string{"definitions.py", "client/feature_store.yaml", "feature_store.yaml"} {
		content, err := repository.ReadFile(path.Join("feast", name))
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, content})
	}
	registered, err := repository.ReadFile("feast/registry.json")
	if err != nil {
		return nil, err
	}
	registry := new(feastpb.Registry)
	if err := protojson.Unmarshal(registered, registry); err != nil {
		return nil, err
	}
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(registry)
	if err != nil {
		return nil, err
	}
	return append([]file{{"data/registry.db", content}}, files...), nil
}
