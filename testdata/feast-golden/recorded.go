// Package recorded holds messages of Feast's own clients and servers, for tests. README.md says what is in them.
package recorded

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed feast-0.66 feast-0.67
var files embed.FS

// Case is one recording.
type Case struct {
	Name    string `json:"-"`
	Verdict string
	Calls   []Call
	Want    string `json:"expected"` // file with the right answer, where the recorded one is not
	folder  string
}

// Call is one call of a recording. Upload and Answer are names of files, "" where there were no rows.
type Call struct {
	Command json.RawMessage // nil: a call without one
	Upload  string
	Answer  string
}

// Cases are the recordings of a version of Feast, 0.66 or 0.67, by name.
func Cases(version string) ([]Case, error) {
	folder := "feast-" + version
	names, err := fs.Glob(files, folder+"/*.json")
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("no recordings of Feast %s: %w", version, err)
	}
	var cases []Case
	for _, name := range names {
		data, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		c := Case{Name: strings.TrimSuffix(path.Base(name), ".json"), folder: folder}
		if err := json.Unmarshal(data, &c); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		cases = append(cases, c)
	}
	return cases, nil
}

// File is the content of a file of the recording.
func (c *Case) File(name string) ([]byte, error) { return files.ReadFile(c.folder + "/" + name) }

// Commands are all recorded commands under "<case>-<number of the call>", of the older version where both sent one.
func Commands() (map[string][]byte, error) {
	commands := make(map[string][]byte)
	for _, version := range []string{"0.67", "0.66"} {
		cases, err := Cases(version)
		if err != nil {
			return nil, err
		}
		for _, c := range cases {
			for i, call := range c.Calls {
				if len(call.Command) > 0 && call.Command[0] == '{' {
					commands[fmt.Sprintf("%s-%d", c.Name, i+1)] = call.Command
				}
			}
		}
	}
	return commands, nil
}
