package tickets

import (
	"bytes"
	"encoding/json"
)

// Encode writes the ticket in its canonical form: keys in the order of the struct fields, absent ones left out, times in
// UTC. It refuses, with the *Error that a server would answer, what no call would take. Parsed again it is equal.
func Encode(t *Ticket) ([]byte, error) {
	if err := t.check(anyCall); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(t); err != nil {
		return nil, errorf("", "%v", err)
	}
	data := bytes.TrimSuffix(out.Bytes(), []byte("\n"))
	if len(data) > MaxBytes {
		return nil, tooLong(len(data))
	}
	return data, nil
}

// MarshalText writes "view:feature" or "view".
func (r FeatureRef) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// MarshalJSON writes [index, of].
func (p Part) MarshalJSON() ([]byte, error) { return json.Marshal([2]int{p.Index, p.Of}) }
