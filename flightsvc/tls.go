package flightsvc

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// TLSFiles are paths of PEM files. With ClientCA, clients must show a certificate that it signed.
type TLSFiles struct{ Cert, Key, ClientCA string }

// reloadEvery is how often, at most, a handshake looks whether the files have changed.
const reloadEvery = time.Second

// reloader hands out the TLS configuration of the files as they are now. A pair that does not fit together (one file is
// replaced before the other) is not taken: the last good one stays.
type reloader struct {
	files   TLSFiles
	log     zerolog.Logger
	mu      sync.Mutex
	current *tls.Config
	stamp   stamps // of the files that current was made of
	refused stamps // of the files that were last found wanting
	looked  time.Time
}

// stamps tell one state of the files from another: modification times and sizes.
type stamps [3]struct {
	modified time.Time
	size     int64
}

// Check reads the files and says what is wrong with them.
func (f TLSFiles) Check() error {
	_, err := f.read()
	return err
}

// load reads the files, so that a mistake shows at the start, and follows their changes from then on.
func (f TLSFiles) load(log zerolog.Logger) (*tls.Config, error) {
	r := &reloader{files: f, log: log, stamp: f.stamps(), looked: time.Now()}
	var err error
	if r.current, err = f.read(); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}, GetConfigForClient: r.get}, nil
}

func (r *reloader) get(*tls.ClientHelloInfo) (*tls.Config, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.looked) >= reloadEvery {
		r.looked = now
		if stamp := r.files.stamps(); stamp != r.stamp {
			r.reload(stamp)
		}
	}
	return r.current, nil
}

func (r *reloader) reload(stamp stamps) {
	config, err := r.files.read()
	switch {
	case err == nil:
		r.current, r.stamp = config, stamp
		r.log.Info().Str("cert", r.files.Cert).Msg("the TLS files have changed and are in use")
	case stamp != r.refused: // said once for each state of the files
		r.refused = stamp
		r.log.Warn().Str("error", err.Error()).Msg("the TLS files have changed and cannot be used; the former ones stay in use")
	}
}

func (f TLSFiles) stamps() (s stamps) {
	for i, name := range []string{f.Cert, f.Key, f.ClientCA} {
		if info, err := os.Stat(name); err == nil {
			s[i].modified, s[i].size = info.ModTime(), info.Size()
		}
	}
	return s
}

func (f TLSFiles) read() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("tls: certificate %q with key %q: %w", f.Cert, f.Key, err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}}
	if f.ClientCA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(f.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("tls: client_ca: %w", err)
	}
	config.ClientCAs, config.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("tls: client_ca %q holds no certificate in PEM form", f.ClientCA)
	}
	return config, nil
}
