package tickets

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxBytes is the most that a ticket or command may be long, inline entity rows included.
const MaxBytes = 4 << 20

// Call is the Flight call that a ticket or command came with. What may stand in it differs from call to call.
type Call string

// The calls that carry a ticket or a command.
const (
	DoGet         Call = "DoGet"
	GetFlightInfo Call = "GetFlightInfo" // parts may stand beside the request
	GetSchema     Call = "GetSchema"     // historical may lack entity rows: the schema of the features alone
	DoExchange    Call = "DoExchange"    // historical alone, and without entity rows, which are streamed
	DoPut         Call = "DoPut"         // writes
)

// takes lists what each call understands.
var takes = map[Call][]string{
	DoGet:         {"historical", "latest", "all"},
	GetFlightInfo: {"historical", "latest", "all"},
	GetSchema:     {"historical", "latest", "all"},
	DoExchange:    {"historical"},
	DoPut:         {"write", "log", "entity_rows"},
}

// ErrFeast says that a command is one of Feast's (it has the key `api`) and not for this package.
var ErrFeast = errors.New("the command has the key \"api\": it is one of Feast's")

// Parse reads the ticket of a DoGet. Its errors are of type *Error, apart from ErrFeast.
func Parse(ticket []byte) (*Ticket, error) { return ParseCommand(DoGet, ticket) }

// ParseCommand reads the command of a descriptor as the given call understands it. Its errors are of type *Error, apart
// from ErrFeast, which a command with the key `api` gives whatever else is in it.
func ParseCommand(call Call, command []byte) (*Ticket, error) {
	t, err := parse(command)
	if err == nil {
		err = t.check(call)
	}
	if err != nil {
		if isFeast(command) {
			return nil, ErrFeast
		}
		return nil, err
	}
	return t, nil
}

// ParsePath reads the path of a descriptor: the name of a view alone, short for all of its rows or, in DoPut, for a
// write to it.
func ParsePath(call Call, path []string) (*Ticket, error) {
	switch {
	case len(path) != 1:
		return nil, errorf("", "a descriptor's path is the name of one feature view, found %d names", len(path))
	case path[0] == "":
		return nil, errorf("", "a descriptor's path is the name of one feature view, found an empty one")
	}
	t := &Ticket{All: &All{View: path[0]}}
	switch call {
	case DoPut:
		t = &Ticket{Write: &Write{View: path[0]}}
	case DoExchange:
		return nil, errorf("", "DoExchange takes a command with the key historical, found the path [%s]", quote(path[0]))
	}
	if err := t.check(call); err != nil {
		return nil, err
	}
	return t, nil
}

// parse reads the JSON and leaves the rules between keys to check.
func parse(data []byte) (*Ticket, error) {
	switch {
	case len(data) == 0:
		return nil, errorf("", "it is empty; a JSON object is needed")
	case len(data) > MaxBytes:
		return nil, tooLong(len(data))
	case !utf8.Valid(data):
		return nil, errorf("", "it is not UTF-8; a JSON object is needed")
	}
	d := &decoder{json: json.NewDecoder(bytes.NewReader(data))}
	d.json.UseNumber()
	t := new(Ticket)
	if err := object(d, ticketKeys, t); err != nil {
		return nil, err
	}
	if _, err := d.json.Token(); err != io.EOF {
		return nil, errorf("", "there is something after the object, from byte %d on", d.json.InputOffset())
	}
	return t, nil
}

// isFeast reports whether data is an object with the key api. Feast's commands have keys that are not ours, so they never
// parse, and only what did not parse needs to be asked. It is read token by token, and nothing of it is kept: in memory, many
// small values are much more than their bytes.
func isFeast(data []byte) (found bool) {
	if len(data) > MaxBytes {
		return false
	}
	d := &decoder{json: json.NewDecoder(bytes.NewReader(data))}
	d.json.UseNumber()
	if d.open('{', "an object") != nil {
		return false
	}
	for d.json.More() {
		key, err := d.token()
		if err != nil || d.skip() != nil {
			return false
		}
		found = found || key == "api"
	}
	if _, err := d.token(); err != nil { // the closing brace
		return false
	}
	_, err := d.json.Token()
	return found && err == io.EOF
}

// callsFor lists the calls that take a kind of ticket, for messages.
func callsFor(kind string) string {
	var calls []string
	for _, call := range []Call{DoGet, GetFlightInfo, GetSchema, DoExchange, DoPut} {
		if slices.Contains(takes[call], kind) {
			calls = append(calls, string(call))
		}
	}
	return strings.Join(calls, ", ")
}
