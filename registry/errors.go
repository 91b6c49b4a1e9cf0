package registry

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/nearest"
)

// Error is an error that Feast's clients know by the name of a Python class. They raise that class with this message, so
// both are Feast's; an error that has no class of its own there is not one of these.
//
// It always stands inside a *fault.Error, which says its kind; errors.As finds it.
type Error struct {
	Class   string // in the module feast.errors
	Message string
}

func (e *Error) Error() string { return e.Message }

// Module is the Python module that has the class.
func (e *Error) Module() string { return "feast.errors" }

func feastError(kind fault.Kind, class, format string, args ...any) error {
	return &fault.Error{Kind: kind, Err: &Error{Class: class, Message: fmt.Sprintf(format, args...)}}
}

func unknownView(name, project string) error {
	return feastError(fault.NotFound, "FeatureViewNotFoundException", "Feature view %s does not exist in project %s", short(name), short(project))
}

func unknownVersion(name, project string, version int) error {
	return feastError(fault.NotFound, "FeatureViewVersionNotFound", "Version v%d of feature view %s does not exist in project %s",
		version, short(name), short(project))
}

func unknownService(name, project string) error {
	return feastError(fault.NotFound, "FeatureServiceNotFoundException", "Feature service %s does not exist in project %s", short(name), short(project))
}

func unknownEntity(name, project string) error {
	return feastError(fault.NotFound, "EntityNotFoundException", "Entity %s does not exist in project %s", short(name), short(project))
}

func unknownSource(name, project string) error {
	return feastError(fault.NotFound, "DataSourceObjectNotFoundException", "Data source %s does not exist in project %s", short(name), short(project))
}

func missingTable(path string) error {
	return feastError(fault.NotFound, "DataSourceNotFoundException", "Unable to find table at '%s'. Please check that table exists.", short(path))
}

func unknownFeature(feature, view string, known []string) error {
	return feastError(fault.NotFound, "SpecifiedFeaturesNotPresentError", "Feature view %s has no feature %s; %s",
		short(view), nearest.Quote(feature), nearest.Hint(feature, known))
}

func missingEntityColumns(wanted, missing []string) error {
	return feastError(fault.Invalid, "FeastEntityDFMissingColumnsError",
		"The entity dataframe you have provided must contain columns %s, but %s were missing.", pythonSet(wanted), pythonSet(missing))
}

func noEventTime() error {
	return feastError(fault.Invalid, "EntityTimestampInferenceException",
		"Please provide an entity_df with a column named event_timestamp representing the time of events.")
}

func notATime(detail error) error {
	return feastError(fault.Invalid, "EntityDFNotDateTime", "The event times of the entity rows are not times: %v", detail)
}

func missingRequestField(field, view string) error {
	return feastError(fault.Invalid, "RequestDataNotFoundInEntityDfException",
		"Feature %s not found in the entity dataframe, but required by feature view %s", short(field), short(view))
}

func collision(format string, args ...any) error {
	return feastError(fault.Invalid, "FeatureNameCollisionError", format, args...)
}

func missingJoinKeys(path string, wanted, have []string) error {
	missing := slices.DeleteFunc(slices.Clone(wanted), func(key string) bool { return slices.Contains(have, key) })
	return feastError(fault.Invalid, "FeastJoinKeysDuringMaterialization",
		"The DataFrame from %s being materialized must have at least %s columns present, but these were missing: %s ",
		short(path), pythonSet(wanted), pythonSet(missing))
}

// isUnknownName reports whether err says that something is not in the registry, which a newer registry may cure.
func isUnknownName(err error) bool {
	var e *Error
	return errors.As(err, &e) && fault.KindOf(err) == fault.NotFound && e.Class != "DataSourceNotFoundException"
}

// short keeps a name that came from outside from filling a message.
func short(name string) string {
	const most = 200
	if len(name) <= most {
		return name
	}
	return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(name[:most], ""), len(name))
}

// pythonSet writes names as Python prints a set of strings, sorted.
func pythonSet(names []string) string {
	if len(names) == 0 {
		return "set()"
	}
	const most = 50
	names = slices.Sorted(slices.Values(names))
	names = slices.Compact(names)
	quoted := make([]string, 0, len(names))
	for i, name := range names {
		if i == most {
			quoted = append(quoted, "...")
			break
		}
		mark := "'"
		if strings.Contains(name, "'") && !strings.Contains(name, `"`) {
			mark = `"`
		}
		name = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(short(name))
		if mark == "'" {
			name = strings.ReplaceAll(name, "'", `\'`)
		}
		quoted = append(quoted, mark+name+mark)
	}
	return "{" + strings.Join(quoted, ", ") + "}"
}
