package config

import (
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/flightd/flightd/internal/nearest"
)

// validate checks what was decoded, on the whole and value by value. It goes on after a mistake, and says nothing about
// values that could not be decoded, because the decoder has.
func (c *Config) validate(d *decoder) {
	if d.failed[""] {
		return // there is nothing to look at
	}
	if err := checkAddress(c.Listen); err != nil && !d.failed["listen"] {
		d.report("listen", "%v", err)
	}
	if d.given("feast_repo") {
		c.validateRepo(d)
	} else {
		c.validateStores(d)
		c.validateViews(d)
		c.validateServices(d)
		if d.given("feast") {
			d.report("feast", "it says how a Feast repository is served, and there is no feast_repo")
		}
	}
	if c.TLS != nil && !d.failed["tls"] {
		d.require("tls", "cert", c.TLS.Cert)
		d.require("tls", "key", c.TLS.Key)
		d.notEmpty("tls.client_ca", c.TLS.ClientCA)
	}
	if c.Auth.Type != "none" && !d.failed["auth.type"] {
		d.report("auth.type", "there is no %s yet; known: none", nearest.Quote(c.Auth.Type))
	}
	d.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	d.oneOf("log.format", c.Log.Format, "auto", "json", "console")
	if d.given("metrics") && !d.failed["metrics"] {
		if err := checkAddress(c.Metrics); err != nil {
			d.report("metrics", "%v", err)
		}
	}
	c.Limits.validate(d)
	d.positive("shutdown_timeout", int64(c.ShutdownTimeout))
}

func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("want host:port like 127.0.0.1:8815, found %s", nearest.Quote(address))
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("the port is a number from 0 to 65535, found %s", nearest.Quote(port))
	}
	return nil
}

func (c *Config) validateStores(d *decoder) {
	if !d.given("stores") {
		d.reportAt(d.place(""), "", "stores is needed: where the data is, like {main: {type: file, root: ./data}}")
	}
	for _, s := range c.Stores {
		path := join("stores", s.Name)
		d.name(path, s.Name, "")
		if s.Config == nil {
			continue
		}
		if err := s.Config.Validate(); err != nil {
			for message := range strings.SplitSeq(err.Error(), "\n") { // errors.Join puts each error on a line
				d.reportStore(path, message)
			}
		}
	}
}

// reportStore adds a mistake that a store found in its own configuration. A message that begins with a key is put where
// that key is.
func (d *decoder) reportStore(path, message string) {
	if key, rest, ok := strings.Cut(message, ": "); ok && d.given(join(path, key)) {
		d.report(join(path, key), "%s", rest)
		return
	}
	d.reportAt(d.place(path), path, "%s", message)
}

func (l *Limits) validate(d *decoder) {
	for key, value := range map[string]int64{
		"memory": int64(l.Memory), "spill": int64(l.Spill), "entity_rows": l.EntityRows, "message": int64(l.Message), "staged": int64(l.Staged),
		"staged_for": int64(l.StagedFor), "concurrent": int64(l.Concurrent), "queue_for": int64(l.QueueFor),
		"query": int64(l.Query), "stalled": int64(l.Stalled),
	} {
		d.positive(join("limits", key), value)
	}
	d.notEmpty("limits.spill_dir", l.SpillDir)
	if l.Message > math.MaxInt32 {
		d.report("limits.message", "the transport carries messages of less than 2GiB, found %s", l.Message)
	}
	if l.Concurrent > 1<<16 {
		d.report("limits.concurrent", "at most 65536, found %d", l.Concurrent)
	}
	switch {
	case l.Staged <= l.Memory || l.Memory <= 0:
	case d.given("limits.staged"):
		d.report("limits.staged", "%s is more than limits.memory (%s), which staged rows are a part of", l.Staged, l.Memory)
	default:
		l.Staged = l.Memory
	}
}

// require reports a text that is missing, or empty.
func (d *decoder) require(path, key, value string) {
	if !d.given(join(path, key)) {
		d.reportAt(d.place(path), path, "%s is needed", key)
		return
	}
	d.notEmpty(join(path, key), value)
}

// notEmpty reports a text that is given, but empty.
func (d *decoder) notEmpty(path, value string) {
	if value == "" && d.given(path) && !d.failed[path] {
		d.report(path, "it is empty")
	}
}

// name checks the name that something is given; without are characters with a meaning in requests.
func (d *decoder) name(path, name, without string) {
	switch {
	case name == "":
		d.reportAt(d.place(path), path, "the name is empty")
	case strings.ContainsFunc(name, unicode.IsControl):
		d.reportAt(d.place(path), path, "a name has no control characters, found %s", nearest.Quote(name))
	case strings.ContainsAny(name, without):
		d.reportAt(d.place(path), path, "a name here has none of the characters %s, which mean something in requests", without)
	}
}

// names checks a list of columns or features: none empty, none twice.
func (d *decoder) names(path string, list []string) {
	for i, name := range list {
		item := fmt.Sprintf("%s[%d]", path, i)
		d.notEmpty(item, name)
		if first := slices.Index(list, name); first < i && name != "" {
			d.report(item, "%s is there already, at [%d]", nearest.Quote(name), first)
		}
	}
}

func (d *decoder) oneOf(path, value string, known ...string) {
	if !slices.Contains(known, value) && !d.failed[path] {
		d.report(path, "unknown %s; known: %s", nearest.Quote(value), strings.Join(known, ", "))
	}
}

func (d *decoder) positive(path string, n int64) {
	if n <= 0 && !d.failed[path] {
		d.report(path, "it must be more than 0")
	}
}

// validateRepo sees to it that definitions come from one place.
func (c *Config) validateRepo(d *decoder) {
	d.notEmpty("feast_repo", c.FeastRepo)
	d.notEmpty("feast.python", c.Feast.Python)
	d.oneOf("feast.no_entities", c.Feast.NoEntities, "timeline", "snapshot")
	d.names("feast.folders", c.Feast.Folders)
	for _, section := range []string{"stores", "feature_views", "feature_services"} {
		if d.given(section) {
			d.report(section, "the definitions come from feast_repo; leave one of the two out")
		}
	}
}
