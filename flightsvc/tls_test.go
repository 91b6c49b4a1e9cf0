package flightsvc

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// authority signs certificates for a test. They are valid in any year that a test may think it is.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := new(authority)
	a.pem, _, a.cert, a.key = issue(t, name, nil, true)
	return a
}

// issue makes a certificate and its key; without an authority it signs itself.
func issue(t *testing.T, name string, by *authority, isCA bool) (cert, key []byte, parsed *x509.Certificate, private *ecdsa.PrivateKey) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"server"},
		NotBefore: time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: isCA, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := template, private
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &private.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	if parsed, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), parsed, private
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// handshake returns the name of the server's certificate.
func handshake(server, client *tls.Config) (string, error) {
	there, here := net.Pipe()
	defer here.Close()
	served := make(chan error, 1)
	go func() {
		conn := tls.Server(there, server)
		err := conn.Handshake()
		if err == nil {
			_, err = conn.Write([]byte("x")) // in TLS 1.3 a client learns only now that it was refused
		}
		there.Close()
		served <- err
	}()
	conn := tls.Client(here, client)
	err := conn.Handshake()
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
	}
	here.Close()
	<-served
	if err != nil {
		return "", err
	}
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

// The files are followed: a new pair is taken, one that does not fit together is not, and is complained of once.
func TestTLSFilesAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
		dir := t.TempDir()
		files := TLSFiles{Cert: filepath.Join(dir, "server.pem"), Key: filepath.Join(dir, "server.key"), ClientCA: filepath.Join(dir, "ca.pem")}
		pair := func(name string) (cert, key []byte) { cert, key, _, _ = issue(t, name, ca, false); return }
		cert, key := pair("first")
		write(t, files.Cert, cert)
		write(t, files.Key, key)
		write(t, files.ClientCA, ca.pem)
		var log bytes.Buffer
		server, err := files.load(zerolog.New(&log))
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(ca.cert)
		client := func(by *authority) *tls.Config {
			cert, key, _, _ := issue(t, "ann", by, false)
			own, err := tls.X509KeyPair(cert, key)
			if err != nil {
				t.Fatal(err)
			}
			return &tls.Config{RootCAs: roots, ServerName: "server", Certificates: []tls.Certificate{own}}
		}
		expect := func(want string) {
			t.Helper()
			if got, err := handshake(server, client(ca)); got != want || err != nil {
				t.Errorf("the server shows %q (%v), want %q", got, err, want)
			}
		}
		touch := func(age int) { // file systems may not tell two writes of one moment apart
			at := time.Date(2024, 1, 1, 0, 0, age, 0, time.UTC)
			for _, name := range []string{files.Cert, files.Key, files.ClientCA} {
				_ = os.Chtimes(name, at, at)
			}
		}

		expect("first")
		cert, key = pair("second")
		write(t, files.Cert, cert) // the key is still to come
		touch(1)
		expect("first") // nobody looked: it is too soon
		for range 3 {
			time.Sleep(2 * reloadEvery)
			expect("first")
		}
		if n := strings.Count(log.String(), "cannot be used"); n != 1 {
			t.Errorf("the log complains %d times: %s", n, log.String())
		}
		write(t, files.Key, key)
		touch(2)
		time.Sleep(2 * reloadEvery)
		expect("second")

		if err := os.Remove(files.Cert); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * reloadEvery)
		expect("second")
		write(t, files.Cert, []byte("no certificate"))
		touch(3)
		time.Sleep(2 * reloadEvery)
		expect("second")
		write(t, files.Cert, cert)
		touch(4)
		time.Sleep(2 * reloadEvery)
		expect("second")

		if _, err := handshake(server, client(other)); err == nil {
			t.Error("a client of another authority was let in")
		}
		write(t, files.ClientCA, other.pem)
		touch(5)
		time.Sleep(2 * reloadEvery)
		if _, err := handshake(server, client(other)); err != nil {
			t.Errorf("the new authority's client: %v", err)
		}
		if _, err := handshake(server, client(ca)); err == nil {
			t.Error("a client of the former authority was let in")
		}

		old := client(other)
		old.MaxVersion = tls.VersionTLS11
		if _, err := handshake(server, old); err == nil {
			t.Error("TLS 1.1 was taken")
		}
		old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
		if _, err := handshake(server, old); err != nil {
			t.Errorf("TLS 1.2: %v", err)
		}
		bare := client(other)
		bare.Certificates = nil
		if _, err := handshake(server, bare); err == nil {
			t.Error("a client without a certificate was let in")
		}
	})
}
