package registry

import (
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/flightd/flightd/internal/fault"
	"github.com/flightd/flightd/internal/feastpb"
)

// versions are the older definitions of a project's views. They are made when they are first asked for: most never are, and
// a registry holds one for every apply.
type versions struct {
	records map[viewVersion]*feastpb.FeatureViewVersionRecord
	builder *builder

	mu   sync.Mutex
	made map[viewVersion]*view
}

type viewVersion struct {
	view    string
	version int
}

// versioned finds a view as it was in a version; noVersion is as it is.
func (p *project) versioned(name string, version int) (*view, error) {
	if version == noVersion {
		return p.view(name)
	}
	if p.versions == nil || p.versions.records[viewVersion{name, version}] == nil {
		if _, err := p.view(name); err != nil { // that there is no such view says more
			return nil, err
		}
		return nil, unknownVersion(name, p.name, version)
	}
	v := p.versions.view(p, viewVersion{name, version})
	if v.err != nil {
		return nil, v.err
	}
	return v, nil
}

func (vs *versions) view(p *project, key viewVersion) *view {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	v := vs.made[key]
	if v == nil {
		spec, err := recordSpec(vs.records[key])
		if err != nil {
			v = &view{name: key.view, project: p.name, err: err}
		} else {
			spec.name = key.view
			v = vs.builder.view(p, spec)
		}
		vs.made[key] = v
	}
	return v
}

// recordSpec is the definition that a record of the history holds.
func recordSpec(r *feastpb.FeatureViewVersionRecord) (viewSpec, error) {
	var spec viewSpec
	var err error
	switch r.GetFeatureViewType() {
	case "feature_view":
		v := new(feastpb.FeatureView)
		err = proto.Unmarshal(r.GetFeatureViewProto(), v)
		spec = specOf(v.GetSpec())
	case "stream_feature_view":
		v := new(feastpb.StreamFeatureView)
		err = proto.Unmarshal(r.GetFeatureViewProto(), v)
		spec = streamSpecOf(v.GetSpec())
	default:
		return spec, fault.New(fault.Unimplemented, "version v%d of %q is a %s, of which versions are not served yet",
			r.GetVersionNumber(), r.GetFeatureViewName(), short(r.GetFeatureViewType()))
	}
	if err != nil {
		return spec, fault.New(fault.DataLoss, "version v%d of feature view %q is broken in the registry: %w", r.GetVersionNumber(), r.GetFeatureViewName(), err)
	}
	return spec, nil
}

// prefixOf is what stands for a view in full feature names: its alias or name, and its version if one was asked for. It is
// "" for the view's own name.
func prefixOf(view, alias string, version int) string {
	if name := prefixName(view, alias, version); name != view {
		return name
	}
	return ""
}

func prefixName(view, alias string, version int) string {
	if alias != "" {
		view = alias
	}
	if version != noVersion {
		return fmt.Sprintf("%s@v%d", view, version)
	}
	return view
}
