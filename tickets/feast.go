package tickets

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// FeastAPI is what stands under `api` in a command of a Feast client.
type FeastAPI string

// The APIs of Feast's offline server. The reads come with DoExchange (0.67 and later) or are staged by DoPut for a DoGet
// (until 0.66); the writes come with DoPut.
const (
	GetHistoricalFeatures FeastAPI = "get_historical_features"
	PullLatest            FeastAPI = "pull_latest_from_table_or_query"
	PullAll               FeastAPI = "pull_all_from_table_or_query"
	GetColumns            FeastAPI = "get_table_column_names_and_types_from_data_source"

	OfflineWriteBatch   FeastAPI = "offline_write_batch"
	WriteLoggedFeatures FeastAPI = "write_logged_features"
	PersistDataset      FeastAPI = "persist"
	ValidateDataSource  FeastAPI = "validate_data_source"
)

var (
	feastReads  = []FeastAPI{GetHistoricalFeatures, PullLatest, PullAll, GetColumns}
	feastWrites = []FeastAPI{OfflineWriteBatch, WriteLoggedFeatures, PersistDataset, ValidateDataSource}
)

// IsRead reports whether the API answers with rows. What is neither a read nor a write does not parse.
func (a FeastAPI) IsRead() bool { return slices.Contains(feastReads, a) }

// Feast is one command of a Feast client. Exactly one of the pointers is set; which one, API says.
//
// Decoding is strict about types and lenient about keys: newer clients send more of them, so unknown ones are passed
// over. What is left out and what is null mean the same.
type Feast struct {
	API       FeastAPI
	CommandID string // chosen by the client, the same again when it repeats the call; "": none

	Historical *FeastHistorical // GetHistoricalFeatures
	Pull       *FeastPull       // PullLatest, PullAll
	Source     *FeastSource     // GetColumns, ValidateDataSource
	Write      *FeastWrite      // OfflineWriteBatch
	Log        *FeastLog        // WriteLoggedFeatures
	Persist    *FeastPersist    // PersistDataset
}

// FeastHistorical asks for features of entity rows, which come beside it, or of the rows of a time range.
type FeastHistorical struct {
	FeatureViewNames []string   // as registered; one for each alias
	NameAliases      []string   // beside each of FeatureViewNames; "": none
	FeatureRefs      []FeastRef // in answer order; on-demand views stand here alone
	Project          string
	FullFeatureNames bool
	Start, End       time.Time // inclusive, UTC; zero: not given. Only without entity rows
	EntitySQL        string    // a statement that yields the entity rows; "": none
	KnownAt          bool      // filter_by_created_timestamp
}

// FeastRef refers to a feature by the name or alias of its view.
type FeastRef struct {
	View    string
	Version int // -1: none, which is the promoted one
	Feature string
}

func (r FeastRef) String() string {
	if r.Version < 0 {
		return r.View + ":" + r.Feature
	}
	return fmt.Sprintf("%s@v%d:%s", r.View, r.Version, r.Feature)
}

// FeastPull asks for rows of a data source. Column names are the source's own.
type FeastPull struct {
	DataSourceName         string // or the path of a saved dataset, or of logged features
	JoinKeyColumns         []string
	FeatureNameColumns     []string // none: all columns
	TimestampField         string
	CreatedTimestampColumn string    // "": none
	Start, End             time.Time // inclusive, UTC; zero: no bound
}

// FeastSource is about a data source that the client describes itself, so nothing in it may be trusted.
type FeastSource struct {
	DataSource string // JSON of a feast.core.DataSource
}

// FeastWrite appends the uploaded rows to the source of a view of the server's project.
type FeastWrite struct {
	FeatureView string
	NameAlias   string // "": none
}

// FeastLog appends the uploaded rows to where the logged features of a service go.
type FeastLog struct {
	FeatureService string
}

// FeastPersist writes the answer of a historical request to a data source. There are no others: a client that persists
// a pull sends the name of the pulled source in the place of the destination's, and obeying it would destroy the source.
type FeastPersist struct {
	DataSourceName string // the destination
	AllowOverwrite bool
	Historical     *FeastHistorical
}

// UnknownAPIError says that an API does not exist, or not for the call it came with.
type UnknownAPIError struct {
	API  FeastAPI
	Call Call
}

func (e *UnknownAPIError) Error() string {
	api := quoteIfOdd(string(e.API))
	switch {
	case e.Call != DoPut && slices.Contains(feastWrites, e.API):
		return fmt.Sprintf("Unknown read API: %s; it is a write and comes with DoPut", api)
	case e.Call != DoPut:
		return fmt.Sprintf("Unknown read API: %s", api)
	}
	return fmt.Sprintf("Unknown API: %s", api)
}

// ParseFeast reads a command of a Feast client, one for which ParseCommand has said ErrFeast. DoPut takes every API, the
// other calls reads alone. Its errors are of type *Error or *UnknownAPIError.
func ParseFeast(call Call, command []byte) (*Feast, error) {
	switch {
	case len(command) > MaxBytes:
		return nil, tooLong(len(command))
	case !utf8.Valid(command):
		return nil, errorf("", "it is not UTF-8; a JSON object is needed")
	}
	command = pythonNumbers(command)
	head := new(feastHead)
	if err := feastObject(command, feastHeadKeys, head); err != nil {
		return nil, err
	}
	switch {
	case head.api == "":
		return nil, errorf("api", "it is needed")
	case !head.api.IsRead() && (call != DoPut || !slices.Contains(feastWrites, head.api)):
		return nil, &UnknownAPIError{API: head.api, Call: call}
	}
	f := &Feast{API: head.api, CommandID: head.commandID}
	return f, f.decode(command)
}

// decode reads the keys that belong to the API.
func (f *Feast) decode(command []byte) (err error) {
	switch f.API {
	case GetHistoricalFeatures:
		f.Historical, err = feastCommand(command, feastHistoricalKeys, (*FeastHistorical).check)
	case PullLatest, PullAll:
		f.Pull, err = feastCommand(command, feastPullKeys, (*FeastPull).check)
	case GetColumns, ValidateDataSource:
		f.Source, err = feastCommand(command, feastSourceKeys, func(s *FeastSource) error { return name("data_source_proto", s.DataSource) })
	case OfflineWriteBatch:
		var write *feastWrite
		if write, err = feastCommand(command, feastWriteKeys, (*feastWrite).check); err == nil {
			f.Write = &FeastWrite{FeatureView: write.views[0], NameAlias: write.aliases[0]}
		}
	case WriteLoggedFeatures:
		f.Log, err = feastCommand(command, feastLogKeys, func(l *FeastLog) error { return name("feature_service_name", l.FeatureService) })
	case PersistDataset:
		var persist *feastPersist
		if persist, err = feastCommand(command, feastPersistKeys, (*feastPersist).check); err == nil {
			f.Persist = &FeastPersist{DataSourceName: persist.destination, AllowOverwrite: persist.overwrite}
			f.Persist.Historical, err = feastCommand(command, feastHistoricalKeys, (*FeastHistorical).check)
		}
	}
	return err
}

func (h *FeastHistorical) check() error {
	switch {
	case h.Project == "":
		return errorf("project", "it is needed")
	case len(h.FeatureRefs) == 0:
		return errorf("feature_refs", "at least one feature is needed")
	case len(h.NameAliases) != len(h.FeatureViewNames):
		return errorf("name_aliases", "one for each of the %d feature_view_names is needed, found %d", len(h.FeatureViewNames), len(h.NameAliases))
	}
	return feastWindow(h.Start, h.End)
}

func (p *FeastPull) check() error {
	if err := first(name("data_source_name", p.DataSourceName), name("timestamp_field", p.TimestampField)); err != nil {
		return err
	}
	return feastWindow(p.Start, p.End)
}

// feastWindow checks two bounds, each of which may be absent.
func feastWindow(start, end time.Time) error {
	if !start.IsZero() && !end.IsZero() && start.After(end) {
		return errorf("start_date", "%s is after the end_date, %s", start.Format(time.RFC3339Nano), end.Format(time.RFC3339Nano))
	}
	return nil
}

// feastWrite and feastPersist are the commands as they stand there.
type feastWrite struct {
	views   []string
	aliases []string
}

func (w *feastWrite) check() error {
	switch {
	case len(w.views) != 1:
		return errorf("feature_view_names", "exactly one name is needed, found %d", len(w.views))
	case len(w.aliases) != 1:
		return errorf("name_aliases", "exactly one is needed, for the one view, found %d", len(w.aliases))
	}
	return name("feature_view_names[0]", w.views[0])
}

type feastPersist struct {
	destination string
	overwrite   bool
	retrieve    string
}

func (p *feastPersist) check() error {
	switch FeastAPI(p.retrieve) {
	case GetHistoricalFeatures:
	case PullLatest, PullAll:
		return errorf("retrieve_func", "the answer of %s cannot be persisted: the client sends the name of the pulled source where that of the "+
			"destination should be, so that the source would be overwritten with a part of itself; write the answer to a file instead", p.retrieve)
	default:
		return errorf("retrieve_func", "want %s, found %s", GetHistoricalFeatures, quote(p.retrieve))
	}
	return name("data_source_name", p.destination)
}

// ParseFeastRef reads "view:feature" or "view@v2:feature". What stands behind the @ and is no version belongs to the name.
func ParseFeastRef(text string) (FeastRef, error) {
	view, feature, colon := strings.Cut(text, ":")
	if !colon || view == "" || feature == "" {
		return FeastRef{}, errorf("", "want view:feature or view@v2:feature, found %s", quote(text))
	}
	ref := FeastRef{View: view, Version: -1, Feature: feature}
	base, version, at := strings.Cut(view, "@")
	digits := strings.TrimLeft(version, "vV")
	switch {
	case !at || base == "":
	case version == "" || strings.EqualFold(version, "latest"):
		ref.View = base
	case len(version)-len(digits) == 1 && strings.Trim(digits, "0123456789") == "" && digits != "":
		n, err := strconv.ParseInt(digits, 10, 32)
		if err != nil {
			return FeastRef{}, errorf("", "there is no version %s in %s", quote(version), quote(text))
		}
		ref.View, ref.Version = base, int(n)
	}
	return ref, nil
}

// feastCommand reads the keys of one API and checks what was read.
func feastCommand[T any](command []byte, known keys[T], check func(*T) error) (*T, error) {
	into := new(T)
	if err := feastObject(command, known, into); err != nil {
		return nil, err
	}
	if err := check(into); err != nil {
		return nil, err
	}
	return into, nil
}

// feastObject reads the known keys of a command and passes over the others.
func feastObject[T any](command []byte, known keys[T], into *T) error {
	d := &decoder{json: json.NewDecoder(bytes.NewReader(command))}
	d.json.UseNumber()
	if err := d.open('{', "an object"); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for d.json.More() {
		token, err := d.token()
		if err != nil {
			return err
		}
		key := token.(string) // the JSON decoder lets nothing else be a key
		read, ok := known[key]
		if !ok {
			if err := d.at(quoteIfOdd(key), d.skip); err != nil {
				return err
			}
			continue
		}
		err = d.at(key, func() error {
			if seen[key] {
				return d.errorf("the key is given twice")
			}
			return read(d, into)
		})
		if err != nil {
			return err
		}
		seen[key] = true
	}
	if _, err := d.token(); err != nil { // the closing brace
		return err
	}
	if _, err := d.json.Token(); err != io.EOF {
		return errorf("", "there is something after the object, from byte %d on", d.json.InputOffset())
	}
	return nil
}

// quoteIfOdd leaves a plain word as it is.
func quoteIfOdd(word string) string {
	odd := func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	if word == "" || len(word) > 80 || strings.ContainsFunc(word, odd) {
		return quote(word)
	}
	return word
}
