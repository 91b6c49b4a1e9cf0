package registry

import (
	"github.com/apache/arrow/go/v15/arrow"
	"google.golang.org/protobuf/proto"

	"github.com/flightd/flightd/internal/feastpb"
)

// OnDemandView is the definition of a view whose features are computed from other views' features and from what the
// request brings. Nothing here runs its code.
type OnDemandView struct {
	Name    string
	Project string
	Mode    string          // "pandas", "python", "substrait" ...
	Inputs  []OnDemandInput // features that it reads, by view
	Request []arrow.Field   // columns that the entity rows must bring; a type may be nil: not known
	Outputs []arrow.Field   // its features; a type may be nil: not known

	// Proto is the serialized feast.core.OnDemandFeatureView, for who can run it. It holds pickled code: to be opened by
	// nobody but the user's own Python.
	Proto []byte

	disabled bool
}

// OnDemandInput are features of one view that an on-demand view reads.
type OnDemandInput struct {
	View     string
	Features []string
}

func onDemandView(v *feastpb.OnDemandFeatureView) *OnDemandView {
	spec := v.GetSpec()
	o := &OnDemandView{Name: spec.GetName(), Project: spec.GetProject(), Mode: spec.GetMode(), disabled: spec.GetDisabled()}
	if o.Mode == "" {
		o.Mode = "pandas"
	}
	for _, f := range spec.GetFeatures() {
		o.Outputs = append(o.Outputs, arrow.Field{Name: f.GetName(), Type: fieldType(f), Nullable: true})
	}
	for _, source := range sorted(spec.GetSources()) {
		switch {
		case source.GetRequestDataSource() != nil:
			o.Request = append(o.Request, requestFields(source.GetRequestDataSource().GetRequestDataOptions())...)
		case source.GetFeatureViewProjection() != nil:
			p := source.GetFeatureViewProjection()
			o.Inputs = append(o.Inputs, OnDemandInput{p.GetFeatureViewName(), featureNames(p.GetFeatureColumns())})
		case source.GetFeatureView() != nil: // how older versions of Feast wrote it
			s := source.GetFeatureView().GetSpec()
			o.Inputs = append(o.Inputs, OnDemandInput{s.GetName(), featureNames(s.GetFeatures())})
		}
	}
	o.Proto, _ = proto.Marshal(v) // what was read can be written
	return o
}

func featureNames(features []*feastpb.FeatureSpecV2) []string {
	names := make([]string, len(features))
	for i, f := range features {
		names[i] = f.GetName()
	}
	return names
}
