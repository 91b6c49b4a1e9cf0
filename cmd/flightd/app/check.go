package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/flightd/flightd/flightsvc"
	"github.com/flightd/flightd/stores"
	"github.com/flightd/flightd/tickets"
)

func checkCommand() *cli.Command {
	flags := append([]cli.Flag{
		&cli.BoolFlag{Name: "deep", Usage: "also read every source to its end and look for damage, which takes as long as that takes"},
	}, configFlags()...)
	return command("check", "", "validate a configuration, open every store, and look for the columns of every view", flags, check)
}

// checker is a store's configuration that can tell its operator more than clients may know, such as a path.
type checker interface {
	Check(context.Context) error
}

func check(c *cli.Context) error {
	conf, repo, err := loadConfig(c)
	if err != nil {
		return err
	}
	r := &checkReport{}
	if conf.TLS != nil {
		files := flightsvc.TLSFiles{Cert: conf.TLS.Cert, Key: conf.TLS.Key, ClientCA: conf.TLS.ClientCA}
		r.say("tls", files.Check())
	}
	for _, s := range conf.Stores {
		if own, ok := s.Config.(checker); ok {
			r.say("store "+s.Name, own.Check(c.Context))
		}
	}
	var lost error
	opened, err := open(c, conf, repo, func(err error) { lost = err })
	if err != nil {
		return err
	}
	defer opened.close() //nolint:errcheck // nothing is written
	catalog, err := opened.catalog(c.Context)
	if err = cmp.Or(lost, err); err != nil {
		return err
	}
	for _, v := range catalog.Views() {
		err := stores.Check(c.Context, v)
		if err == nil && c.Bool("deep") {
			_, err = stores.Scrub(c.Context, v.Store, v.Source)
			if errors.Is(err, errors.ErrUnsupported) {
				err = nil
			}
		}
		r.say(v.Name, err)
	}
	for _, s := range catalog.Services() {
		r.say("feature service "+s.Name, checkService(c.Context, catalog, s))
	}
	if opened.feast != nil {
		snapshot, err := opened.feast.Snapshot(c.Context)
		if err != nil {
			return err
		}
		for name, why := range snapshot.Unserved() {
			r.say("feature view "+name, why)
		}
	}
	if opened.onDemand != nil {
		_, err := opened.onDemand.Check(c.Context)
		r.say("feast python", err)
	}
	return r.result()
}

// checkService looks for the features of a service, and for where its logged features go.
func checkService(ctx context.Context, catalog *stores.Catalog, s *stores.FeatureService) error {
	request, err := catalog.Resolve(&tickets.Ticket{Historical: &tickets.Historical{FeatureService: s.Name, FullFeatureNames: true}}, nil)
	if err == nil {
		_, err = stores.FeatureSchema(ctx, request.(*stores.Historical))
	}
	if s.Log != nil {
		_, logErr := s.Log.Store.Source(s.Log.Destination)
		err = errors.Join(err, logErr)
	}
	return err
}

// checkReport prints what was checked, a line each.
type checkReport struct{ checked, broken int }

func (r *checkReport) say(what string, err error) {
	r.checked++
	if err == nil {
		fmt.Fprintf(&out, "%s: ok\n", what)
		return
	}
	r.broken++
	fmt.Fprintf(&out, "%s: %s\n", what, strings.TrimPrefix(err.Error(), what+": ")) // what serve says begins with it too
}

func (r *checkReport) result() error {
	if r.broken > 0 {
		return fmt.Errorf("%d of %d checks failed", r.broken, r.checked)
	}
	return nil
}
