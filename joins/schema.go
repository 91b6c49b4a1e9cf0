package joins

import (
	"fmt"
	"regexp"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/nearest"
)

// pandasIndex is how pandas calls index columns that have no name of their own.
var pandasIndex = regexp.MustCompile(`^__index_level_\d+__$`)

// AnswerSchema is the schema of a point-in-time join: the entity columns as they are, without pandas' unnamed indexes,
// then the features of the views. It finds every error that needs no rows: missing columns, types that cannot be
// compared, names used twice.
func AnswerSchema(entities *arrow.Schema, time string, views []View) (*arrow.Schema, error) {
	if err := checkEntities(entities, time); err != nil {
		return nil, err
	}
	var fields []arrow.Field
	origin := make(map[string]string)
	for _, i := range entityColumns(entities) {
		f := entities.Field(i)
		fields = append(fields, f)
		origin[f.Name] = "a column of the entity rows"
	}
	for i := range views {
		v := &views[i]
		if err := checkView(v, entities); err != nil {
			return nil, err
		}
		for _, feature := range v.Features {
			f, err := sourceField(v, "feature", feature.Source)
			if err != nil {
				return nil, err
			}
			if other, taken := origin[feature.Name]; taken {
				return nil, fault.New(fault.Invalid, "two columns of the answer would be called %q: %s, and feature %q of %q; "+
					"ask for full feature names (full_feature_names, --full-names)", feature.Name, other, feature.Source, v.Name)
			}
			origin[feature.Name] = fmt.Sprintf("feature %q of %q", feature.Source, v.Name)
			fields = append(fields, arrow.Field{Name: feature.Name, Type: decoded(f.Type), Nullable: true, Metadata: f.Metadata})
		}
	}
	return arrow.NewSchema(fields, nil), nil
}

// entityColumns are the indexes of the entity columns that are returned.
func entityColumns(s *arrow.Schema) []int {
	var columns []int
	for i, f := range s.Fields() {
		if !pandasIndex.MatchString(f.Name) {
			columns = append(columns, i)
		}
	}
	return columns
}

func checkEntities(s *arrow.Schema, time string) error {
	seen := make(map[string]bool)
	for _, f := range s.Fields() {
		if seen[f.Name] {
			return fault.New(fault.Invalid, "the entity rows have two columns called %q", f.Name)
		}
		seen[f.Name] = true
	}
	if !seen[time] {
		return fault.New(fault.Invalid, "the entity rows have no column %q for their event time; there are: %s", time, fieldNames(s))
	}
	f, _ := s.FieldsByName(time)
	if _, ok := timeValueType(f[0].Type); !ok {
		return fault.New(fault.Invalid, "column %q of the entity rows is %s; an event time is a timestamp, a date, or text in ISO 8601",
			time, f[0].Type)
	}
	return nil
}

// CheckView finds out whether the columns of a view can be what it says, without a look at rows: times are times, and keys
// can be compared.
func CheckView(v View) error {
	if err := v.checkTimes(); err != nil {
		return err
	}
	for _, key := range v.Keys {
		f, err := sourceField(&v, "join key", key.Source)
		if err != nil {
			return err
		}
		if _, ok := pair(f.Type, f.Type); !ok {
			return fault.New(fault.Precondition, "feature view %q: join key %q: %s", v.Name, key.Source, castHint(f.Type, f.Type))
		}
	}
	return nil
}

func (v *View) checkTimes() error {
	if _, err := timeField(v, "event timestamp", v.EventTime); err != nil || v.Created == "" {
		return err
	}
	_, err := timeField(v, "created", v.Created)
	return err
}

func checkView(v *View, entities *arrow.Schema) error {
	if err := v.checkTimes(); err != nil {
		return err
	}
	_, err := spacesOf(v, entities)
	return err
}

// spacesOf pairs the key columns of both sides.
func spacesOf(v *View, entities *arrow.Schema) ([]space, error) {
	spaces := make([]space, len(v.Keys))
	for i, key := range v.Keys {
		source, err := sourceField(v, "join key", key.Source)
		if err != nil {
			return nil, err
		}
		found, ok := entities.FieldsByName(key.Entity)
		if !ok {
			names := make([]string, len(entities.Fields()))
			for i, f := range entities.Fields() {
				names[i] = f.Name
			}
			return nil, fault.New(fault.Invalid, "feature view %q: the entity rows have no column for its join key %q%s; there are: %s",
				v.Name, key.Entity, meant(key.Entity, names), fieldNames(entities))
		}
		if spaces[i], err = spaceOf(v.Name, key, found[0].Type, source.Type); err != nil {
			return nil, err
		}
	}
	return spaces, nil
}

// meant is the name that was probably meant, as the end of a message that lists them all.
func meant(name string, names []string) string {
	if near, ok := nearest.Name(name, names); ok {
		return fmt.Sprintf(" (did you mean %q?)", near)
	}
	return ""
}

func sourceField(v *View, role, column string) (arrow.Field, error) {
	found, ok := v.Table.Schema().FieldsByName(column)
	if !ok {
		return arrow.Field{}, fault.New(fault.Precondition, "feature view %q: its source has no column %q (%s)", v.Name, column, role)
	}
	return found[0], nil
}

// decoded is the type that values of a dictionary have.
func decoded(t arrow.DataType) arrow.DataType {
	if d, ok := t.(*arrow.DictionaryType); ok {
		return d.ValueType
	}
	return t
}
