package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/flightd/flightd/cmd/flightd/internal/cells"
	"github.com/flightd/flightd/cmd/flightd/internal/client"
	"github.com/flightd/flightd/cmd/flightd/internal/show"
	"github.com/flightd/flightd/internal/nearest"
)

func describeCommand() *cli.Command {
	return command("describe", "NAME", "print the schema of a feature view or service", serverFlags(), func(c *cli.Context) error {
		return withClient(c, func(ctx context.Context, server *client.Client) error {
			entries, err := server.List(ctx)
			if err != nil {
				return err
			}
			return describe(c.Args().First(), entries)
		})
	})
}

// describe prints every entry of a name: a view and a service may share one.
func describe(name string, entries []*client.Entry) error {
	found := 0
	for _, e := range entries {
		if e.Name != name {
			continue
		}
		if found++; found > 1 {
			fmt.Fprintln(&out)
		}
		var err error
		if e.Kind == client.FeatureView {
			err = describeView(e)
		} else {
			err = describeService(e, entries)
		}
		if err != nil {
			return err
		}
	}
	if found == 0 {
		return fmt.Errorf("the server has no feature view or service %s; %s", nearest.Quote(name), nearest.Hint(name, client.Names(entries)))
	}
	return nil
}

func describeView(e *client.Entry) error {
	heading("feature view", e.Name)
	fact("source", e.Source)
	if e.Rows >= 0 {
		fact("rows", humanize.Comma(e.Rows))
	}
	fact("keys", names(e.Keys))
	if e.TTL != "" {
		fact("ttl", ttl(e.TTL)+" (older values are null)")
	} else {
		fact("ttl", "none (a value is never too old)")
	}
	if e.Error != "" {
		fact("features", names(e.Features))
		fact("error", e.Error)
		return nil
	}
	t := &show.Table{Columns: []show.Column{{Name: "column"}, {Name: "type"}, {Name: "role"}}}
	for _, f := range e.Schema.Fields() {
		t.Rows = append(t.Rows, []string{f.Name, cells.TypeName(f.Type), strings.Join(roles(e, f.Name), ", ")})
	}
	fmt.Fprintln(&out)
	return render(t)
}

// roles are what a column is for. A time column may be a feature, too.
func roles(e *client.Entry, column string) (all []string) {
	for _, r := range []struct {
		role string
		is   bool
	}{
		{"key", slices.Contains(e.Keys, column)}, {"feature", slices.Contains(e.Features, column)},
		{"event timestamp", e.Timestamp == column}, {"created", e.Created == column},
	} {
		if r.is {
			all = append(all, r.role)
		}
	}
	return all
}

func describeService(e *client.Entry, entries []*client.Entry) error {
	heading("feature service", e.Name)
	views, sources := serviceViews(e, entries)
	if e.Error != "" {
		fact("features", names(e.Features))
		fact("error", e.Error)
		return nil
	}
	fact("needs", neededKeys(views))
	if e.FullNames {
		fact("names", "full ones only (--full-names), for two features have one short name")
	}
	t := &show.Table{Columns: []show.Column{{Name: "column"}, {Name: "type"}, {Name: "from"}, {Name: "ttl", Right: true}}}
	for i, f := range e.Schema.Fields() {
		from, age := "-", "-"
		if len(sources) == len(e.Schema.Fields()) {
			from, age = sources[i].Name, ttl(sources[i].TTL)
		}
		t.Rows = append(t.Rows, []string{f.Name, cells.TypeName(f.Type), from, age})
	}
	fmt.Fprintln(&out)
	return render(t)
}

// serviceViews are the views of a service, each once, and the view of each of its features.
func serviceViews(e *client.Entry, entries []*client.Entry) (views, ofFeature []*client.Entry) {
	for _, ref := range e.Features {
		name, feature, _ := strings.Cut(ref, ":")
		i := slices.IndexFunc(entries, func(v *client.Entry) bool { return v.Kind == client.FeatureView && v.Name == name })
		if i < 0 {
			continue
		}
		view := entries[i]
		if !slices.Contains(views, view) {
			views = append(views, view)
		}
		count := 1
		if feature == "" {
			count = len(view.Features)
		}
		ofFeature = append(ofFeature, slices.Repeat([]*client.Entry{view}, count)...)
	}
	return views, ofFeature
}

// neededKeys lists the columns that entity rows must have.
func neededKeys(views []*client.Entry) string {
	var needed []string
	for _, v := range views {
		for _, key := range v.Keys {
			if text := key + typeSuffix(v.TypeOf(key)); !slices.Contains(needed, text) {
				needed = append(needed, text)
			}
		}
	}
	return names(append(needed, "an event timestamp"))
}

func typeSuffix(t arrow.DataType) string {
	if t == nil {
		return ""
	}
	return " (" + cells.TypeName(t) + ")"
}

func heading(kind, name string) { fmt.Fprintf(&out, "%s %s\n", kind, name) }

func fact(name, value string) { fmt.Fprintf(&out, "  %-9s %s\n", name, value) }
