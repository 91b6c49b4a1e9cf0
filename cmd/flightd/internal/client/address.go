package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// Address says where a server is and how to trust it. Make one with ParseAddress.
type Address struct {
	URI      string
	HostPort string
	TLS      bool
	CA       string // PEM file of the authority to trust; "": the system's
	Cert     string // PEM files of the client's own certificate; both or none
	Key      string
}

const addressForm = "want grpc://HOST:PORT, or grpc+tls://HOST:PORT"

// ParseAddress reads grpc://host:port or grpc+tls://host:port. ca, cert and key are PEM files for the latter, or empty.
func ParseAddress(uri, ca, cert, key string) (Address, error) {
	a := Address{URI: uri, CA: ca, Cert: cert, Key: key}
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return a, fmt.Errorf("the server's address %q cannot be used; %s", uri, addressForm)
	}
	switch u.Scheme {
	case "grpc":
	case "grpc+tls":
		a.TLS = true
	default:
		return a, fmt.Errorf("the server's address %q begins with %s://; %s", uri, u.Scheme, addressForm)
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || port == 0 || u.Hostname() == "" {
		return a, fmt.Errorf("the server's address %q has no host and port; %s", uri, addressForm)
	}
	a.HostPort = net.JoinHostPort(u.Hostname(), u.Port())
	switch {
	case !a.TLS && (ca != "" || cert != "" || key != ""):
		return a, fmt.Errorf("there are files for TLS, but the server's address %q is without TLS; write grpc+tls://%s", uri, a.HostPort)
	case (cert == "") != (key == ""):
		return a, errors.New("a client certificate needs its key too: --tls-cert FILE --tls-key FILE")
	}
	return a, nil
}

func (a Address) credentials() (credentials.TransportCredentials, error) {
	if !a.TLS {
		return insecure.NewCredentials(), nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if a.CA != "" {
		pem, err := os.ReadFile(a.CA)
		if err != nil {
			return nil, fmt.Errorf("--tls-ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--tls-ca: %s holds no certificate in PEM form", a.CA)
		}
	}
	if a.Cert != "" {
		pair, err := tls.LoadX509KeyPair(a.Cert, a.Key)
		if err != nil {
			return nil, fmt.Errorf("client certificate %s with key %s: %w", a.Cert, a.Key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(config), nil
}
